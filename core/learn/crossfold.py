"""One fold: learn from all other folds' labels, say what the held-out images look like.

A fold's state lies in its checkpoint after each epoch, so a killed fold goes on from there. When the device has too
little memory the batch is halved and the running epoch begins again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from core.config import SMALL_NETWORK, RoundConfig, Weights
from core.data.storage import atomic_path
from core.learn.batches import Images
from core.learn.training import (
    Augment,
    Labelled,
    Look,
    Recipe,
    State,
    Watcher,
    halved,
    predict,
    train,
)
from core.types import NO_LABEL, FloatArray, IntArray, Progress, Report

_GLIMPSE = 2000  # held-out images whose accuracy is shown while training
_RATES = {Weights.NONE: 1e-3, Weights.FILE: 3e-4, Weights.PRETRAINED: 3e-4}
_SMALL_RATE = 3e-3
_TRAINING_SHARE = 0.95  # of a fold's work, the rest is prediction


@dataclass(frozen=True, slots=True)
class Held:
    """What one fold learns from and what it predicts: rows of the snapshot, and all given labels, (N,)."""

    fold: int
    learn_rows: IntArray
    held_rows: IntArray
    labels: IntArray

    def labelled(self) -> Labelled:
        """Return the rows that teach."""
        return Labelled(torch.from_numpy(self.learn_rows), torch.from_numpy(self.labels[self.learn_rows]))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of one fold: logits of the held rows, (M, K), and how it went."""

    logits: FloatArray
    images_per_second: float
    batch_size: int
    message: str


@dataclass(frozen=True, slots=True)
class Telling:
    """Who is told and who is asked while a fold runs."""

    report: Report
    should_stop: Callable[[], bool]


def learn_fold(
    config: RoundConfig,
    images: Images,
    held: Held,
    build: Callable[[], nn.Module],
    *,
    augment: Augment,
    checkpoint: Path,
    telling: Telling,
) -> Outcome:
    """Train a network on the fold's learn rows, on from its checkpoint, and predict the held rows.

    Raises:
        RoundError: not even the smallest batch fits into memory.
        RoundCancelledError: `should_stop` said so.
    """
    seed = config.seed * 1000 + held.fold
    state = _read(checkpoint)
    batch_size = config.batch_size if state is None else int(state["batch_size"])
    recipe = Recipe(epochs=config.epochs, batch_size=batch_size, learning_rate=learning_rate(config), seed=seed)
    message = ""
    while True:
        torch.manual_seed(seed)
        network = build().to(memory_format=torch.channels_last).to(images.device)
        progress = Progress("training", held.fold, config.folds, 0, config.epochs, message=message)
        run = _Run(network, images, held, recipe, replace(progress, batch_size=recipe.batch_size), checkpoint, telling)
        try:
            train(network, images, held.labelled(), recipe, augment=augment, watcher=run.watcher(), state=state)
            logits = run.predict(torch.from_numpy(held.held_rows)).numpy()
        except torch.OutOfMemoryError:
            pass  # what the failed step holds is only let go of outside of this block
        else:
            return Outcome(logits, run.progress.images_per_second or 0.0, recipe.batch_size, message)
        del network, run
        if images.device.type == "cuda":
            torch.cuda.empty_cache()
        recipe = halved(recipe)
        message = f"out of memory: batch halved to {recipe.batch_size}"
        telling.report(replace(progress, batch_size=recipe.batch_size, message=message))
        state = _read(checkpoint)


@dataclass(slots=True)
class _Run:
    """One try at a fold: keeps the last progress, which the next one builds on."""

    network: nn.Module
    images: Images
    held: Held
    recipe: Recipe
    progress: Progress
    checkpoint: Path
    telling: Telling

    def watcher(self) -> Watcher:
        return Watcher(self.keep, self.look, self.telling.should_stop)

    def keep(self, state: State, loss: float) -> None:
        """Store what a killed fold goes on from, and show how good the network is by now."""
        state["batch_size"] = self.recipe.batch_size
        with atomic_path(self.checkpoint) as partial:
            torch.save(state, partial)
        done = int(state["epochs_done"])
        share = _TRAINING_SHARE * done / self.recipe.epochs
        self.tell(replace(self.progress, epoch=done, fraction=share, loss=loss, accuracy=self.glimpse()))

    def look(self, look: Look) -> None:
        share = _TRAINING_SHARE * (look.epoch + look.share) / self.recipe.epochs
        self.tell(replace(self.progress, fraction=share, images_per_second=look.images_per_second))

    def tell(self, progress: Progress) -> None:
        self.progress = progress
        self.telling.report(progress)

    def glimpse(self) -> float | None:
        """Return the accuracy on some held-out images, against their given labels."""
        rows = self.held.held_rows[self.held.labels[self.held.held_rows] != NO_LABEL]
        rows = rows[:: max(1, len(rows) // _GLIMPSE)]
        if not len(rows):
            return None
        logits = predict(
            self.network,
            self.images,
            torch.from_numpy(rows),
            self.recipe.batch_size * 2,
            on_look=lambda *_: None,
            should_stop=self.telling.should_stop,
        )
        return float((logits.argmax(1).numpy() == self.held.labels[rows]).mean())

    def predict(self, rows: Tensor) -> Tensor:
        def look(share: float, images_per_second: float) -> None:
            fraction = _TRAINING_SHARE + (1 - _TRAINING_SHARE) * share
            self.telling.report(
                replace(self.progress, stage="predicting", fraction=fraction, images_per_second=images_per_second)
            )

        return predict(
            self.network,
            self.images,
            rows,
            self.recipe.batch_size * 2,
            on_look=look,
            should_stop=self.telling.should_stop,
        )


def learning_rate(config: RoundConfig) -> float:
    """Return the highest rate of the cycle: the config's own, or what suits the network and its first weights."""
    if config.learning_rate:
        return config.learning_rate
    return _SMALL_RATE if config.model == SMALL_NETWORK else _RATES[config.weights]


def _read(checkpoint: Path) -> State | None:
    if not checkpoint.exists():
        return None
    state: State = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return state
