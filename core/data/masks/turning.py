"""Masks drawn on the stored pixels of a photo whose EXIF turns it: masks and images are shown upright here.

Orientations are EXIF's, 1 to 8; those of `TURNED` swap width and height.
"""

from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UPRIGHT = 1
TURNED = frozenset({5, 6, 7, 8})
_TAG = 0x0112
_ALL = range(1, 9)

Pixel = TypeVar("Pixel", bound=np.generic)


def orientation_of(path: str) -> int:
    """Return the orientation that a photo's EXIF states; 1 where it states none or cannot be read."""
    return _facts(path)[0]


def stored_size(path: str) -> tuple[int, int] | None:
    """Return width and height of a photo as stored, before its EXIF turns it; None: it cannot be read."""
    return _facts(path)[1]


def shown_size(path: str) -> tuple[int, int] | None:
    """Return width and height of a photo as shown; None: it cannot be read."""
    orientation, size = _facts(path)
    return size[::-1] if size is not None and orientation in TURNED else size


def turn(pixels: NDArray[Pixel], orientation: int) -> NDArray[Pixel]:
    """Return (H, W) pixels of a stored photo as they are shown."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.T
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _facts(path: str) -> tuple[int, tuple[int, int] | None]:
    if not path:
        return UPRIGHT, None
    try:
        with Path(path).open("rb") as file, Image.open(file) as image:
            found = image.getexif().get(_TAG, UPRIGHT)
            return (found if found in _ALL else UPRIGHT), image.size
    except Exception:  # noqa: BLE001 foreign bytes; the image itself is named when it is read
        return UPRIGHT, None
