"""Photos turned by their EXIF, and masks that were drawn on the stored, unturned pixels.

Masks and images are shown upright. Orientations are EXIF's, 1 to 8; those of `TURNED` swap width and height, so the
size of a mask shows on which pixels it was drawn. Masks of a photo that is upside down, or square, may be either; the
reader asks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.formats.source import READING, Question, ReadOptions, ask
from core.data.images import MaskError
from core.data.masks.files import open_mask
from core.data.store import local

UPRIGHT = 1
TURNED = frozenset({5, 6, 7, 8})
_TAG = 0x0112
_ALL = range(1, 9)

Pixel = TypeVar("Pixel", bound=np.generic)

_LOOKED_AT = 200  # photos
_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".webp", ".png"}

FileOrSize = str | tuple[int, int] | None  # the mask's file, or width and height that it was drawn on


def orientation_of(path: str) -> int:
    """Return the orientation in a photo's EXIF; 1 if it has none or cannot be read."""
    return _facts(path)[0]


def stored_size(path: str) -> tuple[int, int] | None:
    """Return width and height of a photo as stored, before its EXIF turns it; None if it cannot be read."""
    return _facts(path)[1]


def shown_size(path: str) -> tuple[int, int] | None:
    """Return width and height of a photo as shown; None if it cannot be read."""
    orientation, size = _facts(path)
    return size[::-1] if size is not None and orientation in TURNED else size


def turn(pixels: NDArray[Pixel], orientation: int) -> NDArray[Pixel]:
    """Return (H, W) pixels of a stored photo, turned as shown."""
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
    photo = local(Path(path))
    try:
        with photo.open("rb") as file, Image.open(file) as image:
            found = image.getexif().get(_TAG, UPRIGHT)
            return (found if found in _ALL else UPRIGHT), image.size
    except Exception:  # noqa: BLE001 foreign bytes; the image itself is named when it is read
        return UPRIGHT, None


def ask_turned(photos: Sequence[tuple[str, FileOrSize]], options: ReadOptions) -> list[Question]:
    """Return the question about turning masks with their photos; empty if no photo is turned."""
    if options.exif_masks or options.reading < READING:
        return []
    step = max(1, -(-len(photos) // _LOOKED_AT))
    stored = shown = either = 0
    for path, mask in photos[::step]:
        orientation = orientation_of(path) if Path(path).suffix.lower() in _SUFFIXES else UPRIGHT
        if orientation == UPRIGHT:
            continue
        size, was, now = _size(mask), stored_size(path), shown_size(path)
        decides = orientation in TURNED and was != now and size in {was, now}
        stored += decides and size == was
        shown += decides and size == now
        either += not decides
    if not stored and (shown or not either):
        return []
    evidence = f"; {stored:,} masks have the size of the unturned photo" if stored else ""
    return [
        ask(
            "exif_masks",
            "turned photos",
            f"EXIF turns {stored + shown + either:,} of {len(photos[::step]):,} examined photos{evidence}. "
            "Were the masks drawn on the unturned photos?",
            {"yes, turn them with their photos": "turn", "no, they fit the photos as shown": "keep"},
            blocking=True,
        )
    ]


def _size(mask: FileOrSize) -> tuple[int, int] | None:
    if not isinstance(mask, str):
        return mask
    try:
        with open_mask(Path(mask)) as image:
            return image.size
    except MaskError:
        return None
