"""Confidence thresholds per class: for bulk acceptance of pseudo labels, and for training on them.

One threshold for all classes accepts the easy ones and starves the rare ones, whose predictions are less confident
(Zou, Yu, Kumar & Wang, *Unsupervised domain adaptation for semantic segmentation via class-balanced self-training*,
ECCV 2018; Zhang et al., *FlexMatch*, NeurIPS 2021). So each class has its own.

`estimate` returns thresholds for bulk acceptance, each with its basis:

- "precision": the lowest confidence from which the out-of-fold predictions of the class reach the target precision,
  measured by the given labels. Given labels err as well: where a share `reachable` of a class's images carries its
  label, no prediction can agree more often, so agreement is divided by it.
- "balanced", where too few predictions of the class meet given labels, or none reaches the target: the same share of
  each class is accepted, its most confident predictions. It is the share that the classes with a threshold by precision
  accept. The threshold is never below .5, where the other classes together are likelier.

`balanced_thresholds` returns thresholds for training: the same share of each class.

Shapes: K classes, L levels of confidence. Bulk thresholds have L = 101: whole percents, rounded down. In
`balanced_thresholds` level i is the confidence i / (L - 1). Counts may be images or pixels.
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
FEWEST = 20  # predictions of a class with a given label; a share of fewer is unreliable
_LEAST = 50  # percent
_FIRST_SHARE = 0.2  # where no class has a threshold by precision; the first share of class-balanced self-training
_ROUNDING = 1e-6  # of a level
_NEVER = 2.0


@dataclass(frozen=True, slots=True)
class ClassThreshold:
    """Threshold of one class in whole percents, its basis, and the precision of predictions from it on."""

    label: int
    percent: int
    basis: str  # "precision" or "balanced"
    precision: float | None  # None: too few predictions have a given label
    seen: int  # predictions of the class from the threshold on that have a given label


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
        every: out-of-fold predictions with a given label, by predicted class and level, (K, L).
        right: those that agree with it, (K, L).
        unlabelled: predictions without a given label, (K, L); accepted shares are of these, if there are any.
        target: precision to reach.
        fewest: predictions from which a share is reliable.
        reachable: share of the items truly of each class that carry its label, (K,); None: 1.
    """
    seen, agreeing, waiting = (np.cumsum(counts[:, ::-1], axis=1)[:, ::-1] for counts in (every, right, unlabelled))
    best = np.ones(len(every)) if reachable is None else reachable
    precision = np.minimum(1, agreeing / np.maximum(1, seen) / np.maximum(best, 0.5)[:, None])  # (K, L)
    good = (precision >= target) & (seen >= fewest)
    good[:, :_LEAST] = False
    precise: BoolArray = np.asarray(good.any(axis=1))
    percent = np.where(precise, good.argmax(axis=1), 0)
    share = _accepted_share(waiting, seen, percent, precise)
    for label in np.flatnonzero(~precise).tolist():
        own = waiting[label] if waiting[label, 0] else seen[label]
        percent[label] = _threshold_of_share(own, share)
    found = []
    for label, least in enumerate(percent.tolist()):
        met = int(seen[label, least])
        right_share = float(precision[label, least]) if met >= fewest else None
        found.append(ClassThreshold(label, least, "precision" if precise[label] else "balanced", right_share, met))
    return found


def balanced_thresholds(counts: IntArray, share: float, least: float = 0.0) -> FloatArray:
    """Return the threshold of each class, (K,); predictions at or above it are accepted.

    It is the lowest level from which at most `share` of the class' predictions lie, and never below the confidence
    `least`. The highest level that a class reaches is accepted whole, so a class with a prediction of `least`
    confidence keeps some. A class that is not predicted has a threshold above 1, which no prediction reaches.

    Args:
        counts: predictions by class and level, (K, L).
        share: in (0, 1].
        least: in [0, 1].
    """
    levels = counts.shape[1]
    above = counts[:, ::-1].cumsum(axis=1)[:, ::-1]  # (K, L) predictions at a level or above it
    total = above[:, :1]
    inside = above <= share * total
    lowest = np.where(inside.any(axis=1), inside.argmax(axis=1), levels)
    surest = levels - 1 - (counts[:, ::-1] > 0).argmax(axis=1)
    level = np.minimum(lowest, surest)
    level = np.maximum(level, np.ceil(least * (levels - 1) - _ROUNDING).astype(np.int64))
    thresholds: FloatArray = np.where(total[:, 0] > 0, level / (levels - 1), _NEVER)
    return thresholds


def accepted_counts(counts: IntArray, thresholds: FloatArray) -> IntArray:
    """Return the number of accepted predictions of each class, (K,)."""
    levels = counts.shape[1]
    at_least = np.arange(levels) >= (thresholds * (levels - 1) - _ROUNDING)[:, None]
    chosen: IntArray = (counts * at_least).sum(axis=1)
    return chosen


def level_counts(pseudo: IntArray, level: IntArray, classes: int) -> IntArray:
    """Return the number of predictions of each class and level, (K, L); both arguments (N,)."""
    cells = pseudo.astype(np.int64) * LEVELS + level
    return np.bincount(cells, minlength=classes * LEVELS).reshape(classes, LEVELS)


def level_of(confidence: FloatArray) -> IntArray:
    """Return whole percents, rounded down; 0.29 has 29 although 100 * 0.29 is a little less."""
    levels: IntArray = np.clip(np.floor(confidence * 100 + 1e-9), 0, LEVELS - 1).astype(np.int64)
    return levels


def as_json(found: Sequence[ClassThreshold]) -> list[dict[str, Any]]:
    """Return the thresholds as they are stored with a round, one for each class in the order of their ids."""
    return [asdict(one) for one in found]


def _accepted_share(waiting: IntArray, seen: IntArray, percent: IntArray, precise: BoolArray) -> float:
    """Return the share that the classes with a threshold by precision accept, all of them together."""
    counts = waiting if waiting[precise, 0].any() else seen
    everything = int(counts[precise, 0].sum())
    return float(counts[precise, percent[precise]].sum()) / everything if everything else _FIRST_SHARE


def _threshold_of_share(from_here_on: IntArray, share: float) -> int:
    """Return the highest level from which at least this share of a class is accepted, (L,) -> percent."""
    enough = np.flatnonzero(from_here_on >= max(1, share * from_here_on[0]))
    return max(_LEAST, int(enough[-1])) if len(enough) else LEVELS - 1
