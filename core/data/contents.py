"""Images without content: of one colour, or nearly so. Files that a broken camera, download or conversion leaves.

An image is judged small and grey, so that noise of a sensor counts for little. Entropy is that of its histogram of 64
levels, in bits: 0 for one level, 6 for all of them equally often.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from pathlib import Path

import numpy as np

from core.data.children import cores
from core.data.images import ImageError, load_small
from core.data.windows import Window
from core.types import ByteArray

_EDGE = 64  # pixels
_DARK, _BRIGHT = 24, 231  # mean grey value of a flat image that is called black, white
_FLAT_DEVIATION = 4.0  # grey values
_LEAST_ENTROPY = 0.15  # bits; a thin handwritten stroke has .3
_LEVEL_WIDTH = 4  # grey values


class Empty(StrEnum):
    """Kinds of images without content, as people read them."""

    BLACK = "black"
    WHITE = "white"
    FLAT = "one colour"
    SPARSE = "almost one colour"


def empty_kind(grey: ByteArray) -> Empty | None:
    """Return in what way a small grey image, (H, W), has no content; None where it has some."""
    if float(grey.std()) < _FLAT_DEVIATION:
        mean = float(grey.mean())
        return Empty.BLACK if mean < _DARK else Empty.WHITE if mean > _BRIGHT else Empty.FLAT
    shares = np.bincount(grey.reshape(-1) // _LEVEL_WIDTH) / grey.size
    shares = shares[shares > 0]
    return Empty.SPARSE if float(-(shares * np.log2(shares)).sum()) < _LEAST_ENTROPY else None


def empty_kinds(paths: Sequence[str], window: Window | None = None) -> list[Empty | None]:
    """Return the kind of each image without content; None for those with content, or that cannot be read any more."""
    with ThreadPoolExecutor(cores()) as threads:  # decoding needs no lock of the interpreter
        return list(threads.map(partial(_kind_of, window=window), paths))


def _kind_of(path: str, window: Window | None) -> Empty | None:
    try:
        return empty_kind(load_small(Path(path), _EDGE, window=window))
    except ImageError:
        return None
