"""Stage 1: HybridNet and PseudoNet, two networks of one architecture, learn together and from each other.

A step sees a batch, half of it S (images with masks), half of it W (images with tags). Four losses, each of weight 1:

- HybridNet learns S's masks, which classes all images show, and on W the likeliest classes of PseudoNet, each image as
  far as PseudoNet is trusted there;
- PseudoNet learns on W alone, the likeliest classes of HybridNet. So S can measure it (`trust`): it is looked at there
  as it would predict, without the strong changes, and nothing of S moves its weights or statistics.

An image of W that has a mask teaches both by it, fully trusted.

As in `core.learn.training`, a run that goes on from a state ends exactly like one that was never interrupted: what a
step draws depends on the seed and the step's number alone.
"""

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.learn.augment import Augment
from core.learn.batches import Images, Targets
from core.learn.cross_training.losses import class_aware_loss, likeliest, presence_loss
from core.learn.cross_training.optimizing import JointRecipe, optimizer_of, set_rate
from core.learn.cross_training.trust import Trust
from core.learn.cross_training.views import strong_views
from core.learn.devices import fast_precision
from core.learn.training import LOOK_SECONDS, Look, State, Watcher, stop_if
from core.types import NO_LABEL

LOSSES = ("masks", "pseudo masks", "presence", "cross")  # of HybridNet, PseudoNet, HybridNet, HybridNet


@dataclass(frozen=True, slots=True)
class Sources:
    """Training data of stage 1 as rows of the images. Masks of W that may not be used are `NO_LABEL` throughout."""

    images: Images
    targets: Targets  # of all rows
    tags: Tensor  # (N, K) bool, of all rows
    strong_rows: Tensor  # S, (M,)
    weak_rows: Tensor  # W, (M,)
    background: int | None  # the class that every image shows, if there is one


@dataclass(frozen=True, slots=True)
class Pair:
    """The two networks; equal in architecture, not in weights."""

    hybrid: nn.Module
    pseudo: nn.Module


def train_pair(
    pair: Pair, sources: Sources, recipe: JointRecipe, *, augment: Augment, watcher: Watcher, state: State | None = None
) -> Trust:
    """Train both networks where they lie, on from `state` if there is one, and return what PseudoNet came to be worth.

    `augment` takes a window of a scene, for S and W alike. The watcher is called after each block of steps; a state
    holds the means of the block's losses (`LOSSES`) and trust in "history".

    Raises:
        RoundCancelledError: the watcher asked for it; it is called several times a second.
        torch.OutOfMemoryError: the batch is too large for the device; the networks are of no use then.
    """
    step = _Step(pair, sources, recipe, augment)
    history: list[list[float]] = []
    if state is not None:
        step.load(state)
        history = list(state["history"])
    for block in range(len(history), recipe.blocks):
        first, last = block * recipe.block, min((block + 1) * recipe.block, recipe.steps)
        total = torch.zeros(len(LOSSES) + 1, device=sources.images.device)
        started = looked = time.monotonic()
        for number in range(first, last):
            total += step(number)
            now = time.monotonic()
            if now - looked > LOOK_SECONDS:
                looked, done = now, number + 1 - first
                stop_if(watcher.should_stop)
                watcher.on_look(Look(block, done / (last - first), done * recipe.batch_size / (now - started)))
        means: list[float] = (total / (last - first)).tolist()  # the one wait for the device
        history.append(means)
        watcher.on_epoch(step.state() | {"epochs_done": block + 1, "history": history}, sum(means[: len(LOSSES)]))
    return step.trust


def dealt(rows: Tensor, count: int, step: int, seed: int) -> Tensor:
    """Return the rows a step takes, (count,): all of them once in a drawn order, then all in another, and so on."""
    places = [divmod(step * count + place, len(rows)) for place in range(count)]
    orders = {
        lap: torch.randperm(len(rows), generator=torch.Generator().manual_seed(_mixed(seed, lap)))
        for lap in {lap for lap, _ in places}
    }
    return rows[torch.stack([orders[lap][place] for lap, place in places])]


class _Step:
    """One step after the other."""

    def __init__(self, pair: Pair, sources: Sources, recipe: JointRecipe, augment: Augment) -> None:
        device = sources.images.device
        self.trust = Trust(sources.tags.shape[1], device)
        self._pair, self._sources, self._recipe, self._augment = pair, sources, recipe, augment
        self._optimizers = {"hybrid": optimizer_of(pair.hybrid, recipe), "pseudo": optimizer_of(pair.pseudo, recipe)}
        self._generator = torch.Generator(device)
        self._tags = sources.tags.to(device)

    def __call__(self, number: int) -> Tensor:
        """Learn one batch; return the four losses and the mean trust, (5,)."""
        own = _mixed(self._recipe.seed, number)
        self._generator.manual_seed(own)
        torch.manual_seed(own)  # what the networks draw themselves
        half, sources, pair = self._recipe.half, self._sources, self._pair
        strong_rows = dealt(sources.strong_rows, half, number, 2 * self._recipe.seed)
        weak_rows = dealt(sources.weak_rows, half, number, 2 * self._recipe.seed + 1)
        scenes, masks = self._windows(strong_rows)  # (B/2, C, H, W), (B/2, H, W)
        tagged, given = self._windows(weak_rows)
        weak_tags = self._tags[weak_rows.to(self._tags.device)]
        strong_tags = self._tags[strong_rows.to(self._tags.device)]
        self._measure(scenes, masks, strong_tags)
        pair.hybrid.train()
        pair.pseudo.train()
        with fast_precision(sources.images.device):
            hybrid = pair.hybrid(torch.cat((strong_views(scenes, self._generator), tagged))).float()
            pseudo = pair.pseudo(tagged).float()
        has_mask = (given != NO_LABEL).flatten(1).any(dim=1)
        trusted = torch.where(has_mask, 1.0, self.trust.weights(weak_tags))
        losses = torch.stack(
            (
                class_aware_loss(hybrid[:half], masks, strong_tags),
                class_aware_loss(pseudo, _target(hybrid[half:], given, weak_tags, has_mask), weak_tags),
                presence_loss(hybrid, torch.cat((strong_tags, weak_tags)), sources.background),
                class_aware_loss(hybrid[half:], _target(pseudo, given, weak_tags, has_mask), weak_tags, trusted),
            )
        )
        for optimizer in self._optimizers.values():
            set_rate(optimizer, self._recipe, number)
            optimizer.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        for optimizer in self._optimizers.values():
            optimizer.step()
        return torch.cat((losses.detach(), trusted.mean()[None]))

    def _windows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self._augment(self._sources.images.batch(rows), self._sources.targets.batch(rows), self._generator)

    def _measure(self, scenes: Tensor, masks: Tensor, tags: Tensor) -> None:
        """Count how PseudoNet does on images it never learns from.

        In a block of its own: weights that autocast rounds without gradients must not be there for the learning pass.
        """
        self._pair.pseudo.eval()
        with torch.no_grad(), fast_precision(self._sources.images.device):
            self.trust.update(likeliest(self._pair.pseudo(scenes).float(), tags), masks)

    def state(self) -> State:
        """Return what to go on from."""
        return {
            "hybrid": self._pair.hybrid.state_dict(),
            "pseudo": self._pair.pseudo.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            "trust": self.trust.counts,
        }

    def load(self, state: State) -> None:
        self._pair.hybrid.load_state_dict(state["hybrid"])
        self._pair.pseudo.load_state_dict(state["pseudo"])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.trust.counts = state["trust"].to(self.trust.counts.device)


def _target(logits: Tensor, given: Tensor, tags: Tensor, has_mask: Tensor) -> Tensor:
    """Return the other network's likeliest classes, or the mask of an image that has one, (B, H, W)."""
    return torch.where(has_mask[:, None, None], given, likeliest(logits, tags))


def _mixed(seed: int, number: int) -> int:
    return (seed * 1_000_003 + number) % 2**63
