"""Masks: one class id per pixel, and the regions of them that are reviewed.

A mask is (H, W), uint8 for up to 255 classes, uint16 beyond; its largest value (255, 65535) is IGNORE: an unlabelled
pixel. So the dtype of a mask determines its value of IGNORE.
"""

from dataclasses import dataclass

import numpy as np

from core.types.labels import NO_LABEL, Decision, IntArray

IGNORE = 255
WIDE_IGNORE = 65_535
_NARROW = 255  # classes a byte holds beside IGNORE


def mask_dtype(classes: int) -> np.dtype[np.unsignedinteger]:
    """Return the dtype of masks of so many classes."""
    return np.dtype(np.uint8 if classes <= _NARROW else np.uint16)


def ignore_of(mask: IntArray) -> int:
    """Return the value that means IGNORE in this mask."""
    return IGNORE if mask.dtype == np.uint8 else WIDE_IGNORE


def pixel_of(mask: IntArray, label: int | None) -> int:
    """Return the pixel value of this label in this mask: IGNORE for None and `NO_LABEL`."""
    return ignore_of(mask) if label in (None, NO_LABEL) else int(label)


def widen(mask: IntArray, classes: int) -> IntArray:
    """Return a mask in the dtype of masks of so many classes, the same object if it has it; IGNORE is kept."""
    dtype = mask_dtype(classes)
    if mask.dtype == dtype:
        return mask
    wide = mask.astype(dtype)
    wide[mask == ignore_of(mask)] = np.iinfo(dtype).max
    return wide


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Classes of masks in the order of their ids, each with a colour as `#rrggbb`."""

    names: tuple[str, ...]
    colours: tuple[str, ...]

    def __post_init__(self) -> None:
        """Validate the lengths and shapes."""
        if len(self.names) != len(self.colours):
            raise ValueError(f"{len(self.names)} classes have {len(self.colours)} colours")
        if len(set(self.names)) != len(self.names):
            raise ValueError("two classes have the same name")

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Pixels of one image, as runs along the rows, (M, 3) int32 as (y, x, length), top to bottom."""

    runs: IntArray

    @property
    def area(self) -> int:
        """Return the number of pixels."""
        return int(self.runs[:, 2].sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Return the bounding box (x, y, width, height), in pixels."""
        y, x, length = self.runs.T
        left, top = int(x.min()), int(y.min())
        return left, top, int((x + length).max()) - left, int(y.max()) + 1 - top

    def paint(self, mask: IntArray, label: int) -> None:
        """Write `label` into these pixels of `mask`, (H, W), and into no other."""
        for y, x, length in self.runs.tolist():
            mask[y, x : x + length] = label

    def shift(self, x: int, y: int) -> "Region":
        """Return the region shifted right by x and down by y."""
        return Region(self.runs + np.array([y, x, 0]))

    def to_bytes(self) -> bytes:
        """Return the runs as they are stored."""
        return np.ascontiguousarray(self.runs, dtype="<i4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Region":
        """Return the region stored as `data`."""
        return cls(np.frombuffer(data, dtype="<i4").reshape(-1, 3))

    @classmethod
    def of(cls, inside: IntArray, left: int = 0, top: int = 0) -> "Region":
        """Return the region of the true pixels of `inside`, (h, w), whose corner lies at (left, top) of the image."""
        edged = np.zeros((inside.shape[0], inside.shape[1] + 2), dtype=np.int8)
        edged[:, 1:-1] = inside != 0
        change = np.diff(edged, axis=1)
        y, start = np.nonzero(change == 1)
        _, end = np.nonzero(change == -1)
        return cls(np.stack([y + top, start + left, end - start], axis=1).astype(np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class RegionDecision:
    """A decision on a region; `given` is the class of its pixels in the round's mask, `NO_LABEL` if they were IGNORE.

    Both are None for an edit of the whole mask.
    """

    decision: Decision
    given: int | None
    region: Region | None
