"""Which regions are looked at first, how many are wrong, and from which confidence on accepting them is proposed.

K classes; probabilities are means over a region's pixels, in [0, 1].

The order is the outcome of an experiment (docs/method.md, "Masks"). Each of its three parts says something of its own:
how much likelier the predicted class is, how seldom the round confuses these two classes elsewhere (what models mix up
all the time is rarely the label's fault), and how large the region is.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from core.types import FloatArray, IntArray, Region

_LEVELS = 255  # probabilities come in so many steps
_PAIR_WEIGHT = 0.5
_AGREEING = 0.995
_FEWEST_SHARE = 0.01  # of the pixels; of fewer, agreement is chance
_LEAST_THRESHOLD, _CAUTIOUS = 0.5, 0.99


class RankedRegion(Protocol):
    """What ranking needs to know of a finding."""

    @property
    def given(self) -> int:
        """The given class."""

    @property
    def pseudo(self) -> int:
        """The predicted class."""

    @property
    def log_odds(self) -> float:
        """The mean logarithm of p(pseudo) / p(given)."""

    @property
    def region(self) -> Region:
        """Its pixels."""


def worst_first(findings: Sequence[RankedRegion], confusion: IntArray) -> list[int]:
    """Return the places of the findings in the order to look at them; `confusion` is the round's, (K, K) pixels."""
    rate = (confusion + 1) / (confusion.sum(axis=1, keepdims=True) + len(confusion))
    suspicion = [
        (one.log_odds - _PAIR_WEIGHT * np.log(rate[one.given, one.pseudo])) * np.log1p(one.region.area)
        for one in findings
    ]
    order: list[int] = np.argsort(-np.array(suspicion), kind="stable").tolist()
    return order


def usual_confidence(seen: IntArray, likely: IntArray) -> FloatArray:
    """Return how sure the models are of each class where it is given, (K,); 1 for a class that nowhere is.

    These are the thresholds of confident learning (Northcutt, Jiang & Chuang, JAIR 2021), with regions for items.

    Args:
        seen: pixels of each given class, (K,).
        likely: their p(given) in sum, in 255ths, (K,).
    """
    usual: FloatArray = np.where(seen > 0, likely / np.maximum(1, seen * _LEVELS), 1.0)
    return usual


def propose(every: IntArray, right: IntArray) -> dict[str, float | str | None]:
    """Return a threshold, how often given masks agree from it on (None: nothing is so sure), and what it rests on.

    It is the lowest from which on 99.5 % of the pixels agree with their given label ("agreement"). Where there is no
    such level nothing speaks for accepting anything unseen, and a high one is proposed ("default"). Agreement is no
    precision: how many of the *contradicted* labels are wrong is known only once people have judged some.

    Args:
        every: pixels away from borders by confidence, (256,).
        right: those of them on which prediction and given mask agree.
    """
    seen, agreeing = (np.cumsum(counts[::-1])[::-1] for counts in (every, right))
    good = (agreeing >= _AGREEING * seen) & (seen > 0) & (seen >= _FEWEST_SHARE * seen[0])
    good[: round(_LEAST_THRESHOLD * _LEVELS)] = False
    threshold = int(np.flatnonzero(good)[0]) / _LEVELS if good.any() else _CAUTIOUS
    level = round(threshold * _LEVELS)
    return {
        "threshold": float(np.ceil(threshold * 100) / 100),  # thresholds are offered in hundredths
        "agreement": int(agreeing[level]) / int(seen[level]) if seen[level] else None,
        "basis": "agreement" if good.any() else "default",
    }
