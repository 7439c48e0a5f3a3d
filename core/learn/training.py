"""The one training loop: labelled rows in, a trained network out.

It knows no file, no database and no screen: what should outlast a kill is handed to `on_epoch` as a state that can be
given back to it. A run that goes on from a state ends exactly like one that was never interrupted, because each
epoch draws from generators of its own. The rate depends on how much has been seen, not on the number of steps, so a
batch that had to be halved changes nothing else. The device is waited for once per epoch. What a batch teaches is said
by an `Objective`: its labels, unless another one is given.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.learn.augment import Augment
from core.learn.batches import Images, Targets
from core.learn.devices import fast_precision
from core.learn.losses import supervised_loss
from core.learn.optimizing import WEIGHT_DECAY, adamw, cycle
from core.types import RoundCancelledError, RoundError

LOOK_SECONDS = 0.25  # between two looks at should_stop, and two reports

State = dict[str, Any]

Objective = Callable[[nn.Module, Tensor, Tensor, Tensor | None, torch.Generator], Tensor]
"""Network, images (B, C, H, W), targets (B, ...), what classes weigh, (K,), and what to draw from -> the loss."""


def supervised(
    network: nn.Module, images: Tensor, targets: Tensor, weights: Tensor | None, _generator: torch.Generator
) -> Tensor:
    """Return the loss of the labels alone."""
    return supervised_loss(network(images), targets, weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Hyperparameters of one training run."""

    epochs: int
    batch_size: int
    learning_rate: float  # the highest of the cycle
    weight_decay: float = WEIGHT_DECAY
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """Training rows of the images and their targets, (M,), and optional class weights, (K,)."""

    rows: Tensor
    targets: Targets
    weights: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """Progress of a running epoch."""

    epoch: int  # from 0
    share: float  # of this epoch
    images_per_second: float


@dataclass(frozen=True, slots=True)
class Watcher:
    """Callbacks of a training run."""

    on_epoch: Callable[[State, float], None]  # the state to go on from, and the mean loss
    on_look: Callable[[Look], None]
    should_stop: Callable[[], bool]


def train(
    network: nn.Module,
    images: Images,
    labelled: Labelled,
    recipe: Recipe,
    *,
    augment: Augment,
    watcher: Watcher,
    state: State | None = None,
    objective: Objective = supervised,
) -> None:
    """Train the network where it lies, on from `state` if there is one.

    Raises:
        RoundCancelledError: `should_stop` returned true; it is asked several times a second.
        torch.OutOfMemoryError: the batch is too large for the device; the network is of no use then.
    """
    device, count = images.device, len(labelled.rows)
    optimizer = adamw(network, recipe.learning_rate, recipe.weight_decay)
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    rows = labelled.rows.to(device)
    batch = min(recipe.batch_size, count)
    steps = count // batch  # a smaller last batch would make its images weigh more
    for epoch in range(int(state["epochs_done"]) if state else 0, recipe.epochs):
        network.train()
        order, jitter = _generators(recipe.seed, epoch, device)
        dealt = torch.randperm(count, generator=order)[: steps * batch].view(steps, batch).to(device)
        total = torch.zeros((), device=device)
        started = looked = time.monotonic()
        for step, chosen in enumerate(dealt):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * cycle((epoch + step / steps) / recipe.epochs)
            taken = rows[chosen]
            shown, wanted = augment(
                images.batch(taken), labelled.targets.batch(taken), jitter
            )  # (B, C, H, W), (B, ...)
            with fast_precision(device):
                loss = objective(network, shown, wanted, labelled.weights, jitter)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.detach()
            now = time.monotonic()
            if now - looked > LOOK_SECONDS:
                looked = now
                stop_if(watcher.should_stop)
                watcher.on_look(Look(epoch, (step + 1) / steps, (step + 1) * batch / (now - started)))
        done = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "epochs_done": epoch + 1}
        watcher.on_epoch(done, (total / steps).item())  # the one wait for the device


def predicted(
    network: nn.Module,
    images: Images,
    rows: Tensor,
    batch_size: int,
    *,
    on_look: Callable[[float, float], None],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield these rows batch by batch, (B,), with their logits, (B, K, ...) on the device.

    `on_look` receives the share done and images a second.
    """
    network.eval()
    started = looked = time.monotonic()
    done = 0
    for chosen in torch.split(rows, batch_size) if len(rows) else ():
        with torch.inference_mode(), fast_precision(images.device):
            logits = network(images.batch(chosen)).float()
        yield chosen, logits
        done += len(chosen)
        now = time.monotonic()
        if now - looked > LOOK_SECONDS:
            looked = now
            stop_if(should_stop)
            on_look(done / max(1, len(rows)), done / (now - started))


def stop_if(should_stop: Callable[[], bool]) -> None:
    """Raise RoundCancelledError where `should_stop` returns true."""
    if should_stop():
        raise RoundCancelledError("stopped while training")


def halved(recipe: Recipe) -> Recipe:
    """Return the recipe with half the batch.

    Raises:
        RoundError: it cannot be smaller.
    """
    smaller = recipe.batch_size // 2
    if smaller < 2:  # noqa: PLR2004 batch normalisation needs two
        raise RoundError("not even two images fit into the device's memory; choose a smaller network or input size")
    return Recipe(
        epochs=recipe.epochs,
        batch_size=smaller,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        seed=recipe.seed,
    )


def _generators(seed: int, epoch: int, device: torch.device) -> tuple[torch.Generator, torch.Generator]:
    """Return this epoch's own generators, of the order (always the CPU's: the same everywhere) and of the jitter.

    What the network itself draws (dropout) comes from the global one, so that is set here too.
    """
    own = (seed * 1_000_003 + epoch) % 2**63
    torch.manual_seed(own)
    return torch.Generator().manual_seed(own), torch.Generator(device).manual_seed(own)
