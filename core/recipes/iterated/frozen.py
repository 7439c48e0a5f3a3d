"""Recipe "iterated" on a frozen network: a probe of the labels, or a regression on labels spread to all images.

Nothing is iterated. The images are embedded once; `core.learn.propagation` spreads the labels, and cross-validation on
the labels decides between both ways, so no label needs to be set apart: a random validation part is trained on too, and
a named validation split only scores. Test images are embedded, but are not among the neighbours.

The images to predict are split into halves, groups whole. Each half is predicted by a regression fitted to the labels
that were spread to the other half, and to the labels outside of its groups. So none learns a label of an image that it
predicts; as with trained networks, labels spread over neighbours in both halves.

In the recipe's folder: `frozen.json` (the choice and the scores), the regressions and their frozen network, then
`proposals.npz`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core.config import ProbabilityMethod, RoundConfig
from core.config.iterated import PROBE, SPREAD
from core.data.networks import set_calibration, set_predicting
from core.data.storage import atomic_path
from core.judge import calibration
from core.judge.proposals import PROPOSALS
from core.learn import probe, propagation
from core.learn.batches import ImageBatches
from core.learn.crossfold import FoldCallbacks, FoldOutput, FoldResult, FoldSplit
from core.learn.folds import deal
from core.learn.kept_networks import describe_training, keep_fold
from core.learn.models.probes import LinearHead
from core.recipes.folder import run_stage
from core.recipes.iterated.stages import IteratedContext
from core.recipes.scores import Score
from core.types import NO_LABEL, ConfigError, FloatArray, IntArray, Recipe, RoundError

BASELINE = "baseline"
_FOLDS = 5  # of the cross-validation
_HALVES = 2


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Features:
    """Embeddings of all images, (N, D), the labels that are learnt, and where these spread to."""

    network: RoundConfig
    embeddings: FloatArray
    images: ImageBatches
    labels: IntArray  # of all rows, (N,)
    classes: int
    taught: IntArray  # rows whose labels are learnt
    pool: IntArray  # rows that labels spread to: the taught ones and the unlabelled ones
    space: propagation.FeatureSpace  # of the pool


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fitted:
    """Both regressions, with their logits of the rows that were held out in the cross-validation, (M, K)."""

    decay: float  # of the probe
    heads: Mapping[str, LinearHead]
    held: IntArray
    logits: Mapping[str, FloatArray]
    choice: propagation.SpreadChoice


def learn_frozen(context: IteratedContext) -> dict[str, Any]:
    """Fit both regressions, choose one, and return the fields of `IteratedResult`.

    Raises:
        ConfigError: the labels are masks.
        RoundError: not even one image fits into the device's memory.
        RoundCancelledError: the round was cancelled; another call begins again, with the embeddings.
    """
    done = run_stage(context.folder, "frozen", lambda: _learn(context))
    set_predicting(context.folder, done["best"])
    set_calibration(context.folder, done["best"], done["temperature"])
    scores = {name: None if score is None else Score(**score) for name, score in done["scores"].items()}
    return {**scores, "teacher": None, "iterations": [], "best": done["best"], "choice": done["choice"]}


def propose_frozen(context: IteratedContext, best: str, to_predict: IntArray) -> None:
    """Predict the rows `to_predict`, (M,), and write the proposals.

    Raises:
        RoundError: every labelled image is of a group with images to predict.
        RoundCancelledError: the round was cancelled; another call continues.
    """
    if (context.folder / PROPOSALS).exists():
        return
    snapshot, known = context.data.snapshot, run_stage(context.folder, "frozen", lambda: _learn(context))
    features, groups = _features(context), snapshot.whole_groups()
    ids, labels = snapshot.sample_ids[to_predict], np.zeros(len(to_predict), np.int64)
    folds = min(_HALVES, len(np.unique(groups[to_predict])))
    halves = deal(ids, labels, groups[to_predict], folds=folds, seed=context.network.seed) if folds > 1 else labels
    found = np.zeros((len(to_predict), len(snapshot.classes)), np.float32)
    soft = _spread(features, features.taught, context.callbacks) if best == SPREAD else None
    for half in range(folds):
        own = to_predict[halves == half]
        free = ~np.isin(groups, groups[own])
        taught = features.taught[free[features.taught]]
        if not len(taught):
            raise RoundError(
                "every labelled image is of a group with unlabelled images, so any regression would learn their groups",
                "label images of other groups, or remove the groups",
            )
        if soft is None:
            split = FoldSplit(half, taught, own, features.labels)
            head = _probe(features, split, known["choice"]["decay"], context.callbacks)
        else:
            others = np.where(free[features.pool][:, None], soft, 0)
            head = propagation.fit_head(features.space, others, context.callbacks.should_stop)
        found[halves == half] = _logits(head, features.embeddings, own)
    columns: dict[str, Any] = {
        "rows": to_predict,
        "network": halves,
        "probabilities": calibration.probabilities(found, known["temperature"]),
    }
    if known["held"]:
        columns["checked"] = np.array(known["checked"], np.float32)
        columns["checked_labels"] = snapshot.labels[np.array(known["held"])]
    with atomic_path(context.folder / PROPOSALS) as partial_path, partial_path.open("wb") as file:
        np.savez(file, **columns)


def fit_both(features: Features, splits: Sequence[FoldSplit], folder: Path, callbacks: FoldCallbacks) -> Fitted:
    """Fit both regressions to the taught rows, and to those of each split of them; the decay is noted in `folder`.

    Raises:
        RoundCancelledError: the round was cancelled.
    """
    decay = probe.choose_decay(
        features.embeddings,
        splits,
        np.ones(len(features.labels), np.bool_),
        features.classes,
        path=folder / "decay.json",
        device=features.images.device,
        callbacks=callbacks,
    ).decay

    def both(split: FoldSplit) -> dict[str, LinearHead]:
        soft = _spread(features, split.learn_rows, callbacks)
        return {
            BASELINE: _probe(features, split, decay, callbacks),
            SPREAD: propagation.fit_head(features.space, soft, callbacks.should_stop),
        }

    none = np.zeros((0, features.classes), np.float32)
    logits = {BASELINE: [none], SPREAD: [none]}
    for split in splits:
        for name, head in both(split).items():
            logits[name].append(_logits(head, features.embeddings, split.held_rows))
    held = np.concatenate([np.empty(0, np.int64), *(split.held_rows for split in splits)])
    found = {name: np.concatenate(parts) for name, parts in logits.items()}
    return Fitted(
        decay=decay,
        heads=both(FoldSplit(0, features.taught, np.empty(0, np.int64), features.labels)),
        held=held,
        logits=found,
        choice=propagation.choose(found[BASELINE], found[SPREAD], features.labels[held]),
    )


def splits_of(features: Features, ids: IntArray, groups: IntArray, seed: int) -> list[FoldSplit]:
    """Return the folds of the cross-validation; no row is held out whose class no other fold shows.

    `ids` and `groups` are those of the taught rows, (M,).
    """
    taught, labels = features.taught, features.labels
    folds = min(_FOLDS, len(np.unique(groups)))
    if folds < 2:  # noqa: PLR2004 one to learn, one to hold out
        return []
    dealt = deal(ids, labels[taught], groups, folds=folds, seed=seed)
    splits = []
    for fold in range(folds):
        learn, held_out = taught[dealt != fold], taught[dealt == fold]
        held_out = held_out[np.isin(labels[held_out], labels[learn])]
        if len(held_out):
            splits.append(FoldSplit(fold, learn, held_out, labels))
    return splits


def _learn(context: IteratedContext) -> dict[str, Any]:
    data, settings, snapshot = context.data, context.settings, context.data.snapshot
    if snapshot.task not in Recipe.ITERATED.probes:
        raise ConfigError("a probe spreads labels of images only", f"choose method '{ProbabilityMethod.FINE_TUNE}'")
    features = _features(context)
    groups = snapshot.whole_groups()[features.taught]
    splits = splits_of(features, snapshot.sample_ids[features.taught], groups, context.network.seed)
    fitted = fit_both(features, splits, context.folder, context.callbacks)
    wanted = settings.frozen
    best = SPREAD if wanted == SPREAD or (wanted != PROBE and fitted.choice.spread) else BASELINE

    def scored(name: str, rows: IntArray) -> Score:
        return _score(features, _logits(fitted.heads[name], features.embeddings, rows), rows)

    validated = {
        name: scored(name, data.validation) if settings.validation_split else _score(features, logits, fitted.held)
        for name, logits in fitted.logits.items()
    }
    tested = {name: scored(name, data.test) if len(data.test) else None for name in fitted.heads}
    for name, head in fitted.heads.items():
        _keep(context, features, name, head, validated[name])
    temperature = calibration.temperature(fitted.logits[best], features.labels[fitted.held])
    scores = {
        "baseline": validated[BASELINE],
        "validation": validated[best],
        "test": tested[best],
        "baseline_test": tested[BASELINE],
    }
    return {
        "best": best,
        "choice": asdict(fitted.choice) | {"decay": fitted.decay},
        "temperature": temperature,
        "held": fitted.held.tolist(),
        "checked": calibration.probabilities(fitted.logits[best].copy(), temperature).tolist(),
        "scores": {name: None if score is None else asdict(score) for name, score in scores.items()},
    }


def _features(context: IteratedContext) -> Features:
    """Embed the images, or read their embeddings, and find the neighbours of those that may be learnt."""
    data, network, snapshot = context.data, context.network, context.data.snapshot
    images = context.training_data({}, 0).images
    embeddings = probe.embed_images(
        replace(network, folds=max(2, context.stages)),
        images,
        snapshot.seen_hashes,
        partial(context.task.build_network, network, images.channels, 0),
        cache=context.image_cache,
        fold=0,
        callbacks=context.callbacks,
    )
    has_split = bool(context.settings.validation_split)
    taught = data.labelled if has_split else np.sort(np.concatenate([data.labelled, data.validation]))
    pool = np.concatenate([taught, data.unlabelled])
    return Features(
        network=network,
        embeddings=embeddings,
        images=images,
        labels=snapshot.labels.astype(np.int64),
        classes=len(snapshot.classes),
        taught=taught,
        pool=pool,
        space=propagation.feature_space(embeddings[pool]),
    )


def _spread(features: Features, rows: IntArray, callbacks: FoldCallbacks) -> FloatArray:
    """Return the probabilities of the pool after the labels of these rows were spread, (P, K)."""
    shown = np.where(np.isin(features.pool, rows), features.labels[features.pool], NO_LABEL)
    return propagation.spread_labels(features.space, shown, features.classes, callbacks.should_stop)


def _probe(features: Features, split: FoldSplit, decay: float, callbacks: FoldCallbacks) -> LinearHead:
    """Return the probe that learns the rows of a split, as a round fits it."""
    fitted = probe.probe_fold(
        features.network,
        features.images,
        features.embeddings,
        split,
        features.classes,
        decay=decay,
        callbacks=callbacks,
    )
    if not isinstance(fitted.network, LinearHead):
        raise TypeError(f"{type(fitted.network)} is not a regression")
    return fitted.network


def _logits(head: LinearHead, embeddings: FloatArray, rows: IntArray) -> FloatArray:
    return probe.logits_of(head, embeddings, rows, head.mean.device)


def _score(features: Features, logits: FloatArray, rows: IntArray) -> Score:
    pairs = features.labels[rows] * features.classes + logits.argmax(axis=1)
    counts = np.bincount(pairs, minlength=features.classes**2)
    return Score.of_classes(counts.reshape(features.classes, features.classes))


def _keep(context: IteratedContext, features: Features, name: str, head: LinearHead, score: Score) -> None:
    about = describe_training(context.data.snapshot, context.network, features.images)
    result = FoldResult(FoldOutput({}, score.accuracy), 0.0, context.network.batch_size, "", head, features.images)
    keep_fold(context.folder, name, replace(about, predicts=False), result, context.task.build_network)
