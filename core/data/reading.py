"""Facts of many images: content hash and size, range of deep greys, and kinds of images without content.

Facts are read on all cores, in order, with flat memory; children as in `core.data.children`.

An image without content is of one colour, or nearly so: left by a broken camera, download or conversion. It is judged
small and grey, so that sensor noise counts for little. Entropy is of its histogram of 64 levels, in bits: 0 for one
level, 6 for all of them equally often.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from enum import StrEnum
from functools import partial
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from core.data.children import ChildSpec, ask_all, cores, first_line, serve
from core.data.images import ImageError, grey_values, has_deep_greys, load_small, read_facts
from core.data.windows import Window, parse_window, survey_window, window_text
from core.types import ByteArray, ImageFacts

_EDGE = 64  # pixels
_DARK, _BRIGHT = 24, 231  # mean grey value of a flat image below and above which it is black, white
_FLAT_DEVIATION = 4.0  # grey values
_LEAST_ENTROPY = 0.15  # bits; a thin handwritten stroke has .3
_LEVEL_WIDTH = 4  # grey values

Found = ImageFacts | ImageError
Item = TypeVar("Item")
LOOKED_AT = 500  # files examined for deep greys
_COUNTED = 64  # images whose grey values are counted
_CHUNK = 64  # images; small enough to stop quickly with large ones
_values = attrgetter(*(item.name for item in fields(ImageFacts)))


class Empty(StrEnum):
    """Kinds of images without content, as shown to people."""

    BLACK = "black"
    WHITE = "white"
    FLAT = "one colour"
    SPARSE = "almost one colour"


def empty_kind(grey: ByteArray) -> Empty | None:
    """Return the kind of emptiness of a small grey image, (H, W); None if it has content."""
    if float(grey.std()) < _FLAT_DEVIATION:
        mean = float(grey.mean())
        return Empty.BLACK if mean < _DARK else Empty.WHITE if mean > _BRIGHT else Empty.FLAT
    shares = np.bincount(grey.reshape(-1) // _LEVEL_WIDTH) / grey.size
    shares = shares[shares > 0]
    return Empty.SPARSE if float(-(shares * np.log2(shares)).sum()) < _LEAST_ENTROPY else None


def empty_kinds(paths: Sequence[str], window: Window | None = None) -> list[Empty | None]:
    """Return the kind of each image without content; None for those with content and for unreadable ones."""
    with ThreadPoolExecutor(cores()) as threads:  # decoding needs no lock of the interpreter
        return list(threads.map(partial(_kind_of, window=window), paths))


def _kind_of(path: str, window: Window | None) -> Empty | None:
    try:
        return empty_kind(load_small(Path(path), _EDGE, window=window))
    except ImageError:
        return None


def read_many(
    paths: Iterable[str], max_pixels: int, processes: int = 0, window: Window | None = None
) -> Iterator[Found]:
    """Yield the facts of each path, or its error, in the order of `paths`; 0 processes: one per core.

    Deep greys are hashed through the `window` of their dataset.
    """
    chunks = _chunks(paths)
    first = next(chunks, [])
    if len(first) < _CHUNK:  # a child costs more than it brings
        yield from (read_one(path, max_pixels, window) for path in first)
        return
    work = ChildSpec("core.data.reading", (str(max_pixels), window_text(window)), _take, _deadly)
    yield from ask_all(work, chain([first], chunks), processes)


def read_one(path: str, max_pixels: int, window: Window | None = None) -> Found:
    """Return the facts of one path, or its error."""
    try:
        return read_facts(Path(path), max_pixels, window)
    except ImageError as error:
        return error


def find_window(paths: Sequence[str]) -> Window | None:
    """Return the window of a dataset's greys, from some of its images; None if they have 8 bits, or use all 16."""
    with ThreadPoolExecutor(cores()) as threads:  # decoding needs no lock of the interpreter
        some = [Path(path) for path in spread(paths, LOOKED_AT)]
        deep = [path for path, is_deep in zip(some, threads.map(has_deep_greys, some), strict=True) if is_deep]
        found = threads.map(grey_values, spread(deep, _COUNTED))
        return survey_window([np.bincount(values.ravel(), minlength=1 << 16) for values in found if values is not None])


def spread(items: Sequence[Item], most: int) -> Sequence[Item]:
    """Return at most `most` items, evenly spread."""
    return items[:: max(1, -(-len(items) // most))]


def _chunks(paths: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(paths)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _deadly(_: str) -> Found:
    return ImageError("corrupt image", "it crashes the decoder", "copy it again from its source, or remove it")


def _take(answers: IO[bytes]) -> list[Found]:
    return [ImageFacts(*values) if good else ImageError(*values) for good, values in first_line(answers)]


def _answer(paths: list[str], answers: IO[bytes]) -> None:
    window = parse_window(sys.argv[2])
    found = [read_one(path, int(sys.argv[1]), window) for path in paths]
    values = [
        (False, (item.kind, str(item), item.cure)) if isinstance(item, ImageError) else (True, _values(item))
        for item in found
    ]
    answers.write(json.dumps(values).encode() + b"\n")


if __name__ == "__main__":
    serve(_answer)
