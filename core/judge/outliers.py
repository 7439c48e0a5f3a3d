"""Outliers: images that even their nearest neighbours do not resemble.

An image's isolation is judged by the mean cosine to its neighbours, against the spread of this mean over all images.
"""

import numpy as np

from core.types import FloatArray, IntArray

_FEWEST = 30  # images; of fewer the spread says nothing
_DEVIATIONS = 4.0  # robust ones, below the median
_TO_DEVIATION = 1.4826  # median absolute deviation -> standard deviation of a normal distribution


def outliers(likeness: FloatArray) -> IntArray:
    """Return the rows of the outliers, the most isolated first.

    Args:
        likeness: cosine to each neighbour, (N, 6), NaN where there is none (`similarity.likeness`).
    """
    if len(likeness) < _FEWEST:
        return np.empty(0, np.int64)
    mean = np.nanmean(likeness, axis=1)
    median = np.median(mean)
    spread = _TO_DEVIATION * np.median(np.abs(mean - median))
    rows = np.flatnonzero(mean < median - _DEVIATIONS * spread)
    isolated: IntArray = rows[np.argsort(mean[rows], kind="stable")]
    return isolated
