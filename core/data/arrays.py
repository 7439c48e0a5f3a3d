"""Every image decoded once: one memory-mapped uint8 array (N, size, size, C) per list of images, size and C in {1, 3}.

An image keeps its proportions: its longer side becomes `size`, the shorter one is filled up on both sides with the
image's own edge.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.data.filling import Plan, Rows, Settings, kept, work
from core.data.images import load_image
from core.data.windows import Window, from_pair
from core.types import ByteArray

_MODULE = "core.data.arrays"
_SPARE = 2  # times the size that a JPEG is at least decoded at; pixels then differ by .2 of 255 from a whole decoding


def decoded(
    paths: list[str],
    keys: list[str],
    *,
    size: int,
    grey: bool,
    cache: Path,
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
    window: Window | None = None,
) -> ByteArray:
    """Return the images as a read-only memory map, (N, size, size, C); `report` is told (done, of).

    `keys` name what is seen: contents, with the window where there is one.

    Raises:
        RoundError: an image can no longer be decoded; says which ones.
        RoundCancelledError: `should_stop` said so.
    """
    sources: list[list[Any]] = [[path] for path in paths]
    shape, kind = (size, size, 1 if grey else 3), f"{size}-{'grey' if grey else 'rgb'}"
    settings = {"size": size, "grey": grey, "window": window}
    plan = Plan(sources, keys, kind, shape, np.uint8, _MODULE, _read_square, settings)
    return kept(cache, plan, report=report, should_stop=should_stop)


def read_square(
    path: Path, size: int, *, grey: bool, max_pixels: int | None = None, window: Window | None = None
) -> ByteArray:
    """Return an image as a row of the array, (size, size, C).

    Raises:
        ImageError: the file cannot be decoded (any more), or is too large.
    """
    pixels = load_image(path, grey=grey, max_pixels=max_pixels, least_edge=_SPARE * size, window=window)
    return fitted(pixels, size)


def fitted(pixels: ByteArray, size: int) -> ByteArray:
    """Return the image in a square, (size, size, C); `pixels` is (H, W) or (H, W, 3)."""
    height, width = scaled_size(pixels.shape[0], pixels.shape[1], size)
    pixels = resized(pixels, height, width)
    if height != width:
        above, left = (size - height) // 2, (size - width) // 2
        edges = ((above, size - height - above), (left, size - width - left))
        pixels = np.pad(pixels, (*edges, (0, 0))[: pixels.ndim], mode="edge")
    return pixels.reshape(size, size, -1)


def scaled_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Return (height, width) in pixels when the longer side becomes `size`."""
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resized(pixels: ByteArray, height: int, width: int) -> ByteArray:
    """Return the image in another size, (height, width) or (height, width, 3)."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3)
    return np.asarray(image)


def _read_square(source: list[Any], row: Rows, settings: Settings) -> None:
    row[:] = read_square(Path(source[0]), settings["size"], grey=settings["grey"], window=from_pair(settings["window"]))


if __name__ == "__main__":
    work(_read_square)
