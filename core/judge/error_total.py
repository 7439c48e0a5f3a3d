"""Total of wrong labels in a dataset, from random samples of its parts: of the findings and of the agreeing images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between its two bounds."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of the dataset, the random sample judged of it, and how many labels of that sample are wrong."""

    size: int
    judged: int
    wrong: int

    def __post_init__(self) -> None:
        """Refuse a sample that the part cannot have."""
        if not 0 <= self.wrong <= self.judged <= self.size:
            raise ValueError(f"{self.wrong} wrong of {self.judged} judged of {self.size} is impossible")
        if self.size and not self.judged:
            raise ValueError(f"none of {self.size} is judged, so their wrong labels are unknown; judge a random sample")


def wrong_labels(strata: Sequence[Stratum], *, level: float = 0.95) -> Interval:
    """Return how many labels are wrong in all parts together: Horvitz-Thompson total with a melded interval.

    Of one part the bounds are exact for draws without replacement (Clopper-Pearson's of the hypergeometric): given k
    wrong of n, the bound's distribution is k plus a beta-binomial of the N - n others. Several are added by drawing
    from these (Fay, Proschan & Brittain, *Combining one-sample confidence procedures*, Biometrics 2015).
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
