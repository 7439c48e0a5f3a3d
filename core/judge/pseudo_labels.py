"""Confidence of pseudo labels, given the image and its label, and the threshold of the largest expected gain.

Shapes: N items, K classes; probs (N, K) of the true class; labels (N,), `NO_LABEL` where unlabelled; rates (K, K), see
`label_noise`.

The confidence of a pseudo label is its posterior probability of being the true class, given the image (probs) and the
given label. By Bayes, p(i | image, given j) is proportional to probs[i] rates[i, j]. So where labels are rarely wrong,
a network that is 90 % sure of another class is probably wrong, and the confidence is low (the published 7 % of right
suggestions at "90 %" on a clean test set); where every tenth label is wrong, the same 90 % weigh more. The confidence
of an unlabelled item is the network's own probability.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.judge.class_thresholds import level_of
from core.judge.label_noise import LabelNoise
from core.judge.row_blocks import Rows, blocks
from core.types import NO_LABEL, FloatArray, IntArray

_STEPS = 100  # thresholds are in hundredths
_LEAST = 50  # hundredths; below, a change is expected to be wrong


def posterior_confidence(probs: Rows, labels: IntArray, noise: LabelNoise) -> tuple[FloatArray, FloatArray]:
    """Return the posterior probability of the pseudo label (the largest of probs) and of the given label, both (N,).

    That of the given label is 0 without one.
    """
    pseudo_true, given_true = np.empty(len(labels)), np.zeros(len(labels))
    rows = np.arange(len(labels))
    for part in blocks(rows, probs.shape[1]):
        pseudo_true[part], given_true[part] = posterior_of(probs[rows[part]], labels[part], rows[part], noise)
    return pseudo_true, given_true


def posterior_of(
    probs: FloatArray, labels: IntArray, rows: IntArray, noise: LabelNoise
) -> tuple[FloatArray, FloatArray]:
    """Return the same of some items, (B,) each; `rows` (B,) are their places among all whose votes were counted."""
    known, line = labels != NO_LABEL, np.arange(len(labels))
    weighed = probs.astype(np.float64)
    pseudo = weighed.argmax(axis=1)
    weighed[known] *= noise.likelihoods(labels[known], rows[known])
    weighed /= np.maximum(weighed.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return weighed[line, pseudo], np.where(known, weighed[line, labels], 0.0)


def expected_agreement(probs: FloatArray, pseudo: IntArray, rates: FloatArray) -> FloatArray:
    """Return the probability that the given label equals the pseudo label, by the network and the noise alone, (B,)."""
    likely: FloatArray = np.einsum("nk,nk->n", probs, rates.T[pseudo])
    return likely


@dataclass(frozen=True, slots=True)
class ThresholdProposal:
    """Threshold and the expected outcome of a bulk acceptance above it."""

    threshold: float
    changes: int  # labels that change
    precision: float  # expected share of them that become right
    label_accuracy_before: float  # expected, of all labelled items
    label_accuracy_after: float


def propose(confidence: FloatArray, given_true: FloatArray, suspicious: NDArray[np.bool_]) -> ThresholdProposal:
    """Return the threshold with the largest expected number of right labels.

    All (N,) over the labelled items; `suspicious` is a mask. Each accepted item gains its confidence and loses the
    probability that the given label is right. Of equally good thresholds the highest is proposed, and none below .5.
    """
    percent = level_of(confidence)
    won = np.bincount(percent[suspicious], weights=(confidence - given_true)[suspicious], minlength=_STEPS + 1)
    from_here_on = np.cumsum(won[::-1])[::-1][_LEAST:]
    threshold = _STEPS - int(from_here_on[::-1].argmax())
    accepted = suspicious & (percent >= threshold)
    before = float(given_true.mean()) if len(given_true) else 0.0
    gain = float((confidence - given_true)[accepted].sum())
    return ThresholdProposal(
        threshold=threshold / _STEPS,
        changes=int(accepted.sum()),
        precision=float(confidence[accepted].mean()) if accepted.any() else 0.0,
        label_accuracy_before=before,
        label_accuracy_after=before + gain / max(1, len(given_true)),
    )
