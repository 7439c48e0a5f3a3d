"""Uncertainty of the difference between two models on the same N items: paired bootstrap, McNemar's test, Bonferroni.

Items are resampled with all their measurements, so the difficulty of an item for both models cancels out.

The interval is the percentile interval, a little wider: at the level that corrects a normal interval to Student's t
with N - 1 degrees of freedom (Hesterberg 2015, *What teachers should know about the bootstrap*). It was chosen by its
coverage; the plain and the BCa interval were worse (`bench/worth_coverage.py`, docs/method.md).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.stats import binom, norm, t

from core.types import FloatArray, IntArray

LEVEL = 0.95
RESAMPLES = 2_000
_MOST_RESAMPLES, _BEYOND = 20_000, 10  # at most, and those beyond each end of an interval
_PICKS = 1 << 21  # resampled items that exist at once
_IMAGINED = [-1.0, 1.0]  # two items of which each model wins one (Bonett & Price 2012)


@dataclass(frozen=True, slots=True)
class DifferenceInterval:
    """Confidence interval of a difference."""

    low: float
    high: float
    level: float = LEVEL

    @property
    def contains_zero(self) -> bool:
        """Return True if the interval contains zero."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's test: items that each model wins, of those on which they differ, and the p-values.

    `p` is the exact binomial one, two-sided, valid for any number of items. `p_mid` counts the observed split by half
    only; it is less conservative, and in practice hardly ever too small (Fagerland, Lydersen & Laake 2013).
    """

    better: int  # items on which the second model is right, or less wrong
    worse: int  # items on which the first is
    p: float
    p_mid: float


def mcnemar(better: int, worse: int) -> McNemar:
    """Return McNemar's test of these numbers of items won and lost; p is 1 if they are equal."""
    count, fewer = better + worse, min(better, worse)
    tail = 2 * float(binom.cdf(fewer, count, 0.5))
    return McNemar(better, worse, min(1.0, tail), min(1.0, tail - float(binom.pmf(fewer, count, 0.5))))


def bonferroni(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, by Bonferroni.

    Holm's correction is more powerful, but has no intervals that agree with its decisions; these p-values agree with
    intervals of `simultaneous` level.
    """
    return [min(1.0, len(p_values) * p) for p in p_values]


def simultaneous(level: float, number: int) -> float:
    """Return the level of each of `number` intervals that together cover the truth at `level` (Bonferroni)."""
    return 1 - (1 - level) / number


def tail_of(level: float, count: int) -> float:
    """Return the share of the resamples of `count` items beyond each end of an interval of this level."""
    return float(norm.cdf(-np.sqrt(count / (count - 1)) * t.ppf((1 + level) / 2, count - 1)))


def resample_count(level: float, count: int, least: int = RESAMPLES) -> int:
    """Return the number of resamples that leave enough beyond both ends of an interval, `least` or more."""
    return max(least, min(_MOST_RESAMPLES, ceil(_BEYOND / tail_of(level, count))))


def interval_of_mean(won: IntArray, seeds: int = 1, *, level: float = LEVEL) -> DifferenceInterval:
    """Return the interval of the mean gain per seed, from the items' gains, whole numbers (N,) from -seeds to seeds.

    The distribution of a sum of independent whole numbers is computed exactly by a Fourier transform. So this is the
    bootstrap over items without resampling, exact at any level; the intervals of a hundred classes would need millions
    of resamples. Where few items differ the bootstrap alone has far too low coverage, so two imagined items are added,
    one on either side.
    """
    count = len(won) + 2
    imagined = np.concatenate([won, [-seeds, seeds]])
    shares = np.bincount(imagined + seeds, minlength=2 * seeds + 1) / count  # of -seeds to seeds
    sums = 2 * seeds * count + 1  # from -seeds * count on
    size = next_fast_len(sums, real=True)
    chances = np.maximum(irfft(rfft(shares, size) ** count, size)[:sums], 0)
    below = tail_of(level, len(won)) * chances.sum()
    low = int(np.searchsorted(np.cumsum(chances), below)) - seeds * count
    high = seeds * count - int(np.searchsorted(np.cumsum(chances[::-1]), below))
    return DifferenceInterval(low / (seeds * count), high / (seeds * count), level)


def intervals_of_sums(
    items: FloatArray,
    statistics: Callable[[FloatArray], FloatArray],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    levels: Sequence[float] | None = None,
) -> list[DifferenceInterval]:
    """Return the intervals of statistics that depend only on sums over the items, (N, D).

    Args:
        items: summands of each item, (N, D).
        statistics: sums (R, D) -> (R, M); NaN where a statistic is undefined in a resample.
        seed: of the resamples.
        resamples: their number, R.
        levels: of the interval of each statistic; None is `LEVEL` for all.
    """
    random, count = np.random.default_rng(seed), len(items)
    at_once = max(1, _PICKS // count)
    found = []
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        picked = random.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        weights = np.bincount(picked.ravel(), minlength=rows * count).reshape(rows, count)
        found.append(statistics(weights.astype(np.float64) @ items))
    return _intervals(np.concatenate(found), count, levels)


def _intervals(found: FloatArray, count: int, levels: Sequence[float] | None) -> list[DifferenceInterval]:
    """Return the intervals of resampled statistics, (R, M), of `count` items.

    An end with fewer than `_BEYOND` resamples beyond it is extrapolated by a normal tail: the distance from the median
    to the outermost quantile with enough resamples, times the ratio of the two normal quantiles.
    """
    intervals = []
    for column, level in zip(found.T, levels or [LEVEL] * found.shape[1], strict=True):
        known = column[~np.isnan(column)]
        tail = tail_of(level, count)
        measured = min(0.5, max(tail, _BEYOND / len(known)))
        low, middle, high = np.quantile(known, [measured, 0.5, 1 - measured]).tolist()
        if tail < measured < 0.5:  # noqa: PLR2004 beside the median
            longer = float(norm.ppf(tail) / norm.ppf(measured))
            low, high = middle + longer * (low - middle), middle + longer * (high - middle)
        intervals.append(DifferenceInterval(low, high, level))
    return intervals
