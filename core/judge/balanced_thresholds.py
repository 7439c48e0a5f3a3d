"""From which confidence on a predicted class is taken for a label: another threshold for each class.

One threshold for all starves the classes a network is never sure of, which are the rare ones. So of each class the same
share is taken, its most confident predictions (Y. Zou et al., *Unsupervised Domain Adaptation for Semantic Segmentation
via Class-Balanced Self-Training*, ECCV 2018). Items are images or pixels.

Shapes: K classes, L levels of confidence; level i is the confidence i / (L - 1).
"""

import numpy as np

from core.types import FloatArray, IntArray


def balanced_thresholds(counts: IntArray, share: float, least: float = 0.0) -> FloatArray:
    """Return the threshold of each class, (K,); a prediction is taken at it or above.

    It is the lowest level from which on at most `share` of the class' predictions lie, and never below the confidence
    `least`. The surest level that a class reaches is taken whole, so whatever is predicted with `least` confidence
    keeps some. A class that is not predicted has a threshold above 1, which nothing reaches.

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


def taken(counts: IntArray, thresholds: FloatArray) -> IntArray:
    """Return how many predictions of each class are taken, (K,)."""
    levels = counts.shape[1]
    at_least = np.arange(levels) >= (thresholds * (levels - 1) - _ROUNDING)[:, None]
    chosen: IntArray = (counts * at_least).sum(axis=1)
    return chosen


_ROUNDING = 1e-6  # of a level
_NEVER = 2.0
