"""Which regions are looked at first, how many are wrong, and from which confidence on accepting them is proposed.

K classes; probabilities are means over a region's pixels, in [0, 1].
"""

import numpy as np

from core.types import FloatArray, IntArray

_LEVELS = 255  # probabilities come in so many steps


def suspicion(confidence: float, self_confidence: float, area: int) -> float:
    """Return how much a region deserves a look; larger is more."""
    odds = np.log((confidence + 1 / _LEVELS) / (self_confidence + 1 / _LEVELS))
    return float(odds * np.sqrt(area))


def usual_confidence(seen: IntArray, likely: IntArray) -> FloatArray:
    """Return how sure the models are of each class where it is given, (K,); 1 for a class that nowhere is.

    Args:
        seen: pixels of each given class, (K,).
        likely: their p(given) in sum, in 255ths, (K,).
    """
    usual: FloatArray = np.where(seen > 0, likely / np.maximum(1, seen * _LEVELS), 1.0)
    return usual


def propose(every: IntArray, right: IntArray) -> dict[str, float | None]:
    """Return a threshold of confidence, and how often given masks agree from it on (None: nothing is that sure).

    Args:
        every: pixels away from borders by confidence, (256,).
        right: those of them on which prediction and given mask agree.
    """
    threshold = 0.95
    level = round(threshold * _LEVELS)
    seen = int(every[level:].sum())
    return {"threshold": threshold, "agreement": int(right[level:].sum()) / seen if seen else None}
