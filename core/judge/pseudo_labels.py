"""Confidence of pseudo labels against the given ones, and the threshold from which accepting all of them pays.

Shapes: N items, K classes; probs (N, K) of the true class; labels (N,), `NO_LABEL` where unlabelled; rates (K, K), see
`label_noise`.

The confidence of a pseudo label is the probability that it is the true class, *all considered*: the image (probs) and
its given label. By Bayes, p(i | image, given j) is proportional to probs[i] rates[i, j]. So where labels
are rarely wrong, a network that is 90 % sure of another class is rather wrong itself and its suggestion says so (the
published 7 % of right suggestions at "90 %" on a clean test set); where every tenth label is wrong, the same 90 %
weigh more. For an unlabelled item confidence is the network's own probability.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.judge.bulk_thresholds import level_of
from core.judge.label_noise import LabelNoise
from core.types import NO_LABEL, FloatArray, IntArray

_STEPS = 100  # thresholds are offered in hundredths
_LEAST = 50  # hundredths; below, a change is expected to be wrong, whatever all of them together gain
_VALUES = 4_000_000  # at once, so that memory stays flat


def all_considered(probs: FloatArray, labels: IntArray, noise: LabelNoise) -> tuple[FloatArray, FloatArray]:
    """Return how likely the pseudo label (the largest of probs) and the given label are true, both (N,).

    The given label's is 0 where there is none.
    """
    pseudo_true, given_true = np.empty(len(labels)), np.zeros(len(labels))
    step = max(1, _VALUES // probs.shape[1])
    for start in range(0, len(labels), step):
        rows = slice(start, start + step)
        given = labels[rows]
        known = given != NO_LABEL
        weighed = probs[rows].astype(np.float64)
        pseudo = weighed.argmax(axis=1)
        weighed[known] *= noise.likelihoods(given[known], start + np.flatnonzero(known))
        weighed /= np.maximum(weighed.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        line = np.arange(len(given))
        pseudo_true[rows] = weighed[line, pseudo]
        given_true[rows] = np.where(known, weighed[line, given], 0.0)
    return pseudo_true, given_true


def expected_agreement(probs: FloatArray, pseudo: IntArray, rates: FloatArray) -> FloatArray:
    """Return how likely an item's given label is its pseudo label, by the network and the noise alone, (N,)."""
    likely = np.empty(len(pseudo))
    step = max(1, _VALUES // probs.shape[1])
    for start in range(0, len(pseudo), step):
        rows = slice(start, start + step)
        likely[rows] = np.einsum("nk,nk->n", probs[rows], rates.T[pseudo[rows]])
    return likely


@dataclass(frozen=True, slots=True)
class Proposal:
    """A threshold and what accepting everything from it on is expected to do."""

    threshold: float
    changes: int  # labels it would change
    precision: float  # expected share of them that become right
    label_accuracy_before: float  # expected, of all labelled items
    label_accuracy_after: float


def propose(confidence: FloatArray, given_true: FloatArray, suspicious: NDArray[np.bool_]) -> Proposal:
    """Return the threshold that leaves the most labels right, as expected from the data alone.

    All (N,) over the labelled items; `suspicious` is a mask. Each accepted item wins its confidence and loses the
    chance that the given label was right. Of equal thresholds the highest is proposed, and none below .5.
    """
    percent = level_of(confidence)
    won = np.bincount(percent[suspicious], weights=(confidence - given_true)[suspicious], minlength=_STEPS + 1)
    from_here_on = np.cumsum(won[::-1])[::-1][_LEAST:]
    threshold = _STEPS - int(from_here_on[::-1].argmax())
    accepted = suspicious & (percent >= threshold)
    before = float(given_true.mean()) if len(given_true) else 0.0
    gain = float((confidence - given_true)[accepted].sum())
    return Proposal(
        threshold=threshold / _STEPS,
        changes=int(accepted.sum()),
        precision=float(confidence[accepted].mean()) if accepted.any() else 0.0,
        label_accuracy_before=before,
        label_accuracy_after=before + gain / max(1, len(given_true)),
    )
