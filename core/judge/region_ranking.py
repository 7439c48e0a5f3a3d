"""The order of regions in a review, and the confidence from which on accepting them is proposed.

K classes; probabilities are means over a region's pixels, in [0, 1].

The order is the outcome of an experiment (docs/method.md, "Masks"). It weighs how much likelier the predicted class is,
how large the region is, and how unusual it is among the findings of its fold, since each network has mix-ups of its
own: a pair of classes that it confuses often, or many regions as striking as this one, are rarely the label's fault.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from core.types import FloatArray, IntArray, Region

_LEVELS = 255  # probabilities come in so many steps
_SURPRISE_WEIGHT = 0.5
_AGREEING = 0.995
_FEWEST_SHARE = 0.01  # of the pixels; of fewer, agreement is chance
_LEAST_THRESHOLD, _CAUTIOUS = 0.5, 0.99


class RankedRegion(Protocol):
    """Attributes of a finding that ranking needs."""

    @property
    def row(self) -> int:
        """The image it lies in."""

    @property
    def fold(self) -> int:
        """The fold whose network found it."""

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
    if not findings:
        return []
    columns = [(one.row, one.fold, one.given, one.pseudo, one.region.area) for one in findings]
    row, fold, given, pseudo, area = np.array(columns, dtype=np.int64).T
    odds = np.array([one.log_odds for one in findings])
    size = np.log1p(area)
    folds, fold = np.unique(fold, return_inverse=True)
    images = np.bincount(fold[np.unique(row, return_index=True)[1]], minlength=len(folds))
    pair = np.unique((fold * len(confusion) + given) * len(confusion) + pseudo, return_inverse=True)[1]
    seen = confusion.sum(axis=1)[given] * images[fold] / images.sum()  # pixels of the given class in the fold, about
    pair_surprise = -np.log((np.bincount(pair, weights=area)[pair] + 1) / (seen + len(confusion)))
    rank_surprise = -np.log((_rank_within(pair, odds * size) + 1) / (images[fold] + 1))
    suspicion = (odds + _SURPRISE_WEIGHT * (pair_surprise + rank_surprise)) * size
    order: list[int] = np.argsort(-suspicion, kind="stable").tolist()
    return order


def _rank_within(kind: IntArray, evidence: FloatArray) -> IntArray:
    """Return for each finding how many of its kind have more evidence, (N,)."""
    order = np.lexsort((-evidence, kind))
    starts = np.cumsum(np.bincount(kind)) - np.bincount(kind)
    rank = np.empty(len(kind), dtype=np.int64)
    rank[order] = np.arange(len(kind)) - starts[kind[order]]
    return rank


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
