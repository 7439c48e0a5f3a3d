"""How likely each given label is right, from out-of-fold probabilities; the scores and the joint are cleanlab's.

Shapes: N items, K classes; probs (N, K), labels (N,) without `NO_LABEL`.
Scores lie in [0, 1]; 0 is surely wrong, 1 surely right. The joint is (K, K): given label x true class, in items.
(Northcutt, Jiang & Chuang, *Confident Learning*, JAIR 2021; Kuan & Mueller,
*Model-agnostic label quality scoring*, 2022)
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

import numpy as np

from core.types import FloatArray, IntArray

ScoreFunction = Callable[[FloatArray, IntArray], FloatArray]
_JOINT_ITEMS = 200_000  # the joint is a table of rates: more items only cost memory


class Score(StrEnum):
    """The ways to score a label."""

    SELF_CONFIDENCE = "self-confidence"
    MARGIN = "normalized margin"
    ADJUSTED_MARGIN = "class-adjusted margin"


def self_confidence(probs: FloatArray, labels: IntArray) -> FloatArray:
    """Return the probability the model gave to the given label, (N,)."""
    return _scored(probs, labels, "self_confidence", adjusted=False)


def margin(probs: FloatArray, labels: IntArray) -> FloatArray:
    """Return (p(given) - largest other p + 1) / 2, (N,)."""
    return _scored(probs, labels, "normalized_margin", adjusted=False)


def adjusted_margin(probs: FloatArray, labels: IntArray) -> FloatArray:
    """Return the margin after each class's own mean confidence is taken off, (N,): fair to classes hard to learn."""
    return _scored(probs, labels, "normalized_margin", adjusted=True)


SCORES: Mapping[Score, ScoreFunction] = {
    Score.SELF_CONFIDENCE: self_confidence,
    Score.MARGIN: margin,
    Score.ADJUSTED_MARGIN: adjusted_margin,
}


def confident_joint(probs: FloatArray, labels: IntArray) -> FloatArray:
    """Return how many items of each given label are estimated to be of each class, (K, K); sums to N."""
    from cleanlab.count import compute_confident_joint  # noqa: PLC0415 half a second that only a judging process pays

    stride = max(1, len(labels) // _JOINT_ITEMS)
    joint = np.asarray(compute_confident_joint(labels[::stride], probs[::stride].astype(np.float64)), dtype=np.float64)
    given = np.bincount(labels, minlength=len(joint)).astype(np.float64)
    rows = joint.sum(axis=1, keepdims=True)
    share = np.divide(joint, rows, out=np.eye(len(joint)), where=rows > 0)
    scaled: FloatArray = share * given[:, None]
    return scaled


def _scored(probs: FloatArray, labels: IntArray, method: str, *, adjusted: bool) -> FloatArray:
    from cleanlab.rank import get_label_quality_scores  # noqa: PLC0415 see confident_joint

    scores: FloatArray = get_label_quality_scores(labels, probs, method=method, adjust_pred_probs=adjusted)
    return scores
