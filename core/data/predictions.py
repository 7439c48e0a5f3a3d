"""Predictions of every pixel of a round, as flat memory maps: all samples one after another in the snapshot's order.

`predicted.npy` holds the likeliest class, `confidence.npy` its probability and `given_probability.npy` that of the
given class, both as round(255 p); without a given label the latter is 255, never suspicious. A sample's pixels lie
row-major from `offsets[row]` to `offsets[row + 1]`. `fold.npy` holds the fold that predicted each sample, -1 for none
yet and for those that all folds predict.

The files appear whole with the first fold; each fold fills its own samples in, so a fold that is run again writes
the same bytes to the same places. Dense probabilities of all classes are never stored: they would be K floats a pixel.

`Votes` are the predictions of samples that no model has seen. The models of all folds predict them, which may run at
the same time or days apart, so each fold writes files of its own below `votes/`: a byte for the likeliest class of a
pixel (two for many classes) and one for its probability. `core.judge.mask_judgement` merges them in the end.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.storage import atomic_path
from core.types import ByteArray, IntArray, RoundError, mask_dtype

PREDICTED = "predicted.npy"
CONFIDENCE = "confidence.npy"
GIVEN_PROBABILITY = "given_probability.npy"
FOLD = "fold.npy"
CERTAIN = 255  # a probability of 1

_FOLDER, _MERGED = "votes", "votes.merged"


@dataclass(frozen=True, slots=True, eq=False)
class PredictionFiles:
    """Prediction files of a round, memory-mapped; all but the last three are flat, (P,) for P pixels of all samples."""

    predicted: IntArray
    confidence: ByteArray
    given_probability: ByteArray
    fold: IntArray  # (N,)
    sizes: IntArray  # (N, 2) height, width
    starts: IntArray  # (N + 1,) see `offsets`

    def of(self, row: int) -> tuple[IntArray, ByteArray, ByteArray]:
        """Return one sample's classes, confidences and p(given), views of (H, W)."""
        pixels, shape = slice(self.starts[row], self.starts[row + 1]), (self.sizes[row, 0], self.sizes[row, 1])
        return (
            self.predicted[pixels].reshape(shape),
            self.confidence[pixels].reshape(shape),
            self.given_probability[pixels].reshape(shape),
        )

    def flush(self) -> None:
        """Flush written values to the disk."""
        for array in (self.predicted, self.confidence, self.given_probability, self.fold):
            if isinstance(array, np.memmap):
                array.flush()


def offsets(sizes: IntArray) -> IntArray:
    """Return the start of each sample's pixels and the end of the last ones, (N + 1,); sizes are (N, 2)."""
    return np.concatenate([[0], np.cumsum(sizes[:, 0].astype(np.int64) * sizes[:, 1])])


def create_predictions(folder: Path, sizes: IntArray, classes: int) -> PredictionFiles:
    """Return the files of a round's folder, open for writing; existing ones are kept."""
    pixels, count = int(offsets(sizes)[-1]), len(sizes)
    create_flat(folder / PREDICTED, (pixels,), mask_dtype(classes))
    create_flat(folder / CONFIDENCE, (pixels,), np.dtype(np.uint8))
    create_flat(folder / GIVEN_PROBABILITY, (pixels,), np.dtype(np.uint8))
    create_flat(folder / FOLD, (count,), np.dtype(np.int16), fill=-1)
    return _open_predictions(folder, sizes, "r+")


def read_predictions(folder: Path, sizes: IntArray, *, writing: bool = False) -> PredictionFiles:
    """Return the files of a round's folder, read-only unless `writing`.

    Raises:
        RoundError: they are missing, or belong to other images.
    """
    try:
        return _open_predictions(folder, sizes, "r+" if writing else "r")
    except (OSError, ValueError) as error:
        raise RoundError(f"the predictions of {folder} cannot be read ({error})", "start the round again") from error


def create_flat(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.integer], fill: int = 0) -> None:
    """Create an array's file, whole or not at all; an existing one is kept."""
    if path.exists():
        return
    with atomic_path(path) as partial:
        array = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)  # sparse until it is filled
        if fill:
            array[:] = fill
        array.flush()


def _open_predictions(folder: Path, sizes: IntArray, mode: str) -> PredictionFiles:
    predicted, confidence, given_probability, fold = (
        np.lib.format.open_memmap(folder / name, mode=mode) for name in (PREDICTED, CONFIDENCE, GIVEN_PROBABILITY, FOLD)
    )
    starts = offsets(sizes)
    pixels = int(starts[-1])
    if {len(predicted), len(confidence), len(given_probability)} != {pixels} or len(fold) != len(sizes):
        raise ValueError(f"they are of {len(predicted):,} pixels, the images have {pixels:,}")
    return PredictionFiles(predicted, confidence, given_probability, fold, sizes, starts)


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """Votes of one fold, memory-mapped: flat (P,) for P pixels of the images that all folds predict."""

    predicted: IntArray
    confidence: ByteArray
    sizes: IntArray  # (N, 2) height, width
    starts: IntArray  # (N + 1,) start of each sample's pixels; no pixels for samples predicted once

    def of(self, row: int) -> tuple[IntArray, ByteArray]:
        """Return one sample's classes and confidences, views of (H, W)."""
        pixels, shape = slice(self.starts[row], self.starts[row + 1]), (self.sizes[row, 0], self.sizes[row, 1])
        return self.predicted[pixels].reshape(shape), self.confidence[pixels].reshape(shape)

    def flush(self) -> None:
        """Flush written values to the disk."""
        for array in (self.predicted, self.confidence):
            if isinstance(array, np.memmap):
                array.flush()


def create_votes(folder: Path, fold: int, sizes: IntArray, shared: IntArray, classes: int) -> Votes:
    """Return a fold's files in a round's folder, open for writing; `shared`, (M,), are the rows that all predict."""
    starts = _starts(sizes, shared)
    (folder / _FOLDER).mkdir(exist_ok=True)
    predicted, confidence = _paths(folder, fold)
    create_flat(predicted, (int(starts[-1]),), mask_dtype(classes))
    create_flat(confidence, (int(starts[-1]),), np.dtype(np.uint8))
    return _open_votes(folder, fold, sizes, starts, "r+")


def read_votes(folder: Path, folds: int, sizes: IntArray, shared: IntArray) -> Sequence[Votes]:
    """Return the files of all folds, empty if they are merged already.

    Raises:
        RoundError: files of a fold are missing, or belong to other images.
    """
    if not (folder / _FOLDER).is_dir():
        return []
    starts = _starts(sizes, shared)
    try:
        found = [_open_votes(folder, fold, sizes, starts, "r") for fold in range(folds)]
    except (OSError, ValueError) as error:
        raise RoundError(f"predictions of {folder} cannot be read ({error})", "start the round again") from error
    if any(len(one.predicted) != starts[-1] or len(one.confidence) != starts[-1] for one in found):
        raise RoundError(f"the predictions of {folder} are of other images", "start the round again")
    return found


def forget_votes(folder: Path) -> None:
    """Remove merged votes; the folder is renamed first, so that a part of it is never merged again."""
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


def _open_votes(folder: Path, fold: int, sizes: IntArray, starts: IntArray, mode: str) -> Votes:
    predicted, confidence = (np.lib.format.open_memmap(path, mode=mode) for path in _paths(folder, fold))
    return Votes(predicted, confidence, sizes, starts)
