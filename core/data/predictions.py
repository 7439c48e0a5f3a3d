"""What a round says of every pixel: flat memory maps, all samples one behind the other in the snapshot's order.

`predicted.npy` holds the likeliest class, `confidence.npy` its probability and `given_probability.npy` that of the
given class, both as round(255 p); where nothing is given the latter is 255, never suspicious. A sample's pixels stand
row-major from `offsets[row]` to `offsets[row + 1]`. `fold.npy` names the fold that predicted each sample, -1: none yet,
or all of them (`core.data.votes`).

The files appear whole with the first fold; each fold fills its own samples in, so a fold that is run again writes
the same bytes to the same places. Dense probabilities of all classes are never stored: they would be K floats a pixel.
"""

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


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A round's files, memory-mapped; every array is flat, (P,) for P pixels of all samples, but the last three."""

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
        """Hand what was written over to the disk."""
        for array in (self.predicted, self.confidence, self.given_probability, self.fold):
            if isinstance(array, np.memmap):
                array.flush()


def offsets(sizes: IntArray) -> IntArray:
    """Return where each sample's pixels begin, and where the last ones end, (N + 1,); sizes are (N, 2)."""
    return np.concatenate([[0], np.cumsum(sizes[:, 0].astype(np.int64) * sizes[:, 1])])


def create_predictions(folder: Path, sizes: IntArray, classes: int) -> Predictions:
    """Return the files of a round's folder to be filled in; those that are there already are kept as they are."""
    pixels, count = int(offsets(sizes)[-1]), len(sizes)
    create_flat(folder / PREDICTED, (pixels,), mask_dtype(classes))
    create_flat(folder / CONFIDENCE, (pixels,), np.dtype(np.uint8))
    create_flat(folder / GIVEN_PROBABILITY, (pixels,), np.dtype(np.uint8))
    create_flat(folder / FOLD, (count,), np.dtype(np.int16), fill=-1)
    return _opened(folder, sizes, "r+")


def read_predictions(folder: Path, sizes: IntArray, *, writing: bool = False) -> Predictions:
    """Return the files of a round's folder, read-only but for somebody `writing`.

    Raises:
        RoundError: they are not there, or belong to other images.
    """
    try:
        return _opened(folder, sizes, "r+" if writing else "r")
    except (OSError, ValueError) as error:
        raise RoundError(f"the predictions of {folder} cannot be read ({error}); start the round again") from error


def create_flat(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.integer], fill: int = 0) -> None:
    """Make an array's file, whole or not at all; one that is there is kept as it is."""
    if path.exists():
        return
    with atomic_path(path) as partial:
        array = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)  # holes, until it is filled
        if fill:
            array[:] = fill
        array.flush()


def _opened(folder: Path, sizes: IntArray, mode: str) -> Predictions:
    predicted, confidence, given_probability, fold = (
        np.lib.format.open_memmap(folder / name, mode=mode) for name in (PREDICTED, CONFIDENCE, GIVEN_PROBABILITY, FOLD)
    )
    starts = offsets(sizes)
    pixels = int(starts[-1])
    if {len(predicted), len(confidence), len(given_probability)} != {pixels} or len(fold) != len(sizes):
        raise ValueError(f"they are of {len(predicted):,} pixels, the images have {pixels:,}")
    return Predictions(predicted, confidence, given_probability, fold, sizes, starts)
