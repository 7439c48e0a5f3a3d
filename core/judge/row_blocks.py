"""Values of N rows and K classes of which only some rows exist at a time, so that memory does not grow with N x K.

An array is such `Rows`, and so is an object that reads a file or computes from other `Rows` on access.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from core.types import FloatArray, IntArray

_VALUES = 4_000_000  # at once


class Rows(Protocol):
    """Values (N, K), asked for by the numbers of rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, K)."""

    def __getitem__(self, rows: IntArray, /) -> FloatArray:
        """Return the values of these rows, (B, K), in an array of their own."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows of a `.npy` file, (N, K), mapped anew each time, so that read pages do not stay in the process's memory."""

    path: Path

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, K)."""
        shape: tuple[int, ...] = np.load(self.path, mmap_mode="r", allow_pickle=False).shape
        return shape

    def __getitem__(self, rows: IntArray) -> FloatArray:
        """Return the values of these rows, (B, K)."""
        return np.asarray(np.load(self.path, mmap_mode="r", allow_pickle=False)[rows])


@dataclass(frozen=True, slots=True)
class ChangedRows:
    """Rows computed from others independently."""

    values: Rows
    change: Callable[[FloatArray], FloatArray]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, K)."""
        return self.values.shape

    def __getitem__(self, rows: IntArray) -> FloatArray:
        """Return the values of these rows, (B, K)."""
        return self.change(self.values[rows])


def blocks(rows: IntArray, classes: int) -> Iterator[slice]:
    """Yield slices of `rows` whose values of all classes may exist at once."""
    step = max(1, _VALUES // max(1, classes))
    for start in range(0, len(rows), step):
        yield slice(start, min(start + step, len(rows)))


def pick(values: Rows, rows: IntArray, classes: IntArray) -> FloatArray:
    """Return the value of one class of each of these rows, (M,); both arguments (M,)."""
    parts = [
        values[rows[part]][np.arange(part.stop - part.start), classes[part]] for part in blocks(rows, values.shape[1])
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)
