"""Judgement of each sample of a round of class labels, computed from the folds' files.

A round's folder holds `snapshot.npz`, one `fold_{k}.npz` per fold (rows, logits), those of further networks in
`member_{n}/`, perhaps `embeddings.npy`, and afterwards `probabilities.npy`, (N, K) float16, to be memory-mapped.
N samples in the snapshot's order, K classes. `fold_predictions` combines folds and networks to one prediction.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import RoundConfig
from core.data.networks import network_folder
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path
from core.judge import calibration, class_thresholds, confusions, hints, pseudo_labels, scoring
from core.judge.fold_predictions import fold_file, note_calibration, read_predictions, unseen_probabilities
from core.judge.label_noise import LabelNoise, fit_noise
from core.judge.similarity import order_by_similarity
from core.types import NO_LABEL, FindingKind, FloatArray, IntArray, RoundError

PROBABILITIES = "probabilities.npy"
EMBEDDINGS = "embeddings.npy"
BACKBONE_CHECK = "backbone_check.json"  # comparison of the network with others, if there was one
GIVEN = "given.npy"  # (N, K) probabilities of a round of imported predictions
DECAY = "decay.json"  # weight decay of a round of probes, and the likelihoods that decided it
_TOP = 5
__all__ = ["BACKBONE_CHECK", "DECAY", "EMBEDDINGS", "GIVEN", "PROBABILITIES", "Judgement", "fold_file", "judge_round"]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """One row per sample of the snapshot, (N,) but for `top` and `top_probs`, (N, min(5, K)), likeliest first.

    `confidence` is the posterior probability that the pseudo label is right (see `pseudo_labels`);
    `self_confidence`, `margin` and `top_probs` are from the network alone, which never saw the image.
    """

    fold: IntArray
    pseudo: IntArray
    confidence: FloatArray
    self_confidence: FloatArray
    margin: FloatArray
    rank: IntArray  # 0 is the most suspicious; each number once
    top: IntArray
    top_probs: FloatArray
    kind: IntArray
    similarity_rank: IntArray | None
    contradicting: IntArray | None  # number of networks that contradict the given label; None with one network
    metrics: dict[str, Any]


def judge_round(folder: Path, config: RoundConfig) -> Judgement:
    """Judge every sample of a round whose folds are all done; write `probabilities.npy` and temperatures.

    Raises:
        RoundError: a fold is missing, or a sample was not predicted exactly once.
    """
    snapshot = Snapshot.load(folder)
    unseen, taught = snapshot.is_unseen(), _training_labels(snapshot)
    found = read_predictions(folder, config, snapshot, taught)
    noise, sharper = fit_noise(
        found.logits, taught, scoring.confident_votes(calibration.probabilities(found.logits), taught)
    )
    probs = calibration.probabilities(found.logits, sharper)
    if unseen.any():
        probs[unseen] = unseen_probabilities(folder, config, found, unseen, sharpening=sharper)
    note_calibration(folder, config, found, sharpening=sharper)
    judged = _judge(folder, snapshot, probs, noise, fold=found.fold, contradicting=found.contradicting)
    own = {
        "temperature": (found.temperatures[0] * sharper).tolist(),
        "weight_decay": _chosen_decay(folder / DECAY),
    }
    if found.measured:
        checks = [_read_json(network_folder(folder, n) / BACKBONE_CHECK) for n in range(len(config.networks))]
        *networks, mix = found.measured
        networks = [row | {hints.BACKBONE: check} for row, check in zip(networks, checks, strict=True)]
        own["networks"] = [*networks, mix]
    return replace(judged, metrics=judged.metrics | own)


def judge_probabilities(folder: Path) -> Judgement:
    """Judge every sample of a round by the probabilities in `given.npy`, as they are; write `probabilities.npy`."""
    snapshot = Snapshot.load(folder)
    taught, probs = _training_labels(snapshot), np.load(folder / GIVEN, allow_pickle=False)
    logits = np.log(np.maximum(probs, np.finfo(np.float32).tiny))
    noise, _ = fit_noise(logits, taught, scoring.confident_votes(probs, taught))
    return _judge(folder, snapshot, probs, noise, fold=np.zeros(len(probs), np.int64), contradicting=None)


def _training_labels(snapshot: Snapshot) -> IntArray:
    """Return the training labels, (N,), elsewhere NO_LABEL.

    Raises:
        RoundError: there are none.
    """
    taught: IntArray = np.where(snapshot.learnable, snapshot.labels.astype(np.int64), NO_LABEL)
    if not (taught != NO_LABEL).any():
        raise RoundError("no sample has a label to learn from", "label some first")
    return taught


def _judge(
    folder: Path,
    snapshot: Snapshot,
    probs: FloatArray,
    noise: LabelNoise,
    *,
    fold: IntArray,
    contradicting: IntArray | None,
) -> Judgement:
    """Judge every sample by its final probabilities, (N, K), and write these into the round's folder."""
    _write_probabilities(folder / PROBABILITIES, probs)
    labels, taught = snapshot.labels.astype(np.int64), _training_labels(snapshot)
    known, asked = labels != NO_LABEL, taught != NO_LABEL
    pseudo = probs.argmax(axis=1)
    confidence, given_true = pseudo_labels.posterior_confidence(probs, labels, noise)
    suspicious = known & (pseudo != labels)
    own, margin = np.ones(len(labels)), np.ones(len(labels))
    own[known] = scoring.self_confidence(probs[known], labels[known])
    margin[known] = scoring.margin(probs[known], labels[known])
    top = np.argsort(-probs, axis=1, kind="stable")[:, :_TOP]
    proposal = pseudo_labels.propose(confidence[asked], given_true[asked], suspicious[asked])
    embeddings = folder / EMBEDDINGS
    similarity = order_by_similarity(folder, np.load(embeddings, mmap_mode="r")) if embeddings.exists() else None
    return Judgement(
        fold=fold,
        pseudo=pseudo,
        confidence=confidence,
        self_confidence=own,
        margin=margin,
        rank=_ranks(own, margin, confidence, known),
        top=top,
        top_probs=np.take_along_axis(probs, top, axis=1),
        kind=np.where(
            suspicious, FindingKind.SUSPICIOUS, np.where(known, FindingKind.AGREEING, FindingKind.UNLABELLED)
        ),
        similarity_rank=similarity,
        contradicting=contradicting,
        metrics=_metrics(snapshot, probs, fold, given_true, noise.rates)
        | {"class_thresholds": _thresholds(taught, ~known, pseudo, probs.max(axis=1), noise.rates)}
        | {
            "proposed_threshold": proposal.threshold,
            "proposal": asdict(proposal),
            hints.BACKBONE: _read_json(folder / BACKBONE_CHECK),
            hints.LOOKALIKES: None if similarity is None else hints.lookalike_share(similarity, suspicious),
        },
    )


def _chosen_decay(path: Path) -> float | None:
    """Return the weight decay of a round of probes, None for other rounds."""
    return float(json.loads(path.read_text(encoding="utf-8"))["decay"]) if path.exists() else None


def _read_json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _folds(fold: IntArray) -> range:
    return range(int(fold.max()) + 1)


def _write_probabilities(path: Path, probs: FloatArray) -> None:
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.save(file, probs.astype(np.float16), allow_pickle=False)


def _ranks(own: FloatArray, margin: FloatArray, confidence: FloatArray, known: IntArray) -> IntArray:
    """Return the ranks, (N,): least self-confidence first, then the unlabelled samples, most confident first."""
    order = np.lexsort((-confidence, margin, own, ~known))
    ranks = np.empty(len(own), dtype=np.int64)
    ranks[order] = np.arange(len(own))
    return ranks


def _metrics(
    snapshot: Snapshot, probs: FloatArray, fold: IntArray, given_true: FloatArray, rates: FloatArray
) -> dict[str, Any]:
    """Return the figures of the round's page as JSON values."""
    known = np.flatnonzero(snapshot.labels != NO_LABEL)
    given, classes = snapshot.labels[known].astype(np.int64), len(snapshot.classes)
    pseudo = probs[known].argmax(axis=1)
    right = pseudo == given
    confusion = np.bincount(given * classes + pseudo, minlength=classes**2).reshape(classes, classes)
    # Expected agreement with the *given* labels: the true ones are unknown.
    expected = pseudo_labels.expected_agreement(probs[known], pseudo, rates)
    errors: FloatArray = np.bincount(given, weights=1.0 - given_true[known], minlength=classes).astype(np.float64)
    return {
        "accuracy": float(right.mean()),
        "accuracy_per_fold": [
            float(right[fold[known] == k].mean()) if (fold[known] == k).any() else None for k in _folds(fold)
        ],
        "confusion": confusions.as_json(confusion),
        "calibration": calibration.reliability(expected, right.astype(np.int64)),
        "estimated_errors": round(float(errors.sum())),
        "estimated_error_rate": float(errors.sum() / max(1, len(known))),
        "per_class": [_class_row(number, snapshot.classes[number], confusion, errors) for number in range(classes)],
    }


def _thresholds(
    taught: IntArray, unlabelled: BoolArray, pseudo: IntArray, sure: FloatArray, rates: FloatArray
) -> list[dict[str, Any]]:
    """Return the threshold of each class as JSON values, from the training labels.

    `sure` is the networks' own probability of the pseudo label.
    """
    classes, known, level = len(rates), taught != NO_LABEL, class_thresholds.level_of(sure)
    counts = class_thresholds.level_counts(pseudo[known], level[known], classes)
    right = known & (pseudo == taught)
    agreeing = class_thresholds.level_counts(pseudo[right], level[right], classes)
    waiting = class_thresholds.level_counts(pseudo[unlabelled], level[unlabelled], classes)
    found = class_thresholds.estimate(counts, agreeing, waiting, reachable=rates.diagonal())
    return class_thresholds.as_json(found)


def _class_row(number: int, name: str, confusion: IntArray, errors: FloatArray) -> dict[str, Any]:
    count, others = int(confusion[number].sum()), confusion[number].copy()
    others[number] = 0
    worst = int(others.argmax())
    return {
        "class": number,
        "name": name,
        "count": count,
        "estimated_errors": round(float(errors[number])),
        "worst_pair": {"pseudo": worst, "count": int(others[worst])} if others[worst] else None,
        "agreement": float(confusion[number, number] / count) if count else None,
    }
