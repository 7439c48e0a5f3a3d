"""Masks kept by their content: written once, never changed, so a row or an address that names one means it for ever.

Each lies as a grey PNG of 8 or 16 bits that any program can open. IGNORE is the dtype's largest value.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.masks.png import to_png
from core.data.storage import write_atomically
from core.types import DatasetError, IntArray

_NAME = re.compile(r"[0-9a-f]{32}")


def mask_hash(mask: IntArray) -> str:
    """Return 32 hex digits of a mask's content: dtype, shape and pixels."""
    digest = blake2b(f"{mask.dtype.itemsize} {mask.shape[0]} {mask.shape[1]} ".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(mask, dtype=mask.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def classes_in(mask: IntArray) -> list[int]:
    """Return the classes that have a pixel in a mask, (H, W), in their order."""
    return np.flatnonzero(class_pixels(mask)).tolist()


def class_pixels(mask: IntArray, classes: int = 1) -> IntArray:
    """Return how many pixels each class has in a mask, (H, W): up to its largest one, and at least so many classes."""
    counts: IntArray = np.bincount(mask.ravel(), minlength=classes)[: np.iinfo(mask.dtype).max]
    return counts


@dataclass(frozen=True, slots=True)
class MaskStore:
    """A folder of masks, each known by its hash."""

    folder: Path

    def path(self, name: str) -> Path:
        """Return where the mask of this hash lies.

        Raises:
            DatasetError: `name` is no hash.
        """
        if not _NAME.fullmatch(name):
            raise DatasetError(f"{name[:60]!r} is no mask; reload the page")
        return self.folder / name[:2] / f"{name}.png"

    def put(self, mask: IntArray, *, durable: bool = True) -> str:
        """Keep a mask, (H, W) uint8 or uint16, and return its hash; one that is there, and whole, is left as it is."""
        name = mask_hash(mask)
        path = self.path(name)
        if not self._is_whole(name):
            write_atomically(path, to_png(mask), durable=durable)
        return name

    def get(self, name: str) -> IntArray:
        """Return the mask of this hash, (H, W) uint8 or uint16.

        Raises:
            DatasetError: it is not there, or its file was damaged.
        """
        try:
            with Image.open(self.path(name)) as image:
                wide = image.mode.startswith("I")
                mask: IntArray = np.asarray(image).astype(np.uint16 if wide else np.uint8)
        except (OSError, ValueError) as error:
            raise DatasetError(f"the mask {name} cannot be read ({error}); import the dataset again") from error
        return mask

    def _is_whole(self, name: str) -> bool:
        """Whether the mask is there and was not damaged, by a power cut before it was on the disk or otherwise."""
        try:
            return mask_hash(self.get(name)) == name
        except DatasetError:
            return False
