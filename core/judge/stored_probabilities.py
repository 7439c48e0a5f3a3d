"""Probabilities of a finished round of class labels in its folder, written and read in blocks of rows.

Shapes: N samples, K classes. `probabilities.npy` is (N, K) float16. Rounds of very many samples (`keeps_all`) have
shards of a million samples instead, `likeliest_00000.npy` and so on: the five likeliest classes with their
probabilities, and the probability of the given label, 22 bytes a sample. All are the same 16 bits that a full vector
would hold. Read as full vectors, the other classes share evenly what is left of 1.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from core.data.likeliest import KEPT, class_type, keeps_all, likeliest
from core.data.snapshot import SNAPSHOT
from core.data.storage import atomic_path, mapped_column, save_array
from core.judge.row_blocks import Rows, StoredRows
from core.types import NO_LABEL, FloatArray, IntArray

PROBABILITIES = "probabilities.npy"
_SHARD = "likeliest_{:05}.npy"
_SHARD_ROWS = 1_000_000
_Kept = NDArray[np.void]  # (B,) of `_kept_type`
Store = Callable[[FloatArray, IntArray], None]
"""Probabilities and given labels of the next samples, (B, K) and (B,)."""


@contextmanager
def store_probabilities(folder: Path, shape: tuple[int, ...]) -> Iterator[Store]:
    """Yield a function that takes the probabilities of all samples, (N, K), in blocks of rows, and stores them."""
    if not keeps_all(*shape):
        shards = _Shards(folder, *shape)
        yield shards.add
        shards.finish()
        return
    dtype = np.dtype(np.float16)
    with atomic_path(folder / PROBABILITIES) as partial, partial.open("wb") as file:
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, header)
        yield lambda probs, _given: probs.astype(dtype).tofile(file)


def has_probabilities(folder: Path) -> bool:
    """Return whether a round's folder has probabilities, of all classes or of the likeliest."""
    return (folder / PROBABILITIES).is_file() or keeps_likeliest(folder)


def keeps_likeliest(folder: Path) -> bool:
    """Return whether a round's folder has probabilities of only the likeliest classes."""
    return (folder / _SHARD.format(0)).is_file()


def stored_probabilities(folder: Path, classes: int) -> Rows:
    """Return the probabilities in a round's folder, (N, K), to be read by rows.

    Raises:
        FileNotFoundError: it has none.
    """
    if (folder / PROBABILITIES).is_file():
        return StoredRows(folder / PROBABILITIES)
    return _LikelyProbabilities(folder, mapped_column(folder / SNAPSHOT, "labels"), classes)


class _Shards:
    """Writer of shards: each appears when it is full, the first one last, so that if it exists all do."""

    def __init__(self, folder: Path, samples: int, classes: int) -> None:
        self._folder, self._samples, self._type = folder, samples, _kept_type(classes)
        self._shard, self._begun, self._filled = self._next(0), 0, 0
        self._first = self._shard

    def add(self, probs: FloatArray, given: IntArray) -> None:
        """Add the next samples, at the end of one shard and the begin of others."""
        while len(probs):
            part = slice(0, len(self._shard) - self._filled)
            some = probs[part]
            self._fill(self._shard[self._filled : self._filled + len(some)], some, given[part])
            self._filled += len(some)
            if self._filled == len(self._shard):
                if self._begun:
                    self._write(self._begun // _SHARD_ROWS, self._shard)
                self._begun += self._filled
                self._shard, self._filled = self._next(self._begun), 0
            probs, given = probs[len(some) :], given[len(some) :]

    def finish(self) -> None:
        """Write the first shard."""
        self._write(0, self._first)

    def _write(self, number: int, shard: _Kept) -> None:
        save_array(self._folder / _SHARD.format(number), shard)

    def _next(self, begun: int) -> _Kept:
        return np.zeros(min(_SHARD_ROWS, self._samples - begun), self._type)

    @staticmethod
    def _fill(kept: _Kept, probs: FloatArray, given: IntArray) -> None:
        top = likeliest(probs, KEPT)
        kept["class"], kept["probability"] = top, np.take_along_axis(probs, top, axis=1)
        kept["given"] = np.where(given == NO_LABEL, 0, probs[np.arange(len(probs)), given])


@dataclass(frozen=True, slots=True, eq=False)
class _LikelyProbabilities:
    """Probabilities of all classes, (N, K) float16, computed from the shards for the rows that are asked for."""

    folder: Path
    labels: IntArray  # (N,)
    classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, K)."""
        return len(self.labels), self.classes

    def __getitem__(self, rows: IntArray) -> FloatArray:
        """Return the probabilities of these rows, (B, K)."""
        kept = np.empty(len(rows), _kept_type(self.classes))
        shard = rows // _SHARD_ROWS
        for number in np.unique(shard).tolist():
            own = shard == number
            stored = np.load(self.folder / _SHARD.format(number), mmap_mode="r", allow_pickle=False)
            kept[own] = stored[rows[own] - number * _SHARD_ROWS]
        return _expand(kept, self.labels[rows].astype(np.int64), self.classes)


def _expand(kept: _Kept, given: IntArray, classes: int) -> FloatArray:
    top, line = kept["class"].astype(np.int64), np.arange(len(kept))
    outside = (given != NO_LABEL) & (top != given[:, None]).all(axis=1)
    sums = kept["probability"].astype(np.float32).sum(axis=1) + np.where(outside, kept["given"], 0)
    rest = np.maximum(0, 1 - sums) / np.maximum(1, classes - KEPT - outside)
    probs = np.empty((len(kept), classes), np.float16)
    probs[:] = np.minimum(rest, kept["probability"][:, -1])[:, None]  # no other class is likelier than the fifth
    probs[line[outside], given[outside]] = kept["given"][outside]
    np.put_along_axis(probs, top, kept["probability"], axis=1)
    return probs


def _kept_type(classes: int) -> np.dtype[np.void]:
    """Return the dtype of a sample's stored values, 22 bytes for up to 65,536 classes."""
    return np.dtype([("class", class_type(classes), KEPT), ("probability", np.float16, KEPT), ("given", np.float16)])
