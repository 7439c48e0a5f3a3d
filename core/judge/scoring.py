"""Scores of given labels and the counts of confident learning, from out-of-fold probabilities; defined as cleanlab's.

Shapes: N items, K classes; probs (N, K), labels (N,). Scores lie in [0, 1], 0 is surely wrong. The joint is (K, K):
given label x true class, in items.
(Northcutt, Jiang & Chuang, *Confident Learning*, JAIR 2021; Kuan & Mueller,
*Model-agnostic label quality scoring*, 2022)
"""

from dataclasses import dataclass

import numpy as np

from core.judge.row_blocks import Rows, blocks, pick
from core.types import NO_LABEL, FloatArray, IntArray

_TOLERANCE = 1e-6  # below a threshold


def self_confidence(probs: FloatArray, labels: IntArray) -> FloatArray:
    """Return the probability of the given labels, (N,)."""
    scores: FloatArray = probs[np.arange(len(labels)), labels]
    return scores


def margin(probs: FloatArray, labels: IntArray) -> FloatArray:
    """Return the normalized margin (p(given) - largest other p + 1) / 2, (N,)."""
    others = probs.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    scores: FloatArray = (self_confidence(probs, labels) - others.max(axis=1) + 1) / 2
    return scores


@dataclass(frozen=True, slots=True, eq=False)
class ConfidentVotes:
    """Counts of confident learning, and each item's part of them."""

    voted: IntArray  # (N,) class that an item is counted as; `NO_LABEL`: not confident, or without a label
    weight: FloatArray  # (K,) items of each given label per vote
    joint: FloatArray  # (K, K) given label x true class, in items; rows sum to the items of each given label


def confident_votes(probs: Rows, labels: IntArray) -> ConfidentVotes:
    """Return the estimated number of items of each given label and true class; labels may be `NO_LABEL`.

    An item is counted as a class whose probability reaches the mean over the items with this label; of several such
    classes as the likeliest. Counts are those of cleanlab, which does not return the votes of the items.
    """
    classes, known = probs.shape[1], np.flatnonzero(labels != NO_LABEL)
    given = np.bincount(labels[known], minlength=classes)
    own = np.bincount(labels[known], weights=pick(probs, known, labels[known]), minlength=classes)
    least = np.where(given > 0, own / np.maximum(1, given), np.inf) - _TOLERANCE
    voted = np.full(len(labels), NO_LABEL, dtype=np.int64)
    for part in blocks(known, classes):
        rows = known[part]
        some = probs[rows]
        sure = some >= least
        several, first = sure.sum(axis=1) > 1, sure.argmax(axis=1)
        found = np.where(several, some.argmax(axis=1), first)
        voted[rows] = np.where(sure.any(axis=1), found, NO_LABEL)
    counted = voted != NO_LABEL
    counts = np.bincount(labels[counted] * classes + voted[counted], minlength=classes**2).reshape(classes, classes)
    counts[np.diag_indices(classes)] = np.maximum(1, counts.diagonal())  # at least one item of each class is right
    weight = given / counts.sum(axis=1)
    return ConfidentVotes(voted, weight, counts * weight[:, None])
