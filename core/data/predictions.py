"""Files that the folds of a round leave in its folder: predictions of images in a file each, those of pixels together.

A fold of images has its own file (`fold_file`, read by `core.judge.fold_predictions`). Every pixel of a round of masks
lies in flat memory maps: all samples one after another in the snapshot's order.

`predicted.npy` holds the likeliest class, `confidence.npy` its probability and `given_probability.npy` that of the
given class, both as round(255 p); without a given label the latter is 255, never suspicious. A sample's pixels lie
row-major from `offsets[row]` to `offsets[row + 1]`. `fold.npy` holds the fold that predicted each sample, -1 for none
yet and for those that all folds predict.

The files appear whole with the first fold; each fold fills its own samples in, so a fold that is run again writes
the same bytes to the same places. Dense probabilities of all classes are never stored: they would be K floats a pixel.

`Votes` are the predictions of samples that no model has seen. The models of all folds predict them, which may run at
the same time or days apart, so each fold writes files of its own below `votes/`: a byte for the likeliest class of a
pixel (two for many classes) and one for its probability. `core.judge.mask_judgement` merges them in the end.

Where folds are trained in several homes, each home has the maps with its own folds' rows alone. So a fold's rows travel
as parts, in files of their own that another home adds to its maps: `parts/predicted_<k>.npy`, `confidence_<k>.npy` and
`given_probability_<k>.npy`, flat as there, and `fold_<k>.npy`, the samples' rows, (M,).
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.snapshot import Snapshot, masks_of
from core.data.storage import atomic_path, save_array
from core.types import ByteArray, IntArray, RoundError, mask_dtype

PREDICTED = "predicted.npy"
CONFIDENCE = "confidence.npy"
GIVEN_PROBABILITY = "given_probability.npy"
FOLD = "fold.npy"
CERTAIN = 255  # a probability of 1
_ARRAYS = (PREDICTED, CONFIDENCE, GIVEN_PROBABILITY)
FLAT = (*_ARRAYS, FOLD)
PARTS = "parts"
_FOLDER, _MERGED = "votes", "votes.merged"
EMBEDDINGS = "embeddings.npy"
BACKBONE_CHECK = "backbone_check.json"  # comparison of the network with others, if there was one
DECAY = "decay.json"  # weight decay of a round of probes, and the likelihoods that decided it


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


def fold_file(folder: Path, fold: int) -> Path:
    """Return the path of a finished fold."""
    return folder / f"fold_{fold}.npz"


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


def cut_part(folder: Path, fold: int) -> None:
    """Write the rows that a fold has predicted into files of their own, in a round's folder with flat arrays."""
    sizes = _sizes(folder)
    predictions = read_predictions(folder, sizes)
    rows = np.flatnonzero(np.asarray(predictions.fold) == fold)
    counts = sizes[rows].astype(np.int64).prod(axis=1)
    for name in _ARRAYS:
        whole = np.load(folder / name, mmap_mode="r")
        with atomic_path(_part(folder, name, fold)) as partial:
            part = np.lib.format.open_memmap(partial, mode="w+", dtype=whole.dtype, shape=(int(counts.sum()),))
            for start, place, count in _places(predictions.starts, rows, counts):
                part[start : start + count] = whole[place : place + count]
            part.flush()
    save_array(_part(folder, FOLD, fold), rows)


def add_part(folder: Path, name: str) -> None:
    """Write the rows of a part into the flat arrays, created if missing, if `name` completes a part.

    `name` is a file's path below the folder; other files are ignored.
    """
    path = folder / name
    if path.parent != folder / PARTS or not path.name.startswith("fold_"):
        return
    fold = int(path.stem.removeprefix("fold_"))
    sizes, rows = _sizes(folder), np.load(path)
    counts = sizes.astype(np.int64).prod(axis=1)
    pixels = int(counts.sum())
    for one in _ARRAYS:
        part = np.load(_part(folder, one, fold), mmap_mode="r")
        create_flat(folder / one, (pixels,), part.dtype)
        whole = np.lib.format.open_memmap(folder / one, mode="r+")
        starts = np.concatenate([[0], np.cumsum(counts)])
        for start, place, count in _places(starts, rows, counts[rows]):
            whole[place : place + count] = part[start : start + count]
        whole.flush()
    create_flat(folder / FOLD, (len(sizes),), np.dtype(np.int16), fill=-1)
    folds = np.lib.format.open_memmap(folder / FOLD, mode="r+")
    folds[rows] = fold
    folds.flush()


def _starts(sizes: IntArray, shared: IntArray) -> IntArray:
    own = np.zeros_like(sizes)
    own[shared] = sizes[shared]
    return offsets(own)


def _paths(folder: Path, fold: int) -> tuple[Path, Path]:
    return folder / _FOLDER / f"predicted_{fold}.npy", folder / _FOLDER / f"confidence_{fold}.npy"


def _open_votes(folder: Path, fold: int, sizes: IntArray, starts: IntArray, mode: str) -> Votes:
    predicted, confidence = (np.lib.format.open_memmap(path, mode=mode) for path in _paths(folder, fold))
    return Votes(predicted, confidence, sizes, starts)


def _places(starts: IntArray, rows: IntArray, counts: IntArray) -> Iterator[tuple[int, int, int]]:
    """Yield of each row the start in the part, the start in the whole array, and the number of pixels."""
    begins = np.concatenate([[0], np.cumsum(counts)])
    yield from zip(begins.tolist(), starts[rows].tolist(), counts.tolist(), strict=False)


def _part(folder: Path, name: str, fold: int) -> Path:
    return folder / PARTS / f"{name.removesuffix('.npy')}_{fold}.npy"


def _sizes(folder: Path) -> IntArray:
    return masks_of(Snapshot.load(folder)).sizes
