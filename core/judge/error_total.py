"""Total of wrong labels in a dataset, from random samples of its strata: findings, and images that agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Estimate with its bounds."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Stratum:
    """Part of the dataset with the size of its judged random sample, and the number of wrong labels in that sample."""

    size: int
    judged: int
    wrong: int

    def __post_init__(self) -> None:
        """Refuse counts that contradict one another."""
        if not 0 <= self.wrong <= self.judged <= self.size:
            raise ValueError(f"{self.wrong} wrong of {self.judged} judged of {self.size} is impossible")
        if self.size and not self.judged:
            raise ValueError(f"none of {self.size} is judged, so their wrong labels are unknown; judge a random sample")


def wrong_labels(strata: Sequence[Stratum], *, level: float = 0.95) -> Interval:
    """Return the number of wrong labels in all strata together: Horvitz-Thompson total with a melded interval.

    The bounds of one stratum are exact for draws without replacement (Clopper-Pearson's of the hypergeometric): given k
    wrong of n, the bound's distribution is k plus a beta-binomial of the N - n others. Several strata are added by
    drawing from these (Fay, Proschan & Brittain, *Combining one-sample confidence procedures*, Biometrics 2015).
    """
    rng = np.random.default_rng(0)
    low, high = np.zeros(_DRAWS), np.zeros(_DRAWS)
    estimate = 0.0
    for part in strata:
        if not part.size:
            continue
        k, n, rest = part.wrong, part.judged, part.size - part.judged
        estimate += k * part.size / n
        low += k + (rng.binomial(rest, rng.beta(k, n - k + 1, len(low))) if k else 0)
        high += k + (rng.binomial(rest, rng.beta(k + 1, n - k, len(high))) if k < n else rest)
    return Interval(estimate, float(np.quantile(low, (1 - level) / 2)), float(np.quantile(high, (1 + level) / 2)))
