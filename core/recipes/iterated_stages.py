"""The stages of the recipe "iterated", each in one call: learn a network, label by it, look at how good it is.

Each goes on from its checkpoint in the recipe's folder.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from core.config import IteratedSettings, RoundConfig
from core.data.networks import find_network
from core.fold_networks import about
from core.judge import calibration
from core.judge.balanced_thresholds import balanced_thresholds, taken
from core.learn.consistency import Consistency
from core.learn.crossfold import Held, Keep, Kept, Lesson, Material, Predict, Telling, learn_fold
from core.learn.models.kept import keep_network, load_network
from core.learn.optimizing import learning_rate
from core.learn.training import Objective, predicted, supervised
from core.recipes.data import RecipeData
from core.recipes.iterated_labels import Labelling, Labels
from core.recipes.scores import Score
from core.tasks import Places, Task, task_of
from core.types import FloatArray, IntArray, Progress, RoundError

MOST_CHECKPOINTS = 20  # of a network: of few images an epoch is over in no time, and a checkpoint is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """Everything that all stages need."""

    data: RecipeData
    network: RoundConfig
    settings: IteratedSettings
    labelling: Labelling
    folder: Path
    image_cache: Path
    masks: Path  # the store of the recipe's own masks
    telling: Telling
    stages: int

    @property
    def task(self) -> Task:
        """Return what there is to know of the kind of label."""
        return task_of(self.data.snapshot)

    @property
    def count(self) -> int:
        """Return how many images may be learnt from."""
        return len(self.data.labelled) + len(self.data.unlabelled)

    def places(self, folder: Path) -> Places:
        """Return where files lie, those of a stage in `folder`."""
        return Places(folder, self.image_cache, self.masks)

    def material(self, labels: Labels, stage: int) -> Material:
        """Return all images, and these labels; of the other rows nothing is known."""
        reading = Progress("reading images", stage, self.stages)
        shown = self.labelling.showing(labels)
        return self.task.material(shown, self.network, self.places(self.folder), reading, self.telling)

    def build(self, begin: str | None = None) -> nn.Module:
        """Return a network, a fresh one, or the one that is called `begin`."""
        if begin is not None:
            return self.load(begin, torch.device("cpu"))
        channels, classes = 1 if self.network.grey else 3, len(self.data.snapshot.classes)
        return self.task.build_network(self.network, channels, classes)

    def load(self, name: str, device: torch.device) -> nn.Module:
        """Return a network that was kept.

        Raises:
            RoundError: it is lost, or damaged.
        """
        kept = find_network(self.folder, name)
        if kept is None:
            raise RoundError(f"{self.folder} has lost the network {name}; start the recipe in another folder")
        return load_network(kept, device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """What one network is to learn: `taught` labels, from `begin` on, in a part of the usual steps and rate.

    `beside` are the unlabelled rows that teach by consistency, if any do.
    """

    name: str
    stage: int
    taught: Labels
    begin: str | None = None
    part: float = 1.0
    rate: float = 1.0
    beside: IntArray | None = None


def learn(studio: Studio, exercise: Exercise) -> Score:
    """Learn a network, write it, and return what it is worth on the validation images.

    Whatever is taught, an epoch sees as many images as there are labelled and unlabelled ones together, few of them as
    often as it takes: so all networks learn in as many steps, but for the part that is said.

    Raises:
        RoundError, RoundCancelledError: see `learn_fold`.
    """
    network, labelling, validation = studio.network, studio.labelling, studio.data.validation
    laps = max(1, round(network.epochs * exercise.part))
    blocks = -(-laps // -(-laps // MOST_CHECKPOINTS))
    rate = learning_rate(network) * exercise.rate
    config = replace(network, folds=max(2, studio.stages), epochs=blocks, learning_rate=rate)
    rows = np.resize(np.array(sorted(exercise.taught), np.int64), studio.count * laps // blocks)
    shown = exercise.taught | labelling.known(validation)
    held = Held(exercise.stage, rows, validation, labelling.showing(shown).labels.astype(np.int64))
    material = studio.material(shown, exercise.stage)

    def keep(_held: Held, predict: Predict) -> Kept:
        return Kept({"confusion": labelling.confusion(validation, predict)}, None)

    augment = studio.task.augment(network)
    objective: Objective = supervised
    if exercise.beside is not None and len(exercise.beside):
        unlabelled, settings = torch.from_numpy(exercise.beside), studio.settings
        objective = Consistency(
            images=material.images,
            targets=material.targets,
            rows=unlabelled,
            augment=augment,
            threshold=settings.threshold,
            ratio=settings.ratio,
        )
    lesson = Lesson(
        build=partial(studio.build, exercise.begin),
        augment=augment,
        view=partial(studio.task.view, network),
        keep=keep,
        objective=objective,
    )
    checkpoint = studio.folder / f"{exercise.name}.checkpoint"
    outcome = learn_fold(config, material, held, lesson, checkpoint=checkpoint, telling=studio.telling)
    score = labelling.score(outcome.kept.columns["confusion"])
    said = about(studio.data.snapshot, network, material.images)
    said = replace(said, predicts=False, accuracy=score.accuracy, mean_iou=score.mean_iou)
    keep_network(studio.folder, exercise.name, outcome.network, said)
    return score


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The pseudo labels of unlabelled images, by class: thresholds, and how much was predicted and taken, (K,)."""

    labels: Labels
    thresholds: list[float]
    predicted: list[int]
    taken: list[int]


def choose(studio: Studio, name: str, *, stage: int, share: float, folder: Path) -> Chosen:
    """Label the unlabelled images by the network `name`, as far as each class' threshold allows; writes into `folder`.

    Raises:
        RoundCancelledError: somebody asked to stop.
    """
    labelling, rows = studio.labelling, studio.data.unlabelled
    kept = predict_into(studio, name, rows, stage=stage, folder=folder)
    counts = np.zeros((len(studio.data.snapshot.classes), labelling.levels), np.int64)
    for _, classes, levels in labelling.predictions(kept, rows, folder):
        flat = classes.astype(np.int64).reshape(-1) * labelling.levels + levels.reshape(-1)
        counts += np.bincount(flat, minlength=counts.size).reshape(counts.shape)
    thresholds = balanced_thresholds(counts, share, studio.settings.least_confidence)
    least = np.rint(thresholds * (labelling.levels - 1)).astype(np.int64)
    labels: Labels = {}
    for row, classes, levels in labelling.predictions(kept, rows, folder):
        label = labelling.pseudo(classes, levels, least)
        if label is not None:
            labels[row] = label
    own: FloatArray = thresholds
    return Chosen(
        labels=labels,
        thresholds=own.tolist(),
        predicted=counts.sum(axis=1).tolist(),
        taken=taken(counts, thresholds).tolist(),
    )


def predict_into(studio: Studio, name: str, rows: IntArray, *, stage: int, folder: Path) -> Kept:
    """Predict rows by the network `name`, write what is large into `folder`, and return the rest.

    The validation images are predicted behind them, for the temperature.

    Raises:
        RoundCancelledError: somebody asked to stop.
    """
    labelling, data = studio.labelling, studio.data
    shown = labelling.showing(labelling.known(data.validation))
    asked = np.concatenate([rows, data.validation])
    held = Held(stage, np.empty(0, np.int64), asked, shown.labels.astype(np.int64))
    keep: Keep = studio.task.keep(shown, studio.network, studio.places(folder))
    kept = keep(held, asker(studio, name, stage))
    return replace(kept, columns={**kept.columns, "rows": asked})


def temperature_of(studio: Studio, name: str, *, stage: int) -> float:
    """Return the temperature under which what a network says suits the validation images best."""
    scratch = studio.folder / "calibrated"
    kept = predict_into(studio, name, np.empty(0, np.int64), stage=stage, folder=scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    if "logits" not in kept.columns:  # of masks it is fitted where they are painted
        return float(kept.columns["temperature"])
    labels = studio.data.snapshot.labels[kept.columns["rows"]].astype(np.int64)
    return calibration.temperature(kept.columns["logits"], labels)


def look(studio: Studio, name: str, rows: IntArray, *, stage: int) -> Score:
    """Return what a network is worth on these rows."""
    return studio.labelling.score(studio.labelling.confusion(rows, asker(studio, name, stage)))


def asker(studio: Studio, name: str, stage: int) -> Predict:
    """Return what asks a network that was written."""
    material = studio.material({}, stage)
    view = studio.task.view(studio.network, studio.load(name, material.images.device))
    at_once = max(1, min(studio.network.batch_size * 2, material.most_at_once))

    def predict(rows: IntArray, what: str) -> Iterator[tuple[IntArray, Tensor]]:
        progress = Progress(what, stage, studio.stages, message=f"{name}, {len(rows):,} images")
        studio.telling.report(progress)

        def on_look(share: float, images_per_second: float) -> None:
            studio.telling.report(replace(progress, fraction=share, images_per_second=images_per_second))

        for some, logits in predicted(
            view,
            material.images,
            torch.from_numpy(rows),
            at_once,
            on_look=on_look,
            should_stop=studio.telling.should_stop,
        ):
            yield some.numpy(), logits

    return predict
