"""Stages of the recipe "iterated", one function each: train a network, label by it, score it.

Each continues from its checkpoint in the recipe's folder.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.config import IteratedSettings, RoundConfig
from core.data.likeliest import LIKELIEST, LOGITS, expand
from core.data.networks import find_network
from core.judge import calibration
from core.judge.class_thresholds import accepted_counts, balanced_thresholds
from core.learn.augment import Augment, MirroredView
from core.learn.batches import WeighedTargets
from core.learn.consistency import Consistency
from core.learn.crossfold import (
    FoldCallbacks,
    FoldOutput,
    FoldSplit,
    Keep,
    NetworkSpec,
    Predict,
    TrainingData,
    learn_fold,
)
from core.learn.kept_networks import describe_training, keep_network, load_network
from core.learn.models.ensemble import NetworkEnsemble
from core.learn.training import (
    LabelsBeside,
    Objective,
    label_objective,
    learning_rate,
    predict_batches,
    weighed_loss,
    weighed_objective,
)
from core.recipes.data import RecipeData
from core.recipes.iterated.labels import LabelOperations, Labels
from core.recipes.scores import Score
from core.tasks import RoundPaths, TaskDefinition, task_of, weigh_pixels
from core.types import FloatArray, IntArray, Progress, RoundError

VOTES = "votes"  # the networks of all folds of the labels together
MOST_CHECKPOINTS = 20  # of a network, since a checkpoint may take longer than an epoch of few images


@dataclass(frozen=True, slots=True, kw_only=True)
class IteratedContext:
    """Data, settings and folders of all stages."""

    data: RecipeData
    network: RoundConfig
    settings: IteratedSettings
    labelling: LabelOperations
    folder: Path
    image_cache: Path
    masks: Path  # the store of the recipe's own masks
    callbacks: FoldCallbacks
    stages: int
    mirror: bool = False  # of classes: half of the images in training are mirrored

    @property
    def task(self) -> TaskDefinition:
        """Definition of the kind of label."""
        return task_of(self.data.snapshot)

    @property
    def count(self) -> int:
        """Number of images to train on."""
        return len(self.data.labelled) + len(self.data.unlabelled)

    def places(self, folder: Path) -> RoundPaths:
        """Return the paths of a stage whose own files are in `folder`."""
        return RoundPaths(folder, self.image_cache, self.masks)

    def training_data(self, labels: Labels, stage: int) -> TrainingData:
        """Return the training data of all images with these labels; other rows are unlabelled."""
        reading = Progress("reading images", stage, self.stages)
        shown = self.labelling.showing(labels)
        return self.task.training_data(shown, self.network, self.places(self.folder), reading, self.callbacks)

    def build(self, begin: str | None = None) -> nn.Module:
        """Return a new network, or the kept one of the name `begin`."""
        if begin is not None:
            return self.load(begin, torch.device("cpu"))
        channels, classes = 1 if self.network.grey else 3, len(self.data.snapshot.classes)
        return self.task.build_network(self.network, channels, classes)

    def load(self, name: str, device: torch.device) -> nn.Module:
        """Return a kept network, or those that vote as one.

        Raises:
            RoundError: it is missing or damaged.
        """
        if name == VOTES:
            return NetworkEnsemble(
                [self.load(f"vote_{fold}", device) for fold in range(1, self.settings.votes + 1)]
            ).eval()
        kept = find_network(self.folder, name)
        if kept is None:
            raise RoundError(f"the network {name} is missing in {self.folder}", "start the recipe in another folder")
        return load_network(kept, device)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """Training of one network on `taught` labels, starting from `begin`, with a part of the usual steps and rate.

    `real` are labels of which each batch has its share, where `taught` are pseudo labels; `unlabelled` are the rows for
    consistency training, if there are any; `strong` views change images far more (None: as the settings say).
    """

    name: str
    stage: int
    taught: Labels
    real: Labels | None = None
    begin: str | None = None
    part: float = 1.0
    rate: float = 1.0
    unlabelled: IntArray | None = None
    strong: bool | None = None
    weights: Labels = field(default_factory=dict)  # of the pixels of pseudo masks: row -> name in the recipe's store
    augment: Augment | None = None  # instead of the usual views


def learn(context: IteratedContext, run: TrainingRun) -> dict[str, Any]:
    """Train a network, store it, and return JSON values: its `score` on the validation images, `steps` and `views`.

    An epoch sees as many images as there are labelled and unlabelled ones together, repeating fewer ones, so all
    networks are trained for the same number of steps and of images, times `run.part`. Images without a label count. A
    budget of views gives all networks the same number of steps, one of minutes the same time. `views` are the
    unlabelled images that were seen, repeated ones too: by weak and strong views, or with their pseudo labels.

    Raises:
        RoundError, RoundCancelledError: see `learn_fold`.
    """
    network, labelling, validation = context.network, context.labelling, context.data.validation
    rate = learning_rate(network) * run.rate
    shown = run.taught | (run.real or {}) | labelling.known(validation)
    rows = np.array(sorted(run.taught), np.int64)
    split = FoldSplit(run.stage, rows, validation, labelling.showing(shown).labels.astype(np.int64))
    training_data = context.training_data(shown, run.stage)
    weighed = _weigh_pixels(context, run, training_data)
    objective, running, batch = _objective(context, run, training_data, weighed)
    blocks, seen = _budget(context, run, batch)
    config = replace(network, folds=max(2, context.stages), epochs=blocks, learning_rate=rate, batch_size=max(2, batch))

    scores: list[Score] = []

    def keep(_split: FoldSplit, predict: Predict) -> FoldOutput:
        scores.append(labelling.score(validation, predict))
        return FoldOutput({}, scores[-1].accuracy, scores[-1].mean_iou)

    spec = NetworkSpec(
        build=partial(context.build, run.begin),
        augment=_augment(context, run),
        view=partial(context.task.view, network),
        keep=keep,
        objective=objective,
        running=running,
        seen=max(1, seen),
        seconds=60 * context.settings.minutes * run.part,
        targets=weighed,
    )
    checkpoint = context.folder / f"{run.name}.checkpoint"
    outcome = learn_fold(config, training_data, split, spec, checkpoint=checkpoint, callbacks=context.callbacks)
    score = scores[-1]
    about = describe_training(context.data.snapshot, network, training_data.images)
    about = replace(about, predicts=False, accuracy=score.accuracy, mean_iou=score.mean_iou)
    keep_network(context.folder, run.name, outcome.network, about)
    views = int(objective.views.item()) if isinstance(objective, Consistency) else 0
    if run.real:
        views = outcome.steps * batch
    return {"score": asdict(score), "steps": outcome.steps, "views": views}


def _budget(context: IteratedContext, run: TrainingRun, batch: int) -> tuple[int, int]:
    """Return the number of blocks of a run, and the `taught` rows of each, `batch` of them a step."""
    network, settings = context.network, context.settings
    if settings.minutes:
        return MOST_CHECKPOINTS, batch
    if settings.views:
        steps = max(1, round(settings.steps(network.batch_size) * run.part))
        each = -(-steps // MOST_CHECKPOINTS)
        return -(-steps // each), each * batch
    laps = max(1, round(network.epochs * run.part))
    blocks = -(-laps // -(-laps // MOST_CHECKPOINTS))
    images = context.count * laps // blocks
    if run.unlabelled is not None and len(run.unlabelled) and settings.growing and not settings.whole_batch:
        return blocks, round(images / (1 + settings.mean_ratio))
    return blocks, images * batch // network.batch_size


def student_run(
    context: IteratedContext, name: str, *, stage: int, pseudo: Labels, truth: Labels, weights: Labels
) -> TrainingRun:
    """Return the training of a student on pseudo labels, with real ones in each batch if set.

    `weights` of other rows than the pseudo labels' are ignored.
    """
    real = truth if context.settings.labelled_share else None
    own = {row: mask for row, mask in weights.items() if row in pseudo}
    return TrainingRun(name=name, stage=stage, taught=pseudo, real=real, weights=own)


def _weigh_pixels(context: IteratedContext, run: TrainingRun, training_data: TrainingData) -> WeighedTargets | None:
    if not run.weights:
        return None
    names = {row: str(name) for row, name in run.weights.items()}
    places, snapshot = context.places(context.folder), context.data.snapshot
    return weigh_pixels(training_data.targets, snapshot, names, context.network, places, context.callbacks)


def _augment(context: IteratedContext, run: TrainingRun) -> Augment:
    if run.augment is not None:
        return run.augment
    strong = context.settings.strong_views if run.strong is None else run.strong
    return _mirrored(context, context.task.strong_augment if strong else context.task.augment)


def _mirrored(context: IteratedContext, augment: Callable[[RoundConfig], Augment]) -> Augment:
    own = augment(context.network)
    return context.task.mirrored(own) if context.mirror and context.task.mirrored is not None else own


def _objective(
    context: IteratedContext, run: TrainingRun, training_data: TrainingData, weighed: WeighedTargets | None
) -> tuple[Objective, tuple[Tensor, ...], int]:
    """Return the objective, the tensors that it changes, and the part of a batch that the `taught` rows have."""
    settings, whole = context.settings, context.network.batch_size
    if run.unlabelled is not None and len(run.unlabelled):
        views = torch.zeros(1, dtype=torch.int64)
        adaptive = settings.adaptive_masks if context.labelling.has_pixels else settings.adaptive
        running = torch.zeros(1 + len(context.data.snapshot.classes), device=training_data.images.device)
        consistency = Consistency(
            images=training_data.images,
            targets=training_data.targets,
            rows=torch.from_numpy(run.unlabelled),
            augment=_mirrored(context, context.task.augment),
            strong=context.task.strong_views,
            mixed_views=context.task.mixed_views if settings.mixing else 0,
            threshold=None if adaptive else settings.threshold,
            ratio=settings.ratio,
            growing=settings.growing,
            running=running,
            views=views,
        )
        return consistency, (running, views), settings.labelled_batch(whole)
    if run.real:
        labels = LabelsBeside(
            images=training_data.images,
            targets=weighed or training_data.targets,
            rows=torch.tensor(sorted(run.real)),
            augment=_augment(context, run),
            share=settings.labelled_share,
            loss=weighed_loss if weighed else None,
        )
        return labels, (), settings.pseudo_batch(whole)
    return weighed_objective if weighed else label_objective, (), whole


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabels:
    """Pseudo labels of unlabelled images, with thresholds and the predicted and accepted counts of each class, (K,).

    `weights` are row -> name of the weights of its pixels; empty if all that is learnt weighs the same.
    """

    labels: Labels
    thresholds: list[float]
    predicted: list[int]
    taken: list[int]
    weights: Labels = field(default_factory=dict)


def choose_pseudo_labels(
    context: IteratedContext, name: str, *, stage: int, share: float, folder: Path
) -> PseudoLabels:
    """Label the unlabelled images by the network `name`, above the threshold of each class; write into `folder`.

    With weighted pixels there is no threshold.

    Raises:
        RoundCancelledError: the round was cancelled.
    """
    labelling, rows = context.labelling, context.data.unlabelled
    kept = predict_into(context, name, rows, stage=stage, folder=folder)
    counts = np.zeros((len(context.data.snapshot.classes), labelling.levels), np.int64)
    for _, classes, levels in labelling.predictions(kept, rows, folder):
        flat = classes.astype(np.int64).reshape(-1) * labelling.levels + levels.reshape(-1)
        counts += np.bincount(flat, minlength=counts.size).reshape(counts.shape)
    thresholds = balanced_thresholds(counts, share, context.settings.least_confidence)
    weighed = context.settings.weigh_pixels and labelling.has_pixels
    if weighed:
        thresholds = np.zeros_like(thresholds)
    least = np.rint(thresholds * (labelling.levels - 1)).astype(np.int64)
    labels: Labels = {}
    weights: Labels = {}
    for row, classes, levels in labelling.predictions(kept, rows, folder):
        label = labelling.pseudo(classes, levels, least)
        if label is not None:
            labels[row] = label
            if weighed:
                weights[row] = labelling.weights(levels)
    own: FloatArray = thresholds
    return PseudoLabels(
        labels=labels,
        thresholds=own.tolist(),
        predicted=counts.sum(axis=1).tolist(),
        taken=accepted_counts(counts, thresholds).tolist(),
        weights=weights,
    )


def predict_into(context: IteratedContext, name: str, rows: IntArray, *, stage: int, folder: Path) -> FoldOutput:
    """Predict rows by the network `name`, write masks into `folder`, and return the other columns.

    The validation images are appended to the rows, for the temperature.

    Raises:
        RoundCancelledError: the round was cancelled.
    """
    labelling, data = context.labelling, context.data
    shown = labelling.showing(labelling.known(data.validation))
    asked = np.concatenate([rows, data.validation])
    split = FoldSplit(stage, np.empty(0, np.int64), asked, shown.labels.astype(np.int64))
    keep: Keep = context.task.keep(shown, context.network, context.places(folder))
    kept = keep(split, predictor(context, name, stage))
    columns = {**kept.columns, "rows": asked}
    if LIKELIEST in columns:  # kept of very many images; those predicted here are few
        columns[LOGITS] = expand(columns.pop(LIKELIEST), len(shown.classes))
    return replace(kept, columns=columns)


def temperature_of(context: IteratedContext, name: str, *, stage: int) -> float:
    """Return the temperature of a network, fitted on the validation images."""
    scratch = context.folder / "calibrated"
    kept = predict_into(context, name, np.empty(0, np.int64), stage=stage, folder=scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    if "logits" not in kept.columns:  # of masks `Painter` fits it
        return float(kept.columns["temperature"])
    labels = context.data.snapshot.labels[kept.columns["rows"]].astype(np.int64)
    return calibration.temperature(kept.columns["logits"], labels)


def score_network(context: IteratedContext, name: str, rows: IntArray, *, stage: int) -> Score:
    """Score a network on these rows."""
    return context.labelling.score(rows, predictor(context, name, stage))


def predictor(context: IteratedContext, name: str, stage: int, *, mirrored: bool = False) -> Predict:
    """Return the function that predicts rows, or their mirror images, by a kept network."""
    training_data = context.training_data({}, stage)
    view = context.task.view(context.network, context.load(name, training_data.images.device))
    view = MirroredView(view) if mirrored else view
    at_once = max(1, min(context.network.batch_size * 2, training_data.most_at_once))

    def predict(rows: IntArray, what: str) -> Iterator[tuple[IntArray, Tensor]]:
        progress = Progress(what, stage, context.stages, message=f"{name}, {len(rows):,} images")
        context.callbacks.report(progress)

        def on_progress(share: float, images_per_second: float) -> None:
            context.callbacks.report(replace(progress, fraction=share, images_per_second=images_per_second))

        for some, logits in predict_batches(
            view,
            training_data.images,
            torch.from_numpy(rows),
            at_once,
            on_progress=on_progress,
            should_stop=context.callbacks.should_stop,
        ):
            yield some.numpy(), logits

    return predict
