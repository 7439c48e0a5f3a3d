"""One opinion of several networks: weights by the likelihood of the given labels, and the mix of their probabilities.

Shapes: N items, M networks, K classes; probabilities are calibrated and out of fold.

The mix is p = sum_m w_m p_m with weights w >= 0 that sum to 1 (a linear opinion pool). The weights maximise the mean
log likelihood of the given labels, which is concave in w, so the maximum is global and no network can make the mix
less likely than the best one alone (stacking of distributions: Smyth & Wolpert, *Linearly combining density estimators
via stacking*, Machine Learning 1999). It is found by EM for the proportions of a mixture with known components.
"""

from collections.abc import Sequence

import numpy as np

from core.types import FloatArray

_FIT_ITEMS = 50_000  # a handful of numbers needs no more
_NEAR = 1e-6  # nats; the likelihood found is at most this much below the largest
_ITERATIONS = 10_000
_SMALLEST = 1e-12


def fit_weights(given: FloatArray) -> FloatArray:
    """Return the networks' weights, (M,), from the probability that each gives to each item's label, (N, M).

    Equal weights where there is no item.
    """
    items, networks = given.shape
    weights: FloatArray = np.full(networks, 1 / networks)
    if not items or networks == 1:
        return weights
    likely = np.maximum(given[:: max(1, items // _FIT_ITEMS)].astype(np.float64), _SMALLEST)
    for _ in range(_ITERATIONS):
        # (M,) at the maximum 1 where a weight is positive and at most 1 elsewhere; the excess over 1 bounds the gap
        gain = (likely / (likely @ weights)[:, None]).mean(axis=0)
        if gain.max() - 1 < _NEAR:
            break
        weights = weights * gain
        weights /= weights.sum()
    alone = np.log(likely).mean(axis=0)
    best = int(alone.argmax())
    if alone[best] > np.log(likely @ weights).mean():  # by less than `_NEAR`
        weights = np.eye(networks)[best]
    return weights


def mixed(probs: Sequence[FloatArray], weights: FloatArray) -> FloatArray:
    """Return the weighted mean of the networks' probabilities, each (N, K)."""
    total = np.zeros_like(probs[0])
    for one, weight in zip(probs, weights.tolist(), strict=True):
        total += np.float32(weight) * one
    return total


def sharpened(probs: FloatArray, temperature: float) -> FloatArray:
    """Return probabilities proportional to p^(1 / temperature), (N, K)."""
    powers: FloatArray = np.maximum(probs, np.float32(_SMALLEST)) ** np.float32(1 / temperature)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def logits_of(probs: FloatArray) -> FloatArray:
    """Return logits whose softmax these probabilities are, (N, K)."""
    logits: FloatArray = np.log(np.maximum(probs, np.float32(_SMALLEST)))
    return logits


def log_likelihood(given: FloatArray) -> float:
    """Return the mean log probability of the given labels, in nats, from what they are given, (N,)."""
    return float(np.log(np.maximum(given, _SMALLEST)).mean()) if len(given) else 0.0
