"""Out-of-fold predictions of a round of class labels, read from its folds' files: of one network, or several mixed.

N samples in the snapshot's order, K classes, M networks. A sample is predicted once by each network: by its fold's
model. Samples that no model can have seen (`unseen`) are predicted by the models of all folds; there the mean of their
probabilities counts, each by its own temperature.

Of several networks each is calibrated by itself, fold by fold; then their probabilities are mixed (`ensemble`). Only
labels that teach choose temperatures and weights. One network's logits exist at a time.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import RoundConfig
from core.data.networks import Calibration, network_folder, set_calibration
from core.data.snapshot import Snapshot
from core.judge import calibration, ensemble
from core.types import EVERY_FOLD, NO_LABEL, FloatArray, IntArray, RoundError

BoolArray = NDArray[np.bool_]
MIX = "mix"  # in place of a model's name


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Calibrated predictions of a whole round.

    `logits` (N, K) are such that their softmax speaks of the given labels; rows of `unseen` samples mean nothing.
    `contradicting` (N,) counts the networks that find another class likelier than the label; None where there is one
    network. `measured` are then the agreement of each network, and last of their mix, with the labels, as JSON values.
    """

    logits: FloatArray
    fold: IntArray  # (N,) of the model that predicted; EVERY_FOLD where all did
    temperatures: list[FloatArray]  # of each network, (folds,)
    weights: FloatArray  # (M,) of each network, sum 1
    contradicting: IntArray | None = None
    measured: list[dict[str, Any]] = field(default_factory=list)


def fold_file(folder: Path, fold: int) -> Path:
    """Return where a finished fold lies."""
    return folder / f"fold_{fold}.npz"


def read_predictions(folder: Path, config: RoundConfig, snapshot: Snapshot, taught: IntArray) -> Predictions:
    """Return what a round predicts; `taught` (N,) are the labels that teach, elsewhere `NO_LABEL`.

    Raises:
        RoundError: a fold is missing, or a sample was not predicted exactly once.
    """
    logits, fold = _gathered(folder, config.folds, snapshot)
    first = _calibrate(logits, taught, fold)
    if not config.members:
        return Predictions(logits, fold, [first], np.ones(1))
    labels, rows = snapshot.labels.astype(np.int64), np.flatnonzero(taught != NO_LABEL)
    temperatures, views = [first], [_View.of(calibration.probabilities(logits), labels, rows)]
    for number in range(1, len(config.networks)):
        logits, others = _gathered(network_folder(folder, number), config.folds, snapshot)
        if not np.array_equal(others, fold):
            raise RoundError(f"network {number + 1} held out other images than the first; run the round anew")
        temperatures.append(_calibrate(logits, taught, fold))
        views.append(_View.of(calibration.probabilities(logits), labels, rows))
    weights = ensemble.fit_weights(np.stack([view.given for view in views], axis=1))
    mix = np.zeros_like(logits)
    for number, weight in enumerate(weights.tolist()):  # read again, so that one network's logits exist at a time
        logits, _ = _gathered(network_folder(folder, number), config.folds, snapshot)
        _scale(logits, temperatures[number], fold)
        mix += np.float32(weight) * calibration.probabilities(logits)
    measured = [
        {"model": network.model, "method": network.method.value, "weights": network.weights.value, "weight": weight}
        | view.figures()
        for network, weight, view in zip(config.networks, weights.tolist(), views, strict=True)
    ]
    measured.append({"model": MIX} | _View.of(mix, labels, rows).figures())
    contradicting: IntArray = np.sum([view.contradicts for view in views], axis=0)
    return Predictions(ensemble.logits_of(mix), fold, temperatures, weights, contradicting, measured)


def of_unseen(
    folder: Path, config: RoundConfig, found: Predictions, unseen: BoolArray, *, sharpening: float
) -> FloatArray:
    """Return the probabilities, (M, K), of the samples that no model has seen: the mean of all folds, mixed."""
    if not config.members:
        return _mean_of_all(folder, unseen, found.temperatures[0] * sharpening, found.logits.shape[1])
    mix = ensemble.mixed(
        [
            _mean_of_all(network_folder(folder, number), unseen, temperatures, found.logits.shape[1])
            for number, temperatures in enumerate(found.temperatures)
        ],
        found.weights,
    )
    return ensemble.sharpened(mix, sharpening)


def note_calibration(folder: Path, config: RoundConfig, found: Predictions, *, sharpening: float) -> None:
    """Note with each kept network how its answers to new images become probabilities."""
    if not config.members:
        found = replace(found, temperatures=[found.temperatures[0] * sharpening])
        sharpening = 1.0
    for number, temperatures in enumerate(found.temperatures):
        set_calibration(
            network_folder(folder, number),
            {
                f"fold_{fold}": Calibration(temperature, float(found.weights[number]), sharpening)
                for fold, temperature in enumerate(temperatures.tolist())
            },
        )


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """One network's view of the labels: the probability of each training label, and which of all it contradicts."""

    given: FloatArray
    contradicts: BoolArray  # (N,)
    agreement: float  # of the labels that teach

    @classmethod
    def of(cls, probs: FloatArray, labels: IntArray, rows: IntArray) -> "_View":
        """Return the view that these probabilities, (N, K), mean; `rows` have the labels that teach."""
        contradicts = (labels != NO_LABEL) & (probs.argmax(axis=1) != labels)
        agreement = 1 - float(contradicts[rows].mean()) if len(rows) else 0.0
        return cls(probs[rows, labels[rows]], contradicts, agreement)

    def figures(self) -> dict[str, float]:
        """Return the agreement and the mean log likelihood, in nats, of the labels that teach."""
        return {"agreement": self.agreement, "log_likelihood": ensemble.log_likelihood(self.given)}


def _calibrate(logits: FloatArray, taught: IntArray, fold: IntArray) -> FloatArray:
    """Return each fold's temperature, and divide the logits by it, in place."""
    folds = range(int(fold.max()) + 1)
    temperatures = np.array([calibration.temperature(logits[fold == k], taught[fold == k]) for k in folds])
    _scale(logits, temperatures, fold)
    return temperatures


def _scale(logits: FloatArray, temperatures: FloatArray, fold: IntArray) -> None:
    """Divide logits by their folds' temperatures, in place; those of every fold are 0."""
    logits /= np.append(temperatures, 1).astype(np.float32)[fold][:, None]


def _gathered(folder: Path, folds: int, snapshot: Snapshot) -> tuple[FloatArray, IntArray]:
    """Return the logits, (N, K), and which fold each row was predicted by, (N,); 0 and EVERY_FOLD where all did."""
    unseen, count = snapshot.is_unseen(), len(snapshot)
    logits = np.zeros((count, len(snapshot.classes)), dtype=np.float32)
    times, fold = np.zeros(count, dtype=np.int64), np.full(count, EVERY_FOLD, dtype=np.int64)
    for number in range(folds):
        path = fold_file(folder, number)
        if not path.exists():
            raise RoundError(f"fold {number + 1} of {folds} is not done; start the round again and it goes on there")
        with np.load(path, allow_pickle=False) as file:
            rows = file["rows"]
            own = ~unseen[rows]
            logits[rows[own]] = file["logits"][own]
            times[rows] += 1
            fold[rows[own]] = number
    wrong = int((times != np.where(unseen, folds, 1)).sum())
    if wrong:
        raise RoundError(f"{wrong} samples were not predicted by just the models that may; run the round anew")
    return logits, fold


def _mean_of_all(folder: Path, unseen: BoolArray, temperatures: FloatArray, classes: int) -> FloatArray:
    """Return the mean of all folds' probabilities for the samples that none has seen, (M, K)."""
    place = np.cumsum(unseen) - 1
    total = np.zeros((int(unseen.sum()), classes), dtype=np.float32)
    for number, temperature in enumerate(temperatures.tolist()):
        with np.load(fold_file(folder, number), allow_pickle=False) as file:
            rows = file["rows"]
            shared = unseen[rows]
            total[place[rows[shared]]] += calibration.probabilities(file["logits"][shared], temperature)
    total /= len(temperatures)
    return total
