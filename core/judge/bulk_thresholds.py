"""From which confidence on all pseudo labels of a class are worth accepting unseen: one threshold a class.

One threshold for all lets the easy classes in and starves the rare ones, whose predictions are less sure (Zou, Yu,
Kumar & Wang, *Unsupervised domain adaptation for semantic segmentation via class-balanced self-training*, ECCV 2018;
Zhang et al., *FlexMatch*, NeurIPS 2021). So each class gets its own:

- "precision": the lowest confidence from which on the out-of-fold predictions of this class are right often enough,
  judged by the given labels. Given labels err as well: where a share `reachable` of a class's images carries its label,
  no prediction could agree more often, so agreement is divided by it.
- "balanced", where too few predictions of the class meet given labels, or none are right that often: the same share of
  every class is let in, its surest ones (class-balanced self-training), namely the share that the classes with a
  threshold of the first kind let in. Nothing below .5 is ever let in: there the others together are likelier.

K classes, L = 101 levels of confidence in whole percents, rounded down as everywhere. Counts may be images or pixels.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.types import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
LEVELS = 101
TARGET = 0.95  # of the pseudo labels of a class, right
FEWEST = 20  # predictions of a class that met a given label; of fewer a share says nothing
_LEAST = 50  # percent
_FIRST_SHARE = 0.2  # where no class can tell: as class-balanced self-training begins


@dataclass(frozen=True, slots=True)
class ClassThreshold:
    """One class's threshold in whole percents, what it rests on, and how often predictions from it on are right."""

    label: int
    percent: int
    basis: str  # "precision" or "balanced"
    precision: float | None  # None: too few were seen
    seen: int  # predictions of the class from the threshold on that met a given label


def level_of(confidence: FloatArray) -> IntArray:
    """Return whole percents, rounded down; 0.29 has 29 although 100 * 0.29 is a little less."""
    levels: IntArray = np.clip(np.floor(confidence * 100 + 1e-9), 0, LEVELS - 1).astype(np.int64)
    return levels


def counted(pseudo: IntArray, level: IntArray, classes: int) -> IntArray:
    """Return how many predictions there are of each class and level, (K, L); both (N,)."""
    cells = pseudo.astype(np.int64) * LEVELS + level
    return np.bincount(cells, minlength=classes * LEVELS).reshape(classes, LEVELS)


def estimate(
    every: IntArray,
    right: IntArray,
    unlabelled: IntArray,
    *,
    target: float = TARGET,
    fewest: int = FEWEST,
    reachable: FloatArray | None = None,
) -> list[ClassThreshold]:
    """Return a threshold for each class.

    Args:
        every: out-of-fold predictions that met a given label, by predicted class and level, (K, L).
        right: those that agree with it, (K, L).
        unlabelled: predictions of what has no label, (K, L); what is let in of a class is a share of these, if any.
        target: share of right ones.
        fewest: predictions that are enough to speak of a share.
        reachable: how often an item truly of each class carries its label, (K,); None: always.
    """
    seen, agreeing, waiting = (np.cumsum(counts[:, ::-1], axis=1)[:, ::-1] for counts in (every, right, unlabelled))
    best = np.ones(len(every)) if reachable is None else reachable
    precision = np.minimum(1, agreeing / np.maximum(1, seen) / np.maximum(best, 0.5)[:, None])  # (K, L)
    good = (precision >= target) & (seen >= fewest)
    good[:, :_LEAST] = False
    told: BoolArray = np.asarray(good.any(axis=1))
    percent = np.where(told, good.argmax(axis=1), 0)
    share = _share_let_in(waiting, seen, percent, told)
    for label in np.flatnonzero(~told).tolist():
        own = waiting[label] if waiting[label, 0] else seen[label]
        percent[label] = _surest(own, share)
    found = []
    for label, least in enumerate(percent.tolist()):
        met = int(seen[label, least])
        right_share = float(precision[label, least]) if met >= fewest else None
        found.append(ClassThreshold(label, least, "precision" if told[label] else "balanced", right_share, met))
    return found


def as_json(found: Sequence[ClassThreshold]) -> list[dict[str, Any]]:
    """Return the thresholds as they are stored with a round, one for each class in the order of their ids."""
    return [asdict(one) for one in found]


def _share_let_in(waiting: IntArray, seen: IntArray, percent: IntArray, told: BoolArray) -> float:
    """Return which share the classes with a threshold of their own let in, all of them together."""
    counts = waiting if waiting[told, 0].any() else seen
    everything = int(counts[told, 0].sum())
    return float(counts[told, percent[told]].sum()) / everything if everything else _FIRST_SHARE


def _surest(from_here_on: IntArray, share: float) -> int:
    """Return the highest level from which on at least this share of a class is let in, (L,) -> percent."""
    enough = np.flatnonzero(from_here_on >= max(1, share * from_here_on[0]))
    return max(_LEAST, int(enough[-1])) if len(enough) else LEVELS - 1
