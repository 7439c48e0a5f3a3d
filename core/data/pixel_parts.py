"""One fold's part of the flat arrays of a round of masks, as files of its own that another home adds to its arrays.

The folds of a round fill one array each in their own rows (`core.data.predictions`). Where folds are trained in several
homes, each home has the arrays with its own folds' rows alone. So a fold's rows travel as `parts/predicted_<k>.npy`,
`confidence_<k>.npy` and `given_probability_<k>.npy`, flat as there, and `fold_<k>.npy`, the samples' rows, (M,).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.data.predictions import CONFIDENCE, FOLD, GIVEN_PROBABILITY, PREDICTED, create_flat, read_predictions
from core.data.snapshot import Snapshot, masks_of
from core.data.storage import atomic_path, save_array
from core.types import IntArray

FLAT = (PREDICTED, CONFIDENCE, GIVEN_PROBABILITY, FOLD)
PARTS = "parts"
_ARRAYS = (PREDICTED, CONFIDENCE, GIVEN_PROBABILITY)


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
    """Write the rows of a part into the flat arrays, made where they are missing, if `name` completes a part.

    `name` is a file's path below the folder; any other file is left alone.
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


def _places(starts: IntArray, rows: IntArray, counts: IntArray) -> Iterator[tuple[int, int, int]]:
    """Yield of each row the start in the part, the start in the whole array, and the number of pixels."""
    begins = np.concatenate([[0], np.cumsum(counts)])
    yield from zip(begins.tolist(), starts[rows].tolist(), counts.tolist(), strict=False)


def _part(folder: Path, name: str, fold: int) -> Path:
    return folder / PARTS / f"{name.removesuffix('.npy')}_{fold}.npy"


def _sizes(folder: Path) -> IntArray:
    return masks_of(Snapshot.load(folder)).sizes
