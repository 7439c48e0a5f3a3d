"""Calibrated out-of-fold predictions of a round of class labels: of one network, or of an ensemble.

Shapes: N samples in the snapshot's order, K classes, M networks. Everything is read from the folds' files.

Each network predicts a sample once, by its fold's model. Samples that no model can have seen (`unseen`) are predicted
by the models of all folds; their prediction is the mean of the probabilities, each by its own temperature.

Each of several networks is calibrated by itself, fold by fold; then their probabilities are mixed. Only training labels
decide temperatures and weights. One network's logits exist at a time.

The mix is p = sum_m w_m p_m with weights w >= 0 that sum to 1 (a linear opinion pool). The weights maximise the mean
log likelihood of the given labels, which is concave in w, so the maximum is global, and the mix is never less likely
than the best network alone (stacking of distributions: Smyth & Wolpert, *Linearly combining density estimators via
stacking*, Machine Learning 1999). EM for the proportions of a mixture with known components finds them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import RoundConfig
from core.data.networks import network_folder, set_calibration
from core.data.snapshot import Snapshot
from core.judge import calibration
from core.types import EVERY_FOLD, NO_LABEL, FloatArray, IntArray, RoundError

_FIT_ITEMS = 50_000  # a handful of numbers needs no more
_NEAR = 1e-6  # nats; the likelihood found is at most this much below the largest
_ITERATIONS = 10_000
_SMALLEST = 1e-12
BoolArray = NDArray[np.bool_]
MIX = "mix"  # in place of a model's name


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedPredictions:
    """Calibrated predictions of a whole round.

    The softmax of `logits` (N, K) is the probability of the given labels; rows of `unseen` samples have no meaning.
    `contradicting` (N,) counts the networks that find another class likelier than the label, and `measured` is the
    agreement of each network, and last of their mix, with the labels, as JSON values; None and empty with one network.
    """

    logits: FloatArray
    fold: IntArray  # (N,) whose model predicted the sample; EVERY_FOLD where all did
    temperatures: list[FloatArray]  # of each network, (folds,)
    weights: FloatArray  # (M,) of each network, sum 1
    contradicting: IntArray | None = None
    measured: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Probabilities that one network gives to the training labels, and the labels that it contradicts."""

    given: FloatArray
    contradicts: BoolArray  # (N,)
    agreement: float  # share of the training labels

    @classmethod
    def of(cls, probs: FloatArray, labels: IntArray, rows: IntArray) -> "_View":
        """Return the view of a network with these probabilities, (N, K); `rows` are those of the training labels."""
        contradicts = (labels != NO_LABEL) & (probs.argmax(axis=1) != labels)
        agreement = 1 - float(contradicts[rows].mean()) if len(rows) else 0.0
        return cls(probs[rows, labels[rows]], contradicts, agreement)

    def figures(self) -> dict[str, float]:
        """Return the agreement and the mean log likelihood of the training labels, in nats."""
        return {"agreement": self.agreement, "log_likelihood": log_likelihood(self.given)}


def read_predictions(folder: Path, config: RoundConfig, snapshot: Snapshot, taught: IntArray) -> CalibratedPredictions:
    """Return the predictions of a round; `taught` (N,) are the training labels, elsewhere `NO_LABEL`.

    Raises:
        RoundError: a fold is missing, or a sample was not predicted exactly once.
    """
    logits, fold = _gather(folder, config.folds, snapshot)
    first = _calibrate(logits, taught, fold)
    if not config.members:
        return CalibratedPredictions(logits, fold, [first], np.ones(1))
    labels, rows = snapshot.labels.astype(np.int64), np.flatnonzero(taught != NO_LABEL)
    temperatures, views = [first], [_View.of(calibration.probabilities(logits), labels, rows)]
    for number in range(1, len(config.networks)):
        logits, others = _gather(network_folder(folder, number), config.folds, snapshot)
        if not np.array_equal(others, fold):
            raise RoundError(f"network {number + 1} held out other images than the first", "run the round anew")
        temperatures.append(_calibrate(logits, taught, fold))
        views.append(_View.of(calibration.probabilities(logits), labels, rows))
    weights = fit_weights(np.stack([view.given for view in views], axis=1))
    mix = np.zeros_like(logits)
    for number, weight in enumerate(weights.tolist()):  # read again, so that one network's logits exist at a time
        logits, _ = _gather(network_folder(folder, number), config.folds, snapshot)
        _scale(logits, temperatures[number], fold)
        mix += np.float32(weight) * calibration.probabilities(logits)
    measured = [
        {"model": network.model, "method": network.method.value, "weights": network.weights.value, "weight": weight}
        | view.figures()
        for network, weight, view in zip(config.networks, weights.tolist(), views, strict=True)
    ]
    measured.append({"model": MIX} | _View.of(mix, labels, rows).figures())
    contradicting: IntArray = np.sum([view.contradicts for view in views], axis=0)
    return CalibratedPredictions(logits_of(mix), fold, temperatures, weights, contradicting, measured)


def unseen_probabilities(
    folder: Path, config: RoundConfig, found: CalibratedPredictions, unseen: BoolArray, *, sharpening: float
) -> FloatArray:
    """Return the probabilities of the unseen samples, (U, K): the mean of all folds, mixed."""
    if not config.members:
        return _mean_of_all(folder, unseen, found.temperatures[0] * sharpening, found.logits.shape[1])
    mix = mix_probabilities(
        [
            _mean_of_all(network_folder(folder, number), unseen, temperatures, found.logits.shape[1])
            for number, temperatures in enumerate(found.temperatures)
        ],
        found.weights,
    )
    return sharpen(mix, sharpening)


def note_calibration(folder: Path, config: RoundConfig, found: CalibratedPredictions, *, sharpening: float) -> None:
    """Store the calibration of each kept network beside it, for predictions of new images."""
    if not config.members:
        found = replace(found, temperatures=[found.temperatures[0] * sharpening])
        sharpening = 1.0
    for number, temperatures in enumerate(found.temperatures):
        own, weight = network_folder(folder, number), float(found.weights[number])
        for fold, temperature in enumerate(temperatures.tolist()):
            set_calibration(own, f"fold_{fold}", temperature, weight=weight, sharpening=sharpening)


def fold_file(folder: Path, fold: int) -> Path:
    """Return the path of a finished fold."""
    return folder / f"fold_{fold}.npz"


def fit_weights(given: FloatArray) -> FloatArray:
    """Return the weights of the networks, (M,), from the probability that each gives to each item's label, (N, M).

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


def mix_probabilities(probs: Sequence[FloatArray], weights: FloatArray) -> FloatArray:
    """Return the weighted mean of the networks' probabilities, each (N, K)."""
    total = np.zeros_like(probs[0])
    for one, weight in zip(probs, weights.tolist(), strict=True):
        total += np.float32(weight) * one
    return total


def sharpen(probs: FloatArray, temperature: float) -> FloatArray:
    """Return probabilities proportional to p^(1 / temperature), (N, K)."""
    powers: FloatArray = np.maximum(probs, np.float32(_SMALLEST)) ** np.float32(1 / temperature)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def logits_of(probs: FloatArray) -> FloatArray:
    """Return logits whose softmax these probabilities are, (N, K)."""
    logits: FloatArray = np.log(np.maximum(probs, np.float32(_SMALLEST)))
    return logits


def log_likelihood(given: FloatArray) -> float:
    """Return the mean logarithm of the probabilities of the given labels, (N,), in nats."""
    return float(np.log(np.maximum(given, _SMALLEST)).mean()) if len(given) else 0.0


def _calibrate(logits: FloatArray, taught: IntArray, fold: IntArray) -> FloatArray:
    """Return the temperature of each fold, (folds,), and divide its logits by it, in place."""
    folds = range(int(fold.max()) + 1)
    temperatures = np.array([calibration.temperature(logits[fold == k], taught[fold == k]) for k in folds])
    _scale(logits, temperatures, fold)
    return temperatures


def _scale(logits: FloatArray, temperatures: FloatArray, fold: IntArray) -> None:
    """Divide logits by their folds' temperatures, in place; those of EVERY_FOLD are 0."""
    logits /= np.append(temperatures, 1).astype(np.float32)[fold][:, None]


def _gather(folder: Path, folds: int, snapshot: Snapshot) -> tuple[FloatArray, IntArray]:
    """Return the logits, (N, K), and the fold that predicted each row, (N,); 0 and EVERY_FOLD for unseen samples."""
    unseen, count = snapshot.is_unseen(), len(snapshot)
    logits = np.zeros((count, len(snapshot.classes)), dtype=np.float32)
    times, fold = np.zeros(count, dtype=np.int64), np.full(count, EVERY_FOLD, dtype=np.int64)
    for number in range(folds):
        path = fold_file(folder, number)
        if not path.exists():
            raise RoundError(f"fold {number + 1} of {folds} is not done", "start the round again and it goes on there")
        with np.load(path, allow_pickle=False) as file:
            rows = file["rows"]
            own = ~unseen[rows]
            logits[rows[own]] = file["logits"][own]
            times[rows] += 1
            fold[rows[own]] = number
    wrong = int((times != np.where(unseen, folds, 1)).sum())
    if wrong:
        raise RoundError(f"{wrong} samples were not predicted by just the models that may", "run the round anew")
    return logits, fold


def _mean_of_all(folder: Path, unseen: BoolArray, temperatures: FloatArray, classes: int) -> FloatArray:
    """Return the mean of all folds' probabilities of the unseen samples, (U, K)."""
    place = np.cumsum(unseen) - 1
    total = np.zeros((int(unseen.sum()), classes), dtype=np.float32)
    for number, temperature in enumerate(temperatures.tolist()):
        with np.load(fold_file(folder, number), allow_pickle=False) as file:
            rows = file["rows"]
            shared = unseen[rows]
            total[place[rows[shared]]] += calibration.probabilities(file["logits"][shared], temperature)
    total /= len(temperatures)
    return total
