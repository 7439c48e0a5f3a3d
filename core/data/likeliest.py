"""Five likeliest classes of each sample instead of all classes, for rounds of very many samples.

Shapes: N samples, K classes. Kept of a sample are the logits of its five likeliest classes and of its given one, and
the logarithm of the sum over all others. Read as logits of all classes, those kept are exact and all others are equal,
so probabilities of the classes kept stay as they were, and so does the rest's sum. A temperature then changes the rest
as if it was spread evenly.

Logits are kept with 32 bits, since they are still to be divided by a temperature: 16 bits would change the odds of a
class with a logit of 16 by up to a hundredth. Probabilities that are final have 16 bits, as in full vectors
(`core.judge.stored_probabilities`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from core.data.storage import mapped_column
from core.types import NO_LABEL, FloatArray, IntArray

LOGITS, LIKELIEST = "logits", "likeliest"  # columns of a fold's file; it has one of them
KEPT = 5
_MOST_WHOLE = 1_000_000  # samples up to which all classes are kept
_FEW_CLASSES = 11  # with this number of classes, all of them take no more space than the likeliest with their numbers
_VALUES = 4_000_000  # at once
_SMALLEST = -80.0  # logarithm, in place of that of nothing

Kept = NDArray[np.void]  # (N,) of `_kept_type`


def keeps_all(samples: int, classes: int) -> bool:
    """Return whether a round of this number of samples keeps the logits and probabilities of all classes."""
    return samples <= _MOST_WHOLE or classes <= _FEW_CLASSES


def class_type(classes: int) -> DTypeLike:
    """Return the smallest type of a class's number."""
    return np.min_scalar_type(classes - 1) if classes > 1 << 8 else np.dtype(np.uint16)


def likeliest(values: FloatArray, most: int) -> IntArray:
    """Return the classes of the `most` largest values of each row, (N, most): largest first, of equal ones the lowest.

    Takes a few passes; sorting would need eight bytes for each class.
    """
    left, line = values.copy(), np.arange(len(values))
    top = np.empty((len(values), most), np.int64)
    for place in range(most):
        top[:, place] = left.argmax(axis=1)
        left[line, top[:, place]] = -np.inf
    return top


def summarise(logits: FloatArray, given: IntArray) -> Kept:
    """Return the stored summary of these logits, (N, K); `given` (N,) are class ids or `NO_LABEL`."""
    kept = np.zeros(len(logits), _kept_type(logits.shape[1]))
    step = max(1, _VALUES // logits.shape[1])
    for start in range(0, len(logits), step):
        part = slice(start, start + step)
        kept[part] = _summarise(logits[part], given[part])
    return kept


def _summarise(logits: FloatArray, given: IntArray) -> Kept:
    count, classes = logits.shape
    top, line = likeliest(logits, KEPT), np.arange(count)
    kept = np.zeros(count, _kept_type(classes))
    kept["class"], kept["given"] = top, given
    kept["logit"] = np.take_along_axis(logits, top, axis=1)
    kept["given_logit"] = logits[line, given]
    largest = kept["logit"][:, 0]
    others = np.exp((logits - largest[:, None]).astype(np.float64))
    np.put_along_axis(others, top, 0.0, axis=1)
    known = given != NO_LABEL
    others[line[known], given[known]] = 0.0
    with np.errstate(divide="ignore"):
        kept["rest"] = largest + np.maximum(np.log(others.sum(axis=1)), _SMALLEST)
    return kept


def expand(kept: Kept, classes: int) -> FloatArray:
    """Return logits of all classes, (N, K): those kept as they are, each other one an equal share of the rest."""
    known = kept["given"] != NO_LABEL
    outside = known & (kept["class"] != kept["given"][:, None]).all(axis=1)
    others = np.maximum(1, classes - KEPT - outside)
    logits = np.empty((len(kept), classes), np.float32)
    logits[:] = (kept["rest"] - np.log(others))[:, None]
    logits[np.flatnonzero(known), kept["given"][known]] = kept["given_logit"][known]
    np.put_along_axis(logits, kept["class"].astype(np.int64), kept["logit"], axis=1)
    return logits


@dataclass(frozen=True, slots=True, eq=False)
class LikelyLogits:
    """Logits of all classes, (N, K), computed for the rows that are asked for."""

    kept: Kept
    classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, K)."""
        return len(self.kept), self.classes

    def __getitem__(self, rows: IntArray) -> FloatArray:
        """Return the logits of these rows, (B, K)."""
        return expand(self.kept[rows], self.classes)


def logits_in(columns: Mapping[str, NDArray[Any]], classes: int) -> FloatArray | LikelyLogits:
    """Return the logits in the columns of a fold's results, to be asked for by rows."""
    return columns[LOGITS] if LOGITS in columns else LikelyLogits(columns[LIKELIEST], classes)


def predicted_classes(columns: Mapping[str, NDArray[Any]]) -> IntArray:
    """Return the likeliest class of each row of a fold's results, (N,)."""
    if LOGITS in columns:
        classes: IntArray = columns[LOGITS].argmax(axis=1)
        return classes
    return columns[LIKELIEST]["class"][:, 0].astype(np.int64)


def read_logits(path: Path, lines: IntArray, classes: int) -> FloatArray:
    """Return the logits in these lines of a fold's file, (B, K); it is mapped anew, so that no page stays in memory."""
    try:
        kept = mapped_column(path, LIKELIEST)
    except KeyError:
        return np.asarray(mapped_column(path, LOGITS)[lines])
    return expand(np.asarray(kept[lines]), classes)


def _kept_type(classes: int) -> np.dtype[np.void]:
    """Return the dtype of a sample's stored summary, 42 bytes for up to 65,536 classes."""
    return np.dtype(
        [
            ("class", class_type(classes), KEPT),
            ("logit", np.float32, KEPT),
            ("given", np.int32),
            ("given_logit", np.float32),  # undefined without a label
            ("rest", np.float32),  # log of the sum of exp over all other classes
        ]
    )
