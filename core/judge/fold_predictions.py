"""Calibrated out-of-fold predictions of a round of class labels: of one network, or of an ensemble.

Shapes: N samples in the snapshot's order, K classes, M networks. Everything is read from the folds' files.

Each network predicts a sample once, by its fold's model. Samples that no model can have seen (`unseen`) are predicted
by the models of all folds; their prediction is the mean of the probabilities, each by its own temperature.

Each of several networks is calibrated by itself, fold by fold; then their probabilities are mixed. Only training labels
decide temperatures and weights. Logits stay in the folds' files; some rows are read, calibrated and mixed at a time.

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
from core.data.likeliest import read_logits
from core.data.networks import network_folder, set_calibration
from core.data.predictions import fold_file
from core.data.snapshot import Snapshot
from core.data.storage import mapped_column
from core.judge import calibration
from core.judge.row_blocks import ChangedRows, Rows, blocks, pick
from core.types import EVERY_FOLD, NO_LABEL, FloatArray, IntArray, RoundError

_FIT_ITEMS = 50_000  # a handful of numbers needs no more
_NEAR = 1e-6  # nats; the likelihood found is at most this much below the largest
_ITERATIONS = 10_000
_SMALLEST = 1e-12
BoolArray = NDArray[np.bool_]
MIX = "mix"  # in place of a model's name


@dataclass(frozen=True, slots=True, eq=False)
class NetworkLogits:
    """Logits of one network, (N, K), divided by the temperatures of their folds; 0 for unseen samples."""

    folder: Path
    classes: int
    fold: IntArray  # (N,) whose model predicted the sample; EVERY_FOLD where all did
    lines: IntArray  # (folds, N) int32, the sample's line in the fold's file, -1 where the fold did not predict it
    temperatures: FloatArray  # (folds,), up to the last that predicted samples of its own

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, K)."""
        return len(self.fold), self.classes

    def __getitem__(self, rows: IntArray) -> FloatArray:
        """Return the logits of these rows, (B, K)."""
        fold, found = self.fold[rows], np.zeros((len(rows), self.classes), np.float32)
        for number in np.unique(fold[fold != EVERY_FOLD]).tolist():
            own = fold == number
            found[own] = self._read(number, rows[own])
        found /= np.append(self.temperatures, 1).astype(np.float32)[fold][:, None]
        return found

    def mean_of_all(self, rows: IntArray, sharpening: float = 1.0) -> FloatArray:
        """Return the mean of all folds' probabilities of unseen samples, (B, K)."""
        total = np.zeros((len(rows), self.classes), np.float32)
        for number, temperature in enumerate((self.temperatures * sharpening).tolist()):
            total += calibration.probabilities(self._read(number, rows), temperature)
        total /= len(self.temperatures)
        return total

    def _read(self, fold: int, rows: IntArray) -> FloatArray:
        return read_logits(fold_file(self.folder, fold), self.lines[fold, rows], self.classes)


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """Probabilities of several calibrated networks, mixed, (N, K)."""

    networks: Sequence[NetworkLogits]
    weights: FloatArray  # (M,)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, K)."""
        return self.networks[0].shape

    def __getitem__(self, rows: IntArray) -> FloatArray:
        """Return the probabilities of these rows, (B, K)."""
        return mix_probabilities([calibration.probabilities(one[rows]) for one in self.networks], self.weights)


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedPredictions:
    """Calibrated predictions of a whole round.

    The softmax of `logits` (N, K) is the probability of the given labels; rows of `unseen` samples have no meaning.
    `contradicting` (N,) counts the networks that find another class likelier than the label, and `measured` is the
    agreement of each network, and last of their mix, with the labels, as JSON values; None and empty with one network.
    """

    logits: Rows
    networks: Sequence[NetworkLogits]
    weights: FloatArray  # (M,) of each network, sum 1
    contradicting: IntArray | None = None
    measured: list[dict[str, Any]] = field(default_factory=list)

    @property
    def fold(self) -> IntArray:
        """Return the fold whose model predicted each sample, (N,); EVERY_FOLD where all did."""
        return self.networks[0].fold

    @property
    def temperatures(self) -> list[FloatArray]:
        """Return the temperatures of each network, (folds,)."""
        return [one.temperatures for one in self.networks]


@dataclass(frozen=True, slots=True, eq=False)
class TrueProbabilities:
    """Probabilities of the true class, (N, K): sharpened, and those of unseen samples the mean of all folds, mixed."""

    found: CalibratedPredictions
    unseen: BoolArray  # (N,)
    sharpening: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, K)."""
        return self.found.logits.shape

    def __getitem__(self, rows: IntArray) -> FloatArray:
        """Return the probabilities of these rows, (B, K)."""
        probs, unseen = calibration.probabilities(self.found.logits[rows], self.sharpening), self.unseen[rows]
        if unseen.any():
            probs[unseen] = self._of_unseen(rows[unseen])
        return probs

    def _of_unseen(self, rows: IntArray) -> FloatArray:
        networks = self.found.networks
        if len(networks) == 1:
            return networks[0].mean_of_all(rows, self.sharpening)
        mix = mix_probabilities([one.mean_of_all(rows) for one in networks], self.found.weights)
        return sharpen(mix, self.sharpening)


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Probabilities that one network gives to the training labels, and the labels that it contradicts."""

    given: FloatArray
    contradicts: BoolArray  # (N,)
    agreement: float  # share of the training labels

    @classmethod
    def of(cls, probs: Rows, labels: IntArray, rows: IntArray) -> "_View":
        """Return the view of a network with these probabilities, (N, K); `rows` are those of the training labels."""
        everyone, contradicts = np.arange(len(labels)), labels != NO_LABEL
        for part in blocks(everyone, probs.shape[1]):
            contradicts[part] &= probs[everyone[part]].argmax(axis=1) != labels[part]
        agreement = 1 - float(contradicts[rows].mean()) if len(rows) else 0.0
        return cls(pick(probs, rows, labels[rows]), contradicts, agreement)

    def figures(self) -> dict[str, float]:
        """Return the agreement and the mean log likelihood of the training labels, in nats."""
        return {"agreement": self.agreement, "log_likelihood": log_likelihood(self.given)}


def read_predictions(folder: Path, config: RoundConfig, snapshot: Snapshot, taught: IntArray) -> CalibratedPredictions:
    """Return the predictions of a round; `taught` (N,) are the training labels, elsewhere `NO_LABEL`.

    Raises:
        RoundError: a fold is missing, or a sample was not predicted exactly once.
    """
    first = _calibrate(_find_logits(folder, config.folds, snapshot), taught)
    if not config.members:
        return CalibratedPredictions(first, [first], np.ones(1))
    networks = [first]
    for number in range(1, len(config.networks)):
        other = _find_logits(network_folder(folder, number), config.folds, snapshot)
        if not np.array_equal(other.fold, first.fold):
            raise RoundError(f"network {number + 1} held out other images than the first", "run the round anew")
        networks.append(_calibrate(replace(other, fold=first.fold), taught))
    labels, rows = snapshot.labels.astype(np.int64), np.flatnonzero(taught != NO_LABEL)
    views = [_View.of(ChangedRows(one, calibration.probabilities), labels, rows) for one in networks]
    weights = fit_weights(np.stack([view.given for view in views], axis=1))
    mix = Mix(networks, weights)
    measured = [
        {"model": network.model, "method": network.method.value, "weights": network.weights.value, "weight": weight}
        | view.figures()
        for network, weight, view in zip(config.networks, weights.tolist(), views, strict=True)
    ]
    measured.append({"model": MIX} | _View.of(mix, labels, rows).figures())
    contradicting: IntArray = np.sum([view.contradicts for view in views], axis=0)
    return CalibratedPredictions(ChangedRows(mix, logits_of), networks, weights, contradicting, measured)


def note_calibration(found: CalibratedPredictions, *, sharpening: float) -> None:
    """Store the calibration of each kept network beside it, for predictions of new images."""
    networks = found.networks
    if len(networks) == 1:
        networks, sharpening = [replace(networks[0], temperatures=networks[0].temperatures * sharpening)], 1.0
    for one, weight in zip(networks, found.weights.tolist(), strict=True):
        for fold, temperature in enumerate(one.temperatures.tolist()):
            set_calibration(one.folder, f"fold_{fold}", temperature, weight=weight, sharpening=sharpening)


def fit_weights(given: FloatArray) -> FloatArray:
    """Return the weights of the networks, (M,), from the probability that each gives to each item's label, (N, M).

    Equal weights without items.
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


def _calibrate(logits: NetworkLogits, taught: IntArray) -> NetworkLogits:
    """Return the logits with the temperature of each fold; those given have none yet."""
    temperatures = np.ones(len(logits.temperatures))
    for fold in range(len(temperatures)):
        rows = calibration.fit_rows(np.flatnonzero((logits.fold == fold) & (taught != NO_LABEL)))
        temperatures[fold] = calibration.temperature(logits[rows], taught[rows])
    return replace(logits, temperatures=temperatures)


def _find_logits(folder: Path, folds: int, snapshot: Snapshot) -> NetworkLogits:
    """Return the path of a network's logits; all temperatures are 1."""
    unseen, count = snapshot.is_unseen(), len(snapshot)
    lines, fold = np.full((folds, count), -1, np.int32), np.full(count, EVERY_FOLD, np.int64)
    for number in range(folds):
        path = fold_file(folder, number)
        if not path.exists():
            raise RoundError(f"fold {number + 1} of {folds} is not done", "start the round again and it goes on there")
        rows = mapped_column(path, "rows")
        lines[number, rows] = np.arange(len(rows))
        fold[rows[~unseen[rows]]] = number
    wrong = int(((lines >= 0).sum(axis=0) != np.where(unseen, folds, 1)).sum())
    if wrong:
        raise RoundError(f"{wrong} samples were not predicted by just the models that may", "run the round anew")
    return NetworkLogits(folder, len(snapshot.classes), fold, lines, np.ones(int(fold.max()) + 1))
