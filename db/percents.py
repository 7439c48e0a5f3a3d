"""Whole percents of confidence: by them findings are counted, and bounds of filters compared."""

import numpy as np

from core.types import FloatArray, IntArray

_SLACK = 1e-9  # 0.29 has 29 percent although 100 * 0.29 is a little less


def percent_of(confidence: float) -> int:
    """Return the whole percents in a confidence; 0.29 has 29 although 100 * 0.29 is a little less."""
    return int(100 * confidence + _SLACK)


def percents_of(confidence: FloatArray) -> IntArray:
    """Return the whole percents in each confidence, (N,)."""
    return (100 * confidence + _SLACK).astype(np.int64)


def whole_percent(confidence: float) -> int | None:
    """Return the confidence in percent, None when that is no whole number."""
    percent = round(100 * confidence)
    return percent if abs(100 * confidence - percent) < _SLACK else None
