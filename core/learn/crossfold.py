"""Training of one fold: train on the labels of all other folds and predict the held-out images.

Classes and masks share this code; `keep` processes the logits of held-out images.

After an epoch the state of the fold is written to its checkpoint, from which a killed fold continues. Where epochs are
so short that writing it would take more than a twentieth of the time, it is written less often. When the device has too
little memory the batch is halved and training continues from the checkpoint.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.config import RoundConfig
from core.data.likeliest import LIKELIEST, LOGITS, predicted_classes, summarise
from core.data.storage import atomic_path
from core.learn.augment import Augment
from core.learn.batches import ImageBatches, Targets
from core.learn.ranks import Rank, normalise_together
from core.learn.training import (
    Hyperparameters,
    Labelled,
    Objective,
    State,
    TrainingCallbacks,
    halve_batch,
    label_objective,
    learning_rate,
    predict_batches,
    train,
)
from core.types import NO_LABEL, FloatArray, IntArray, Progress, Report

_LAST_STAGE = "predicting"
_TRAINING_SHARE = 0.95  # of a fold's work, the rest is prediction
_LEAST_ROWS = 2  # of a rank; batch normalisation needs two: a single image is shown twice
CHECKPOINT_SHARE = 0.05  # of the time for checkpoints
INTERIM_SHARE = 0.05  # and for interim accuracies
Predict = Callable[[IntArray, str], Iterator[tuple[IntArray, Tensor]]]
"""Rows and the name of the stage -> the rows batch by batch, (B,), with their logits, (B, K, ...)."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Data of all folds of a round: images, and targets of the same rows."""

    images: ImageBatches
    targets: Targets
    most_at_once: int  # images whose logits may exist at the same time
    class_weights: Callable[[IntArray], FloatArray | None]  # training rows -> weights of classes, (K,); None: equal


@dataclass(frozen=True, slots=True)
class FoldSplit:
    """Training and held-out rows of one fold, and the labels of the snapshot, (N,)."""

    fold: int
    learn_rows: IntArray
    held_rows: IntArray
    labels: IntArray
    shared: IntArray | None = None  # held-out rows that all folds predict


@dataclass(frozen=True, slots=True)
class FoldOutput:
    """Results to store of a fold beside its rows, and its agreement with the given labels."""

    columns: Mapping[str, NDArray[Any]]
    accuracy: float | None  # of images, or of pixels
    mean_iou: float | None = None  # of masks


Keep = Callable[[FoldSplit, Predict], FoldOutput]


@dataclass(frozen=True, slots=True)
class FoldResult:
    """Outcome of one fold."""

    kept: FoldOutput
    images_per_second: float
    batch_size: int
    message: str
    network: nn.Module  # the trained one; of a probe its classifier
    images: ImageBatches  # its inputs, with their scaling
    steps: int = 0  # of its training


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Functions that build and train a network, run it on held-out images, and process its predictions."""

    build: Callable[[], nn.Module]
    augment: Augment
    view: Callable[[nn.Module], nn.Module]  # the network with its test-time views
    keep: Keep
    objective: Objective = label_objective
    running: tuple[Tensor, ...] = ()  # tensors that the objective changes
    seen: int = 0  # images of an epoch; 0: each training row once
    seconds: float = 0.0  # of all epochs together, instead; 0: by images
    targets: Targets | None = None  # targets of the objective; None: those of the training data


@dataclass(frozen=True, slots=True)
class FoldCallbacks:
    """Callbacks of a running fold: `report` receives its progress, `should_stop` cancels it."""

    report: Report
    should_stop: Callable[[], bool]


class Allowance:
    """Time budget for work beside the training: checkpoints, and interim measurements of the network.

    Work is allowed while all of it took no more than a share of the time since the beginning; the first always is. An
    epoch of few images takes a fraction of a second, a checkpoint of a large network as long or longer, so not every
    epoch can afford one.
    """

    def __init__(self, share: float) -> None:
        """Start the clock; a `share` of 1 allows everything."""
        self._share = share
        self._began = time.monotonic()
        self._spent = 0.0

    @property
    def is_left(self) -> bool:
        """True while the budget allows more work."""
        return self._spent <= self._share * (time.monotonic() - self._began)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count the time spent inside the block."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._spent += time.monotonic() - begun


@dataclass(slots=True)
class _Run:
    """One attempt at a fold, with its latest progress."""

    network: nn.Module
    view: nn.Module
    training_data: TrainingData
    split: FoldSplit
    recipe: Hyperparameters
    progress: Progress
    checkpoint: Path
    callbacks: FoldCallbacks
    checkpoints: Allowance = field(default_factory=lambda: Allowance(CHECKPOINT_SHARE))
    interim_checks: Allowance = field(default_factory=lambda: Allowance(INTERIM_SHARE))

    def training_callbacks(self) -> TrainingCallbacks:
        return TrainingCallbacks(self.keep, self.look, self.callbacks.should_stop)

    def keep(self, state: State, loss: float) -> None:
        """Write the checkpoint, and report the interim accuracy."""
        done = int(state["epochs_done"])
        is_last = done == self.recipe.epochs
        if is_last or self.checkpoints.is_left:
            with self.checkpoints.spending(), atomic_path(self.checkpoint) as partial:
                torch.save(state | {"batch_size": self.recipe.batch_size}, partial)
        accuracy = self.progress.accuracy
        if is_last or self.interim_checks.is_left:
            with self.interim_checks.spending():
                accuracy = self.interim_accuracy()
        share = _TRAINING_SHARE * done / self.recipe.epochs
        self.tell(replace(self.progress, epoch=done, fraction=share, loss=loss, accuracy=accuracy))

    def look(self, epochs: float, images_per_second: float) -> None:
        share = _TRAINING_SHARE * epochs / self.recipe.epochs
        self.tell(replace(self.progress, fraction=share, images_per_second=images_per_second))

    def tell(self, progress: Progress) -> None:
        self.progress = progress
        self.callbacks.report(progress)

    def interim_accuracy(self) -> float | None:
        """Return the agreement with the given labels of some held-out images."""
        rows = self.split.held_rows[self.split.labels[self.split.held_rows] != NO_LABEL]
        rows = rows[:: max(1, len(rows) // self.training_data.targets.shown)]
        right = known = 0
        for some, logits in self._predicted(self.network, rows, lambda *_: None):
            wanted = self.training_data.targets.batch(some)
            right += int((logits.argmax(1) == wanted).sum())
            known += int((wanted != NO_LABEL).sum())
        return right / known if known else None

    def predict(self, rows: IntArray, stage: str) -> Iterator[tuple[IntArray, Tensor]]:
        progress = replace(self.progress, stage=stage, fraction=_TRAINING_SHARE)
        last = stage == _LAST_STAGE

        def look(share: float, images_per_second: float) -> None:
            fraction = _TRAINING_SHARE + (1 - _TRAINING_SHARE) * (share if last else 0)
            self.callbacks.report(replace(progress, fraction=fraction, images_per_second=images_per_second))

        for some, logits in self._predicted(self.view, rows, look):
            yield some.numpy(), logits

    def _predicted(
        self, network: nn.Module, rows: IntArray, look: Callable[[float, float], None]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        at_once = min(self.recipe.batch_size * 2, self.training_data.most_at_once)
        chosen, should_stop = torch.from_numpy(rows), self.callbacks.should_stop
        return predict_batches(
            network, self.training_data.images, chosen, at_once, on_progress=look, should_stop=should_stop
        )


def learn_fold(
    config: RoundConfig,
    training_data: TrainingData,
    split: FoldSplit,
    spec: NetworkSpec,
    *,
    checkpoint: Path,
    callbacks: FoldCallbacks,
) -> FoldResult:
    """Train a network on the training rows of a fold, from its checkpoint if there is one, and keep its predictions.

    Raises:
        RoundError: not even the smallest batch fits into memory.
        RoundCancelledError: `should_stop` returned true.
    """
    state = _read(checkpoint)
    recipe, labelled = _recipe(config, split, spec, state), _training_rows(training_data, split, spec)
    device, message = training_data.images.device, ""
    while True:
        torch.manual_seed(recipe.seed)
        network = spec.build().to(memory_format=torch.channels_last).to(device)
        progress = Progress("training", split.fold, config.folds, 0, config.epochs, message=message)
        progress = replace(progress, batch_size=recipe.batch_size)
        run = _Run(network, spec.view(network), training_data, split, recipe, progress, checkpoint, callbacks)
        try:
            steps = train(
                network,
                training_data.images,
                labelled,
                recipe,
                augment=spec.augment,
                callbacks=run.training_callbacks(),
                state=state,
                objective=spec.objective,
                running=spec.running,
            )
            kept = spec.keep(split, run.predict)
        except torch.OutOfMemoryError:
            pass  # the memory of the failed step is only freed outside of this block
        else:
            speed = run.progress.images_per_second or 0.0
            return FoldResult(kept, speed, recipe.batch_size, message, network, training_data.images, steps)
        del network, run
        if device.type == "cuda":
            torch.cuda.empty_cache()
        recipe = halve_batch(recipe)
        message = f"out of memory: batch halved to {recipe.batch_size}"
        callbacks.report(replace(progress, batch_size=recipe.batch_size, message=message))
        state = _read(checkpoint)


def train_rank(
    config: RoundConfig,
    training_data: TrainingData,
    split: FoldSplit,
    spec: NetworkSpec,
    *,
    checkpoint: Path,
    callbacks: FoldCallbacks,
    rank: Rank,
) -> None:
    """Train a fold's network as one of several ranks; rank 0 leaves the checkpoint of the last epoch.

    `learn_fold` continues from it, as after a kill: it predicts and keeps the network.

    Raises:
        torch.OutOfMemoryError: the batch is too large for the device.
        RoundCancelledError: `should_stop` returned true.
    """
    state, device = _read(checkpoint), training_data.images.device
    recipe, labelled = _recipe(config, split, spec, state), _training_rows(training_data, split, spec, rank.count)
    torch.manual_seed(recipe.seed)
    network = normalise_together(spec.build().to(memory_format=torch.channels_last).to(device), device)
    progress = Progress("training", split.fold, config.folds, 0, config.epochs, batch_size=recipe.batch_size)
    run = _Run(network, network, training_data, split, recipe, progress, checkpoint, callbacks)
    others = TrainingCallbacks(lambda _state, _loss: None, lambda _epochs, _speed: None, callbacks.should_stop)
    train(
        network,
        training_data.images,
        labelled,
        recipe,
        augment=spec.augment,
        callbacks=run.training_callbacks() if rank.number == 0 else others,
        state=state,
        objective=spec.objective,
        running=spec.running,
        rank=rank,
    )


def is_trained(checkpoint: Path, epochs: int) -> bool:
    """Return whether a fold's training has ended and only its predictions are missing."""
    state = _read(checkpoint)
    return state is not None and int(state["epochs_done"]) == epochs


def keep_logits(split: FoldSplit, predict: Predict) -> FoldOutput:
    """Predict the held-out rows and keep their logits, (M, K)."""
    parts = [logits for _, logits in predict(split.held_rows, "predicting")]
    return _output(split, {LOGITS: torch.cat(parts).cpu().numpy()})


def keep_likeliest(split: FoldSplit, predict: Predict) -> FoldOutput:
    """Predict the held-out rows and keep the logits of their likeliest classes: where all would be too many."""
    looks = predict(split.held_rows, "predicting")
    kept = np.concatenate([summarise(logits.float().cpu().numpy(), split.labels[rows]) for rows, logits in looks])
    return _output(split, {LIKELIEST: kept})


def _output(split: FoldSplit, columns: Mapping[str, NDArray[Any]]) -> FoldOutput:
    """Return the output of a fold of class labels, with its agreement."""
    given = split.labels[split.held_rows]
    known = given != NO_LABEL
    right = predicted_classes(columns) == given
    return FoldOutput(columns, float(right[known].mean()) if known.any() else None)


def _recipe(config: RoundConfig, split: FoldSplit, spec: NetworkSpec, state: State | None) -> Hyperparameters:
    """Return the hyperparameters of a fold's training, with the batch size that its checkpoint was reached with."""
    batch_size = config.batch_size if state is None else min(config.batch_size, int(state["batch_size"]))
    return Hyperparameters(
        epochs=config.epochs,
        batch_size=batch_size,
        learning_rate=learning_rate(config),
        seed=config.seed * 1000 + split.fold,
        seen=spec.seen,
        seconds=spec.seconds,
    )


def _training_rows(training_data: TrainingData, split: FoldSplit, spec: NetworkSpec, ranks: int = 1) -> Labelled:
    weights = training_data.class_weights(split.learn_rows)
    on_device = None if weights is None else torch.from_numpy(weights).to(training_data.images.device)
    rows = np.resize(split.learn_rows, max(_LEAST_ROWS * ranks, len(split.learn_rows)))
    return Labelled(torch.from_numpy(rows), spec.targets or training_data.targets, on_device)


def _read(checkpoint: Path) -> State | None:
    if not checkpoint.exists():
        return None
    state: State = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return state


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """Inputs of the folds of a probe, and the function that processes their logits."""

    build: Callable[[], nn.Module]  # the frozen encoder
    content_hashes: Sequence[str]  # of the N images
    cache: Path  # folder of the maps
    classes: int
    keep: Keep
