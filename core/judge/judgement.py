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
from core.data.likeliest import likeliest
from core.data.networks import network_folder
from core.data.predictions import BACKBONE_CHECK, DECAY, EMBEDDINGS
from core.data.snapshot import Snapshot
from core.judge import calibration, class_thresholds, confusions, hints, pseudo_labels, scoring
from core.judge.fold_predictions import TrueProbabilities, note_calibration, read_predictions
from core.judge.label_noise import LabelNoise, fit_noise
from core.judge.row_blocks import ChangedRows, Rows, StoredRows, blocks
from core.judge.similarity import order_by_similarity
from core.judge.stored_probabilities import PROBABILITIES, Store, store_probabilities
from core.types import NO_LABEL, FindingKind, FloatArray, IntArray, RoundError

GIVEN = "given.npy"  # (N, K) probabilities of a round of imported predictions
_TOP = 5
__all__ = ["GIVEN", "PROBABILITIES", "Judgement", "judge_round"]
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


def judge_round(folder: Path, config: RoundConfig, image_cache: Path | None = None) -> Judgement:
    """Judge every sample of a round whose folds are all done; write the probabilities and temperatures.

    Neighbours are kept in `image_cache` for other rounds of the same embeddings.

    Raises:
        RoundError: a fold is missing, or a sample was not predicted exactly once.
    """
    snapshot = Snapshot.load(folder)
    unseen, taught = snapshot.is_unseen(), _training_labels(snapshot)
    found = read_predictions(folder, config, snapshot, taught)
    votes = scoring.confident_votes(ChangedRows(found.logits, calibration.probabilities), taught)
    noise, sharper = fit_noise(found.logits, taught, votes)
    probs = TrueProbabilities(found, unseen, sharper)
    note_calibration(found, sharpening=sharper)
    judged = _judge(folder, snapshot, probs, noise, fold=found.fold, contradicting=found.contradicting)
    judged = _with_similarity(judged, folder, image_cache)
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
    """Judge every sample of a round by the probabilities in `given.npy`, as they are, and store these."""
    snapshot = Snapshot.load(folder)
    taught, probs = _training_labels(snapshot), StoredRows(folder / GIVEN)
    noise, _ = fit_noise(ChangedRows(probs, _logarithms), taught, scoring.confident_votes(probs, taught))
    return _judge(folder, snapshot, probs, noise, fold=np.zeros(len(snapshot), np.int64), contradicting=None)


def _logarithms(probs: FloatArray) -> FloatArray:
    logarithms: FloatArray = np.log(np.maximum(probs, np.finfo(np.float32).tiny))
    return logarithms


def _training_labels(snapshot: Snapshot) -> IntArray:
    """Return the training labels, (N,), elsewhere NO_LABEL.

    Raises:
        RoundError: there are none.
    """
    taught: IntArray = np.where(snapshot.learnable, snapshot.labels.astype(np.int64), NO_LABEL)
    if not (taught != NO_LABEL).any():
        raise RoundError("no sample has a label to learn from", "label some first")
    return taught


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """One number per sample, (N,), and the likeliest classes, (N, min(5, K)): all that is kept of the probabilities."""

    top: IntArray
    top_probs: FloatArray
    own: FloatArray  # probability of the given label; 1 without one, as is `margin`
    margin: FloatArray
    confidence: FloatArray
    given_true: FloatArray
    agreement: FloatArray  # expected

    @classmethod
    def of(cls, probs: Rows, labels: IntArray, noise: LabelNoise, keep: Store) -> "_Columns":
        """Compute all columns in one pass over blocks of rows, each also passed to `keep`."""
        everyone, classes, rates = np.arange(len(labels)), probs.shape[1], noise.rates
        most = min(_TOP, classes)
        found = cls(
            np.empty((len(labels), most), np.int32),
            np.empty((len(labels), most), np.float32),
            *np.ones((5, len(labels))),
        )
        for part in blocks(everyone, classes):
            rows, given = everyone[part], labels[part]
            some, known = probs[rows], given != NO_LABEL
            keep(some, given)
            found.confidence[part], found.given_true[part] = pseudo_labels.posterior_of(some, given, rows, noise)
            found.own[rows[known]] = scoring.self_confidence(some[known], given[known])
            found.margin[rows[known]] = scoring.margin(some[known], given[known])
            found.top[part] = likeliest(some, most)
            found.top_probs[part] = np.take_along_axis(some, found.top[part], axis=1)
            found.agreement[part] = pseudo_labels.expected_agreement(some, found.top[part, 0], rates)
        return found

    @property
    def pseudo(self) -> IntArray:
        """Return the likeliest class."""
        pseudo: IntArray = self.top[:, 0].astype(np.int64)
        return pseudo


def _judge(
    folder: Path,
    snapshot: Snapshot,
    probs: Rows,
    noise: LabelNoise,
    *,
    fold: IntArray,
    contradicting: IntArray | None,
) -> Judgement:
    """Judge every sample by its final probabilities, (N, K), and write these into the round's folder."""
    labels, taught = snapshot.labels.astype(np.int64), _training_labels(snapshot)
    known, usable = labels != NO_LABEL, taught != NO_LABEL
    with store_probabilities(folder, probs.shape) as keep:
        columns = _Columns.of(probs, labels, noise, keep)
    pseudo = columns.pseudo
    suspicious = known & (pseudo != labels)
    proposal = pseudo_labels.propose(columns.confidence[usable], columns.given_true[usable], suspicious[usable])
    return Judgement(
        fold=fold,
        pseudo=pseudo,
        confidence=columns.confidence,
        self_confidence=columns.own,
        margin=columns.margin,
        rank=_ranks(columns.own, columns.margin, columns.confidence, known),
        top=columns.top,
        top_probs=columns.top_probs,
        kind=np.where(
            suspicious, FindingKind.SUSPICIOUS, np.where(known, FindingKind.AGREEING, FindingKind.UNLABELLED)
        ),
        similarity_rank=None,
        contradicting=contradicting,
        metrics=_metrics(snapshot, columns, fold)
        | {"class_thresholds": _thresholds(taught, ~known, pseudo, columns.top_probs[:, 0], noise.rates)}
        | {
            "proposed_threshold": proposal.threshold,
            "proposal": asdict(proposal),
            hints.BACKBONE: _read_json(folder / BACKBONE_CHECK),
            hints.LOOKALIKES: None,
        },
    )


def _with_similarity(judged: Judgement, folder: Path, image_cache: Path | None) -> Judgement:
    """Add the order by similarity where the round's folder has embeddings, and store the neighbours."""
    path = folder / EMBEDDINGS
    if not path.exists():
        return judged
    ranks = order_by_similarity(folder, np.load(path, mmap_mode="r", allow_pickle=False), image_cache)
    share = hints.lookalike_share(ranks, judged.kind == FindingKind.SUSPICIOUS)
    return replace(judged, similarity_rank=ranks, metrics=judged.metrics | {hints.LOOKALIKES: share})


def _chosen_decay(path: Path) -> float | None:
    """Return the weight decay of a round of probes, None for other rounds."""
    return float(json.loads(path.read_text(encoding="utf-8"))["decay"]) if path.exists() else None


def _read_json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _folds(fold: IntArray) -> range:
    return range(int(fold.max()) + 1)


def _ranks(own: FloatArray, margin: FloatArray, confidence: FloatArray, known: IntArray) -> IntArray:
    """Return the ranks, (N,): least self-confidence first, then the unlabelled samples, most confident first."""
    order = np.lexsort((-confidence, margin, own, ~known))
    ranks = np.empty(len(own), dtype=np.int64)
    ranks[order] = np.arange(len(own))
    return ranks


def _metrics(snapshot: Snapshot, columns: _Columns, fold: IntArray) -> dict[str, Any]:
    """Return the figures of the round's page as JSON values."""
    known = np.flatnonzero(snapshot.labels != NO_LABEL)
    given, classes = snapshot.labels[known].astype(np.int64), len(snapshot.classes)
    pseudo = columns.pseudo[known]
    right = pseudo == given
    confusion = np.bincount(given * classes + pseudo, minlength=classes**2).reshape(classes, classes)
    # Expected agreement with the *given* labels: the true ones are unknown.
    expected = columns.agreement[known]
    wrong = (1.0 - columns.given_true[known]).astype(np.float64)
    errors: FloatArray = np.bincount(given, weights=wrong, minlength=classes).astype(np.float64)
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
