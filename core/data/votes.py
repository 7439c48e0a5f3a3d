"""What each fold says of the images that no model has seen: kept apart until a round is judged, then merged.

Such an image is predicted by the models of all folds, which may run at the same time or days apart. Each writes a byte
for the likeliest class of a pixel (two for many classes) and one for its probability, into files of its own below
`votes/`; only images predicted by all have a place in them. `core.judge.votes` says what they amount to.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.predictions import create_flat, offsets
from core.types import ByteArray, IntArray, RoundError, mask_dtype

_FOLDER, _MERGED = "votes", "votes.merged"


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """One fold's files, memory-mapped: flat (P,) for P pixels of the images predicted by all."""

    predicted: IntArray
    confidence: ByteArray
    sizes: IntArray  # (N, 2) height, width
    starts: IntArray  # (N + 1,) where each sample's pixels begin; none for those predicted once

    def of(self, row: int) -> tuple[IntArray, ByteArray]:
        """Return one sample's classes and confidences, views of (H, W)."""
        pixels, shape = slice(self.starts[row], self.starts[row + 1]), (self.sizes[row, 0], self.sizes[row, 1])
        return self.predicted[pixels].reshape(shape), self.confidence[pixels].reshape(shape)

    def flush(self) -> None:
        """Hand what was written over to the disk."""
        for array in (self.predicted, self.confidence):
            if isinstance(array, np.memmap):
                array.flush()


def create_votes(folder: Path, fold: int, sizes: IntArray, shared: IntArray, classes: int) -> Votes:
    """Return a fold's files in a round's folder to be filled in; `shared` are the rows that all folds predict, (M,)."""
    starts = _starts(sizes, shared)
    (folder / _FOLDER).mkdir(exist_ok=True)
    predicted, confidence = _paths(folder, fold)
    create_flat(predicted, (int(starts[-1]),), mask_dtype(classes))
    create_flat(confidence, (int(starts[-1]),), np.dtype(np.uint8))
    return _opened(folder, fold, sizes, starts, "r+")


def read_votes(folder: Path, folds: int, sizes: IntArray, shared: IntArray) -> Sequence[Votes]:
    """Return the files of all folds, none where they are merged already.

    Raises:
        RoundError: a fold's files are not there, or belong to other images.
    """
    if not (folder / _FOLDER).is_dir():
        return []
    starts = _starts(sizes, shared)
    try:
        found = [_opened(folder, fold, sizes, starts, "r") for fold in range(folds)]
    except (OSError, ValueError) as error:
        raise RoundError(f"predictions of {folder} cannot be read ({error}); start the round again") from error
    if any(len(one.predicted) != starts[-1] or len(one.confidence) != starts[-1] for one in found):
        raise RoundError(f"the predictions of {folder} are of other images; start the round again")
    return found


def forget_votes(folder: Path) -> None:
    """Remove what is merged; the folder goes at once, so that no half of it is ever merged again."""
    if (folder / _FOLDER).is_dir():
        shutil.rmtree(folder / _MERGED, ignore_errors=True)
        (folder / _FOLDER).rename(folder / _MERGED)
    shutil.rmtree(folder / _MERGED, ignore_errors=True)


def _starts(sizes: IntArray, shared: IntArray) -> IntArray:
    own = np.zeros_like(sizes)
    own[shared] = sizes[shared]
    return offsets(own)


def _paths(folder: Path, fold: int) -> tuple[Path, Path]:
    return folder / _FOLDER / f"predicted_{fold}.npy", folder / _FOLDER / f"confidence_{fold}.npy"


def _opened(folder: Path, fold: int, sizes: IntArray, starts: IntArray, mode: str) -> Votes:
    predicted, confidence = (np.lib.format.open_memmap(path, mode=mode) for path in _paths(folder, fold))
    return Votes(predicted, confidence, sizes, starts)
