"""Uncertainty of the difference between two models on the same N items: paired bootstrap, McNemar's test, Holm.

Resampled are items, with everything that was measured on them, so what makes an item hard for both models cancels out.

The interval is the percentile interval, a little wider: its level is that which Student's t with N - 1 degrees asks of
a normal one (Hesterberg 2015, *What teachers should know about the bootstrap*). It was chosen by its coverage, in
which the plain and the BCa interval were worse (`bench/worth_coverage.py`, docs/method.md).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, norm, t

from core.types import FloatArray

LEVEL = 0.95
RESAMPLES = 2_000
_PICKS = 1 << 21  # resampled items that exist at once
_IMAGINED = [-1.0, 1.0]  # two items of which each model wins one (Bonett & Price 2012)


@dataclass(frozen=True, slots=True)
class Interval:
    """From where to where a difference may lie."""

    low: float
    high: float
    level: float = LEVEL

    @property
    def contains_zero(self) -> bool:
        """Return whether the interval contains zero."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's test: of the items on which the models differ, how many each wins, and how likely that is by chance.

    `p` is the exact binomial one, two-sided, never too small however few items differ. `p_mid` counts the observed
    split by half only; it is less timid, and in practice hardly ever too small (Fagerland, Lydersen & Laake 2013).
    """

    better: int  # items on which the second model is right, or less wrong
    worse: int  # items on which the first is
    p: float
    p_mid: float


def mcnemar(better: int, worse: int) -> McNemar:
    """Return McNemar's test of so many items won and lost; p is 1 where both are equally many."""
    count, fewer = better + worse, min(better, worse)
    tail = 2 * float(binom.cdf(fewer, count, 0.5))
    return McNemar(better, worse, min(1.0, tail), min(1.0, tail - float(binom.pmf(fewer, count, 0.5))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for being many (Holm 1979): one below 0.05 is then no chance find among all."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for done, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def interval_of_mean(gains: FloatArray, *, seed: int, resamples: int = RESAMPLES, level: float = LEVEL) -> Interval:
    """Return the interval of the mean of what was gained on each item, (N,) in [-1, 1].

    Gains have few different values, so it is these that are drawn, by one multinomial a resample: exactly the
    bootstrap over items, in a time that hardly depends on N. Where few items differ the bootstrap alone knows nothing
    of those it has not seen, and its interval misses far too often; hence two imagined items, one on either side.
    """
    values, counts = np.unique(np.concatenate([gains, _IMAGINED]), return_counts=True)
    count = len(gains) + len(_IMAGINED)
    drawn = np.random.default_rng(seed).multinomial(count, counts / count, size=resamples)
    return _intervals(drawn @ values[:, None] / count, len(gains), level)[0]


def intervals_of_sums(
    items: FloatArray,
    statistics: Callable[[FloatArray], FloatArray],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> list[Interval]:
    """Return the intervals of statistics that depend on sums over the items, (N, D), alone.

    Args:
        items: what each item adds, (N, D).
        statistics: sums (R, D) -> (R, M); NaN where a resample has nothing to say.
        seed: of the resamples.
        resamples: R, how many there are.
        level: how often such an interval holds the truth.
    """
    random, count = np.random.default_rng(seed), len(items)
    at_once = max(1, _PICKS // count)
    found = []
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        picked = random.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        weights = np.bincount(picked.ravel(), minlength=rows * count).reshape(rows, count)
        found.append(statistics(weights.astype(np.float64) @ items))
    return _intervals(np.concatenate(found), count, level)


def _intervals(found: FloatArray, count: int, level: float) -> list[Interval]:
    """Return the intervals of resampled statistics, (R, M), of so many items."""
    below = float(norm.cdf(-np.sqrt(count / (count - 1)) * t.ppf((1 + level) / 2, count - 1)))
    intervals = []
    for column in found.T:
        low, high = np.quantile(column[~np.isnan(column)], [below, 1 - below]).tolist()
        intervals.append(Interval(low, high, level))
    return intervals
