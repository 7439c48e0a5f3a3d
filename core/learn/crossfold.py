"""One fold: train on all other folds' labels and predict the held-out images.

Labels and masks alike: what a held-out image's logits become is up to `keep`.

A fold's state lies in its checkpoint after an epoch, so a killed fold goes on from there; where epochs are so short
that writing it would take more than a twentieth of the time, after the next one that can afford it. When the device
has too little memory the batch is halved and training goes on from the checkpoint.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.config import RoundConfig
from core.data.storage import atomic_path
from core.learn.allowance import Allowance
from core.learn.augment import Augment
from core.learn.batches import Images, Targets
from core.learn.optimizing import learning_rate
from core.learn.training import Labelled, Look, Objective, Recipe, State, Watcher, halved, predicted, supervised, train
from core.types import NO_LABEL, FloatArray, IntArray, Progress, Report

_LAST_STAGE = "predicting"
_TRAINING_SHARE = 0.95  # of a fold's work, the rest is prediction
_LEAST_ROWS = 2  # batch normalisation needs two: a single image is shown twice
CHECKPOINT_SHARE = 0.05  # of the time may go into checkpoints
GLIMPSE_SHARE = 0.05  # and as much into looks at how good the network is by now


@dataclass(frozen=True, slots=True)
class Material:
    """Data of all folds of a round: images, and targets of the same rows."""

    images: Images
    targets: Targets
    most_at_once: int  # images whose logits may exist at the same time
    class_weights: Callable[[IntArray], FloatArray | None]  # learn rows -> what each class weighs, (K,); None: the same


@dataclass(frozen=True, slots=True)
class Held:
    """Training and held-out rows of one fold, and the labels of the snapshot, (N,)."""

    fold: int
    learn_rows: IntArray
    held_rows: IntArray
    labels: IntArray
    shared: IntArray | None = None  # held rows that all folds predict


@dataclass(frozen=True, slots=True)
class Kept:
    """Results to store of a fold beside its rows, and its agreement with the given labels."""

    columns: Mapping[str, NDArray[Any]]
    accuracy: float | None  # of images, or of pixels
    mean_iou: float | None = None  # of masks


Predict = Callable[[IntArray, str], Iterator[tuple[IntArray, Tensor]]]
"""Rows and the name of the stage -> the rows batch by batch, (B,), with their logits, (B, K, ...)."""

Keep = Callable[[Held, Predict], Kept]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one fold."""

    kept: Kept
    images_per_second: float
    batch_size: int
    message: str
    network: nn.Module  # as it was asked; of a probe what stands upon the frozen one
    images: Images  # what it saw, and how


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Functions that build, train and ask a network, and process its predictions."""

    build: Callable[[], nn.Module]
    augment: Augment
    view: Callable[[nn.Module], nn.Module]  # the network as it looks at held-out images
    keep: Keep
    objective: Objective = supervised


@dataclass(frozen=True, slots=True)
class Telling:
    """Callbacks of a running fold: reports of its progress, and the question whether to stop."""

    report: Report
    should_stop: Callable[[], bool]


def learn_fold(
    config: RoundConfig, material: Material, held: Held, lesson: Lesson, *, checkpoint: Path, telling: Telling
) -> Outcome:
    """Train a network on the fold's learn rows, on from its checkpoint, and keep what it says of the held rows.

    Raises:
        RoundError: not even the smallest batch fits into memory.
        RoundCancelledError: `should_stop` returned true.
    """
    seed, state = config.seed * 1000 + held.fold, _read(checkpoint)
    batch_size = config.batch_size if state is None else int(state["batch_size"])
    recipe = Recipe(epochs=config.epochs, batch_size=batch_size, learning_rate=learning_rate(config), seed=seed)
    device, message = material.images.device, ""
    labelled = _labelled(material, held)
    while True:
        torch.manual_seed(seed)
        network = lesson.build().to(memory_format=torch.channels_last).to(device)
        progress = Progress("training", held.fold, config.folds, 0, config.epochs, message=message)
        progress = replace(progress, batch_size=recipe.batch_size)
        run = _Run(network, lesson.view(network), material, held, recipe, progress, checkpoint, telling)
        try:
            train(
                network,
                material.images,
                labelled,
                recipe,
                augment=lesson.augment,
                watcher=run.watcher(),
                state=state,
                objective=lesson.objective,
            )
            kept = lesson.keep(held, run.predict)
        except torch.OutOfMemoryError:
            pass  # what the failed step holds is only let go of outside of this block
        else:
            speed = run.progress.images_per_second or 0.0
            return Outcome(kept, speed, recipe.batch_size, message, network, material.images)
        del network, run
        if device.type == "cuda":
            torch.cuda.empty_cache()
        recipe = halved(recipe)
        message = f"out of memory: batch halved to {recipe.batch_size}"
        telling.report(replace(progress, batch_size=recipe.batch_size, message=message))
        state = _read(checkpoint)


def kept_logits(held: Held, logits: FloatArray) -> Kept:
    """Return what is kept where each sample has one label: the held rows' logits, (M, K)."""
    given = held.labels[held.held_rows]
    known = given != NO_LABEL
    right = logits.argmax(axis=1) == given
    return Kept({"logits": logits}, float(right[known].mean()) if known.any() else None)


def keep_predicted(held: Held, predict: Predict) -> Kept:
    """Predict the held rows and keep their logits."""
    parts = [logits for _, logits in predict(held.held_rows, "predicting")]
    return kept_logits(held, torch.cat(parts).cpu().numpy())


@dataclass(slots=True)
class _Run:
    """One try at a fold: keeps the last progress, which the next one builds on."""

    network: nn.Module
    view: nn.Module
    material: Material
    held: Held
    recipe: Recipe
    progress: Progress
    checkpoint: Path
    telling: Telling
    checkpoints: Allowance = field(default_factory=lambda: Allowance(CHECKPOINT_SHARE))
    glimpses: Allowance = field(default_factory=lambda: Allowance(GLIMPSE_SHARE))

    def watcher(self) -> Watcher:
        return Watcher(self.keep, self.look, self.telling.should_stop)

    def keep(self, state: State, loss: float) -> None:
        """Store what a killed fold goes on from, and show how good the network is by now."""
        done = int(state["epochs_done"])
        is_last = done == self.recipe.epochs
        if is_last or self.checkpoints.is_left:
            with self.checkpoints.spending(), atomic_path(self.checkpoint) as partial:
                torch.save(state | {"batch_size": self.recipe.batch_size}, partial)
        accuracy = self.progress.accuracy
        if is_last or self.glimpses.is_left:
            with self.glimpses.spending():
                accuracy = self.glimpse()
        share = _TRAINING_SHARE * done / self.recipe.epochs
        self.tell(replace(self.progress, epoch=done, fraction=share, loss=loss, accuracy=accuracy))

    def look(self, look: Look) -> None:
        share = _TRAINING_SHARE * (look.epoch + look.share) / self.recipe.epochs
        self.tell(replace(self.progress, fraction=share, images_per_second=look.images_per_second))

    def tell(self, progress: Progress) -> None:
        self.progress = progress
        self.telling.report(progress)

    def glimpse(self) -> float | None:
        """Return the accuracy on some held-out images, against what they were given."""
        rows = self.held.held_rows[self.held.labels[self.held.held_rows] != NO_LABEL]
        rows = rows[:: max(1, len(rows) // self.material.targets.shown)]
        right = known = 0
        for some, logits in self._predicted(self.network, rows, lambda *_: None):
            wanted = self.material.targets.batch(some)
            right += int((logits.argmax(1) == wanted).sum())
            known += int((wanted != NO_LABEL).sum())
        return right / known if known else None

    def predict(self, rows: IntArray, stage: str) -> Iterator[tuple[IntArray, Tensor]]:
        progress = replace(self.progress, stage=stage, fraction=_TRAINING_SHARE)
        last = stage == _LAST_STAGE

        def look(share: float, images_per_second: float) -> None:
            fraction = _TRAINING_SHARE + (1 - _TRAINING_SHARE) * (share if last else 0)
            self.telling.report(replace(progress, fraction=fraction, images_per_second=images_per_second))

        for some, logits in self._predicted(self.view, rows, look):
            yield some.numpy(), logits

    def _predicted(
        self, network: nn.Module, rows: IntArray, look: Callable[[float, float], None]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        at_once = min(self.recipe.batch_size * 2, self.material.most_at_once)
        chosen, should_stop = torch.from_numpy(rows), self.telling.should_stop
        return predicted(network, self.material.images, chosen, at_once, on_look=look, should_stop=should_stop)


def _labelled(material: Material, held: Held) -> Labelled:
    weights = material.class_weights(held.learn_rows)
    on_device = None if weights is None else torch.from_numpy(weights).to(material.images.device)
    rows = np.resize(held.learn_rows, max(_LEAST_ROWS, len(held.learn_rows)))
    return Labelled(torch.from_numpy(rows), material.targets, on_device)


def _read(checkpoint: Path) -> State | None:
    if not checkpoint.exists():
        return None
    state: State = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return state
