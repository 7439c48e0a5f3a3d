"""Ranking of suspicious regions, and the proposed threshold of confidence for accepting them.

K classes; probabilities are means over a region's pixels, in [0, 1].

The ranking was chosen by experiment (docs/method.md, "Masks"). It combines the odds of the predicted class, the size of
the region, and its rarity among the findings of its fold: pairs of classes that a network confuses often, and regions
with many others as suspicious, are rarely due to wrong labels.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from core.types import FloatArray, IntArray, Region

_LEVELS = 255  # steps of a stored probability
_SURPRISE_WEIGHT = 0.5
_AGREEING = 0.995
_FEWEST_SHARE = 0.01  # of the pixels; the agreement of fewer is unreliable
_LEAST_THRESHOLD, _CAUTIOUS = 0.5, 0.99


class RankedRegion(Protocol):
    """Attributes of a finding that the ranking is computed from."""

    @property
    def row(self) -> int:
        """Its image."""

    @property
    def fold(self) -> int:
        """Fold of the network that predicted it."""

    @property
    def given(self) -> int:
        """Given class."""

    @property
    def pseudo(self) -> int:
        """Predicted class."""

    @property
    def log_odds(self) -> float:
        """Mean logarithm of p(pseudo) / p(given)."""

    @property
    def region(self) -> Region:
        """Its pixels."""


def rank_regions(findings: Sequence[RankedRegion], confusion: IntArray) -> list[int]:
    """Return the indexes of the findings, most suspicious first; `confusion` is the round's, (K, K) pixels."""
    if not findings:
        return []
    columns = [(one.row, one.fold, one.given, one.pseudo, one.region.area) for one in findings]
    row, fold, given, pseudo, area = np.array(columns, dtype=np.int64).T
    odds = np.array([one.log_odds for one in findings])
    size = np.log1p(area)
    folds, fold = np.unique(fold, return_inverse=True)
    images = np.bincount(fold[np.unique(row, return_index=True)[1]], minlength=len(folds))
    pair = np.unique((fold * len(confusion) + given) * len(confusion) + pseudo, return_inverse=True)[1]
    seen = confusion.sum(axis=1)[given] * images[fold] / images.sum()  # estimated pixels of the given class in the fold
    pair_surprise = -np.log((np.bincount(pair, weights=area)[pair] + 1) / (seen + len(confusion)))
    rank_surprise = -np.log((_rank_within(pair, odds * size) + 1) / (images[fold] + 1))
    suspicion = (odds + _SURPRISE_WEIGHT * (pair_surprise + rank_surprise)) * size
    order: list[int] = np.argsort(-suspicion, kind="stable").tolist()
    return order


def _rank_within(kind: IntArray, evidence: FloatArray) -> IntArray:
    """Return the number of findings of the same kind with more evidence, (N,)."""
    order = np.lexsort((-evidence, kind))
    starts = np.cumsum(np.bincount(kind)) - np.bincount(kind)
    rank = np.empty(len(kind), dtype=np.int64)
    rank[order] = np.arange(len(kind)) - starts[kind[order]]
    return rank


def typical_confidence(seen: IntArray, likely: IntArray) -> FloatArray:
    """Return the mean probability of each class where it is given, (K,); 1 for a class that is given nowhere.

    These are the thresholds of confident learning (Northcutt, Jiang & Chuang, JAIR 2021), with regions for items.

    Args:
        seen: pixels of each given class, (K,).
        likely: the sum of their p(given), in 255ths, (K,).
    """
    usual: FloatArray = np.where(seen > 0, likely / np.maximum(1, seen * _LEVELS), 1.0)
    return usual


def propose(every: IntArray, right: IntArray) -> dict[str, float | str | None]:
    """Return a threshold, the agreement of given masks from it on (None: no pixel is so confident), and its basis.

    It is the lowest level from which 99.5 % of the pixels agree with their given label ("agreement"). Without such a
    level there is no evidence for accepting regions unseen, and a high one is proposed ("default"). Agreement is not
    precision: the share of wrong labels among the *contradicted* ones is known only from verdicts.

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
        "threshold": float(np.ceil(threshold * 100) / 100),  # thresholds are in hundredths
        "agreement": int(agreeing[level]) / int(seen[level]) if seen[level] else None,
        "basis": "agreement" if good.any() else "default",
    }
