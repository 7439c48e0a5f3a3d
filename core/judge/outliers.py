"""Outliers: images that even their nearest neighbours do not resemble.

An image's isolation is judged by the median cosine to its six neighbours, against the spread of this median over all
images. A mean would be lifted by one or two odd images of the same kind, which then hide one another.
"""

import numpy as np

from core.types import FloatArray, IntArray

_FEWEST = 30  # images; of fewer the spread says nothing
_DEVIATIONS = 3.5  # robust ones, below the median
_TO_DEVIATION = 1.4826  # median absolute deviation -> standard deviation of a normal distribution


def outliers(likeness: FloatArray) -> IntArray:
    """Return the rows of the outliers, the most isolated first.

    Args:
        likeness: cosine to each neighbour, (N, 6), NaN where there is none (`similarity.likeness`).
    """
    if len(likeness) < _FEWEST:
        return np.empty(0, np.int64)
    typical = np.nanmedian(likeness, axis=1)
    median = np.median(typical)
    spread = _TO_DEVIATION * np.median(np.abs(typical - median))
    rows = np.flatnonzero(typical < median - _DEVIATIONS * spread)
    isolated: IntArray = rows[np.argsort(typical[rows], kind="stable")]
    return isolated
