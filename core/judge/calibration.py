"""Temperature scaling: probabilities from logits, with one temperature per fold fitted on the held-out labels.

Shapes: N items, K classes. A label may be `NO_LABEL`; such items are left out of every fit.

Each fold gets the temperature that maximises the likelihood of its held-out labels (Guo et al. 2017). That makes p the
probability of the *label*: where every tenth is wrong, a calibrated network cannot be surer than .9. So all folds
together are then sharpened by one more number (`label_noise`). From there on p is the probability of the true class,
and a clear image may reach .999.
"""

from functools import partial

import numpy as np

from core.judge.row_blocks import ChangedRows, pick
from core.types import NO_LABEL, FloatArray, IntArray

_LOG_RANGE = (-3.0, 3.0)  # temperatures from .05 to 20
_FIT_ITEMS = 50_000  # enough for one number
_SMALLEST = 1e-12


def probabilities(logits: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Return softmax(logits / temperature), (N, K)."""
    scaled = logits / np.float32(temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def fit_rows(known: IntArray) -> IntArray:
    """Return those of the rows with a label that a temperature is fitted to: 50,000 to 100,000 of more."""
    return known[:: max(1, len(known) // _FIT_ITEMS)]


def temperature(logits: FloatArray, labels: IntArray) -> float:
    """Return the temperature that maximises the likelihood of the given labels; 1 without any."""
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 a third of a second, which commands need not wait for

    known = fit_rows(np.flatnonzero(labels != NO_LABEL))
    if not len(known):
        return 1.0
    logits, labels = logits[known], labels[known]
    line = np.arange(len(labels))

    def surprise(log_temperature: float) -> float:
        probs = ChangedRows(logits, partial(probabilities, temperature=float(np.exp(log_temperature))))
        expected = pick(probs, line, labels)
        return float(-np.log(np.maximum(expected, _SMALLEST)).mean())

    best = minimize_scalar(surprise, bounds=_LOG_RANGE, method="bounded", options={"xatol": 1e-3})
    return float(np.exp(best.x))


def reliability(expected: FloatArray, happened: IntArray, bins: int = 10) -> list[dict[str, float]]:
    """Return, for equally wide bins of the expectation, its observed frequency; both (N,), empty bins are left out."""
    index = np.clip((expected * bins).astype(int), 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    total = np.bincount(index, weights=expected, minlength=bins)
    true = np.bincount(index, weights=happened, minlength=bins)
    return [
        {
            "lower": number / bins,
            "upper": (number + 1) / bins,
            "mean_confidence": float(total[number] / count[number]),
            "accuracy": float(true[number] / count[number]),
            "count": int(count[number]),
        }
        for number in np.flatnonzero(count).tolist()
    ]
