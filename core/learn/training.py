"""Training loop with its loss, optimiser and learning rate: labelled rows in, a trained network out.

Optimiser: AdamW with a one-cycle learning rate. Loss: cross entropy, for classes and masks alike, with classes on axis
1 and pixels (if any) behind; another `Objective` may replace it.

The loop writes no files: `on_epoch` receives a state from which training can continue. A continued run ends exactly
like an uninterrupted one, because each epoch draws from generators of its own. The rate depends on the share of the run
that is done, not on the number of steps, so halving the batch changes nothing else. The device is waited for once per
epoch.

Shapes: images (B, C, H, W), logits (B, K, ...), targets (B, ...) int64 with `NO_LABEL` where unlabelled, weights (K,).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.config import SMALL_MASK_NETWORK, SMALL_NETWORK, RoundConfig, Weights
from core.learn.augment import Augment
from core.learn.batches import ImageBatches, Targets, split_weights
from core.learn.devices import fast_precision
from core.learn.ranks import ALONE, Rank, average_gradients, mean_over_ranks
from core.types import NO_LABEL, FloatArray, IntArray, RoundCancelledError, RoundError

WEIGHT_DECAY = 0.01  # on kernels only
_WARM_UP = 0.3  # of the run the rate rises, then it falls to 0 along a cosine (one cycle, Smith 2018)
_FIRST_RATE = 0.1  # of the highest
_RATES = {Weights.NONE: 1e-3, Weights.PACKAGED: 3e-4, Weights.FILE: 3e-4, Weights.PRETRAINED: 3e-4}
_SMALL_NETWORKS = {SMALL_NETWORK, SMALL_MASK_NETWORK}
_SMALL_RATE = 3e-3
_CHUNK = 64  # masks counted at once
LOOK_SECONDS = 0.25  # between two calls of should_stop, and two reports
State = dict[str, Any]
Objective = Callable[[nn.Module, Tensor, Tensor, Tensor | None, torch.Generator, float], Tensor]
"""Network, images (B, C, H, W), targets (B, ...), class weights (K,), random generator, share of the run -> loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Hyperparameters of one training run."""

    epochs: int
    batch_size: int
    learning_rate: float  # the highest of the cycle
    weight_decay: float = WEIGHT_DECAY
    seed: int = 0
    seen: int = 0  # images of an epoch, from a repeated random order; 0: each row once
    seconds: float = 0.0  # steps of the run, in equal parts for each epoch, instead of `seen`; 0: by images


@dataclass(frozen=True, slots=True)
class Labelled:
    """Training rows of the images and their targets, (M,), and optional class weights, (K,)."""

    rows: Tensor
    targets: Targets
    weights: Tensor | None = None


@dataclass(frozen=True, slots=True)
class TrainingCallbacks:
    """Callbacks of a training run."""

    on_epoch: Callable[[State, float], None]  # state to continue from, mean loss
    on_progress: Callable[[float, float], None]  # epochs done, images a second
    should_stop: Callable[[], bool]


def label_objective(
    network: nn.Module,
    images: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    _generator: torch.Generator,
    _share: float,
) -> Tensor:
    """Return the supervised loss."""
    return supervised_loss(network(images), targets, weights)


def weighed_objective(
    network: nn.Module,
    images: Tensor,
    coded: Tensor,
    weights: Tensor | None,
    _generator: torch.Generator,
    _share: float,
) -> Tensor:
    """Return the supervised loss of `WeighedTargets`."""
    return weighed_loss(network(images), coded, weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsBeside:
    """`Objective` that adds real labels to each batch of pseudo labels: labelled rows, (M,), drawn at random.

    They are `share` of the batch that both make together.
    """

    images: ImageBatches
    targets: Targets
    rows: Tensor
    augment: Augment
    share: float
    loss: Callable[[Tensor, Tensor, Tensor | None], Tensor] | None = None  # of logits, targets and class weights

    def __call__(
        self,
        network: nn.Module,
        images: Tensor,
        targets: Tensor,
        weights: Tensor | None,
        generator: torch.Generator,
        _share: float,
    ) -> Tensor:
        """Return the supervised loss of both together."""
        device = self.images.device
        count = max(1, round(len(images) * self.share / (1 - self.share)))
        drawn = torch.randint(len(self.rows), (count,), generator=generator, device=device)
        chosen = self.rows.to(device)[drawn]
        shown, wanted = self.augment(self.images.batch(chosen), self.targets.batch(chosen), generator)
        loss = self.loss or supervised_loss
        return loss(network(torch.cat((images, shown))), torch.cat((targets, wanted)), weights)


def train(
    network: nn.Module,
    images: ImageBatches,
    labelled: Labelled,
    recipe: Hyperparameters,
    *,
    augment: Augment,
    callbacks: TrainingCallbacks,
    state: State | None = None,
    objective: Objective = label_objective,
    running: Sequence[Tensor] = (),
    rank: Rank = ALONE,
) -> int:
    """Train the network in place, from `state` if there is one, and return the number of steps of the whole run.

    Ranks that train together take the batch size of each of them: their step is that of one process with a batch as
    large as theirs together. By seconds only one process can train.

    `running` are the tensors that the objective changes; they begin at 0 and are kept in the state. By images a
    continued run ends exactly like an uninterrupted one; by seconds as many steps are made as fit, so no two runs are
    alike, the device is waited for after each step, and the rate follows the share of the time.

    Raises:
        RoundCancelledError: `should_stop` returned true; it is called several times a second.
        torch.OutOfMemoryError: the batch is too large for the device; the network must be discarded.
    """
    device, count = images.device, len(labelled.rows)
    optimizer = adamw(network, recipe.learning_rate, recipe.weight_decay)
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    kept = (state or {}).get("running", ())  # a state of an earlier release has none
    for tensor, before in zip_longest(running, kept[: len(running)]):
        tensor.zero_() if before is None else tensor.copy_(before)
    rows = labelled.rows.to(device)
    seen = recipe.seen or count
    batch = min(recipe.batch_size * rank.count, seen) // rank.count * rank.count
    learning = average_gradients(network, device) if rank.count > 1 else network
    steps = seen // batch  # a smaller last batch would make its images weigh more
    made = int((state or {}).get("steps_done", steps * int(state["epochs_done"]) if state else 0))
    for epoch in range(int(state["epochs_done"]) if state else 0, recipe.epochs):
        network.train()
        order, jitter = _generators(recipe.seed, epoch, device, rank)
        lasting = recipe.seconds / recipe.epochs
        total = torch.zeros((), device=device)
        started = looked = time.monotonic()
        step, part = 0, 0.0
        for chosen in _endless(count, batch, order, device) if lasting else _deal(count, steps, batch, order, device):
            part = (time.monotonic() - started) / lasting if lasting else step / steps  # of the epoch
            if part >= 1 and step:
                break
            share = (epoch + min(part, 1.0)) / recipe.epochs
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * cycle(share)
            taken = rows[rank.share(chosen)]
            shown, wanted = augment(
                images.batch(taken), labelled.targets.batch(taken), jitter
            )  # (B, C, H, W), (B, ...)
            with fast_precision(device):
                loss = objective(learning, shown, wanted, labelled.weights, jitter, share)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.detach()
            step += 1
            if lasting:
                total.item()  # else steps are queued that the device has no time for
            now = time.monotonic()
            if now - looked > LOOK_SECONDS:
                looked = now
                stop_if(callbacks.should_stop)
                done_part = min(1.0, (now - started) / lasting) if lasting else step / steps
                callbacks.on_progress(epoch + done_part, step * batch / (now - started))
        made += step
        done = {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "epochs_done": epoch + 1,
            "steps_done": made,
            "running": list(running),
        }
        callbacks.on_epoch(done, mean_over_ranks(total / step).item())  # the one wait for the device
    return made


def _deal(count: int, steps: int, batch: int, order: torch.Generator, device: torch.device) -> Tensor:
    """Return the rows of each step, (steps, batch): random orders of `count` rows, one after another."""
    shuffled = [torch.randperm(count, generator=order) for _ in range(-(-steps * batch // count))]
    return torch.cat(shuffled)[: steps * batch].view(steps, batch).to(device)


def _endless(count: int, batch: int, order: torch.Generator, device: torch.device) -> Iterator[Tensor]:
    """Yield the rows of one step after another, (batch,), without an end."""
    while True:
        yield from _deal(count, max(1, count // batch), batch, order, device)


def predict_batches(
    network: nn.Module,
    images: ImageBatches,
    rows: Tensor,
    batch_size: int,
    *,
    on_progress: Callable[[float, float], None],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield these rows batch by batch, (B,), with their logits, (B, K, ...) on the device.

    `on_progress` receives the share done and images a second.
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
            on_progress(done / max(1, len(rows)), done / (now - started))


def supervised_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross entropy over labelled elements; 0, not NaN, without any."""
    total = F.cross_entropy(logits, targets, weight=weights, ignore_index=NO_LABEL, reduction="sum")
    return mean_loss(total, targets, weights)


def weighed_loss(logits: Tensor, coded: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the cross entropy of `WeighedTargets`, each pixel by its trust; the mean is over all labelled pixels."""
    targets, trust = split_weights(coded)
    cost = F.cross_entropy(logits, targets, weight=weights, ignore_index=NO_LABEL, reduction="none")
    return mean_loss((cost * trust).sum(), targets, weights)


def mean_loss(total: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Return a sum of losses as their mean over labelled elements; 0, not NaN, without any.

    The one rule of all weighted losses: an element adds its loss times the weight of its class times the trust in it,
    and the sum is divided by the class weights of all labelled elements, whatever the trust in them. So rare classes
    count more within a batch without making it larger, and little trust means little loss. `targets` (B, ...) are
    `NO_LABEL` where nothing is learnt; without `class_weights` (K,) all weigh 1. Of several ranks the labelled elements
    of all count, however they are spread: the mean of the ranks' losses is that of the whole batch.
    """
    known = targets != NO_LABEL
    if class_weights is None:
        return total / mean_over_ranks(known.sum()).clamp_min(1)
    weight = class_weights[targets.clamp_min(0)] * known
    return total / mean_over_ranks(weight.sum()).clamp_min(torch.finfo(weight.dtype).tiny)


def median_frequency(masks: IntArray, rows: IntArray, classes: int) -> FloatArray:
    """Return class weights by median frequency balancing, (K,): the median of the classes' frequencies by their own.

    The frequency of a class is its share of the labelled pixels of the masks it occurs in (Eigen & Fergus 2015); masks
    are (N, H, W), only `rows` are counted. A class that does not occur has weight 0.
    """
    pixels, beside = np.zeros(classes), np.zeros(classes)
    for start in range(0, len(rows), _CHUNK):
        for mask in masks[rows[start : start + _CHUNK]]:
            counts = np.bincount(mask.ravel(), minlength=classes)[:classes]
            pixels += counts
            beside[counts > 0] += counts.sum()
    occurs = pixels > 0
    frequency = pixels[occurs] / beside[occurs]
    weights = np.zeros(classes, dtype=np.float32)
    weights[occurs] = np.median(frequency) / frequency if occurs.any() else 0
    return weights


def adamw(network: nn.Module, learning_rate: float, weight_decay: float = WEIGHT_DECAY) -> torch.optim.Optimizer:
    """Return an AdamW optimiser that decays kernels only."""
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def cycle(share: float) -> float:
    """Return the learning rate at this share of the run, relative to the highest."""
    if share < _WARM_UP:
        return _FIRST_RATE + (1 - _FIRST_RATE) * share / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP)))


def learning_rate(config: RoundConfig) -> float:
    """Return the highest rate of the cycle: the config's own, or the default of the network and its initial weights."""
    if config.learning_rate:
        return config.learning_rate
    return _SMALL_RATE if config.model in _SMALL_NETWORKS else _RATES[config.weights]


def stop_if(should_stop: Callable[[], bool]) -> None:
    """Raise RoundCancelledError where `should_stop` returns true."""
    if should_stop():
        raise RoundCancelledError("stopped while training")


def halve_batch(recipe: Hyperparameters) -> Hyperparameters:
    """Return the hyperparameters with half the batch size.

    Raises:
        RoundError: the batch cannot be smaller.
    """
    return replace(recipe, batch_size=half_of(recipe.batch_size))


def half_of(batch_size: int) -> int:
    """Return half a batch size.

    Raises:
        RoundError: the batch cannot be smaller.
    """
    smaller = batch_size // 2
    if smaller < 2:  # noqa: PLR2004 batch normalisation needs two
        raise RoundError("not even two images fit into the device's memory", "choose a smaller network or input size")
    return smaller


def _generators(seed: int, epoch: int, device: torch.device, rank: Rank) -> tuple[torch.Generator, torch.Generator]:
    """Return the generators of this epoch: of the order (always the CPU's, the same everywhere), and of augmentation.

    The network itself (dropout) draws from the global generator, which is seeded here too.
    """
    common = (seed * 1_000_003 + epoch) % 2**63
    own = rank.own_seed(common)
    torch.manual_seed(own)
    return torch.Generator().manual_seed(common), torch.Generator(device).manual_seed(own)
