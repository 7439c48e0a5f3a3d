"""Joint training of two networks from a few masks and from tags: stage 1 of cross-training.

Y. Wang et al., *Learning pseudo labels for semi-and-weakly supervised semantic segmentation*, Pattern Recognition 2022;
rebuilt from its description. In this file: the data, the training loop and its step, the losses, the strong views, the
trust, the optimisers.

A step sees a batch, half of it S (images with masks), half of it W (images with tags). HybridNet and PseudoNet have
one architecture and their own weights. Four losses, each of weight 1:

- HybridNet is trained on the masks of S, on the tags of all images, and on W on the likeliest classes of PseudoNet,
  each image, or each pixel, weighted by the trust in PseudoNet;
- PseudoNet is trained on W alone, on the likeliest classes of HybridNet. So S can validate it (`Trust`): it predicts S
  without strong changes, and S changes neither its weights nor its statistics.

Pixels may weigh by their class (`Sources.class_weights`), in masks and pseudo masks alike: each network copies what the
other one finds often, so without weights the large classes swallow the small ones.

An image of W with a mask trains both networks by it, with weight 1.

As in `core.learn.training`, a continued run ends exactly like an uninterrupted one: random draws of a step depend on
the seed and the number of the step alone.

Shapes: B images, K classes, logits (B, K, H, W), masks (B, H, W) int64 with `NO_LABEL` where unlabelled, tags (B, K)
bool. An absent class has a logit of minus infinity: probability 0, and a gradient of exactly 0.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.config import ADAMW, IMAGE_TRUST, PIXEL_TRUST, check_pair
from core.learn.augment import Augment
from core.learn.batches import ImageBatches, Targets
from core.learn.devices import fast_precision
from core.learn.training import LOOK_SECONDS, State, TrainingCallbacks, adamw, cycle, mean_loss, stop_if
from core.types import NO_LABEL, ConfigError

_OPERATIONS = 2  # on each image, different ones
_STRENGTH = 0.5  # at most; with twice that, runs of a thousand steps are less accurate (docs/log.md)
_Operation = Callable[[Tensor, float, torch.Generator], Tensor]  # image (C, H, W), strength in [-1, 1]
DECAY = 0.99  # per step
POWER = 8
PIXEL_POWER = 4  # of a class, or of the mean of some; the paper's power weighs an image by its worst class
_MOMENTUM, _WEIGHT_DECAY = 0.9, 4e-5
_POWER = 0.9  # of the remaining share of the run: the "poly" schedule
_CLASSIFIER_RATE = 10  # times the others' rate
_CLASSIFIERS = {"head", "segmentation_head"}  # names of the classifier of pixels
LOSSES = ("masks", "pseudo masks", "presence", "cross")  # of HybridNet, PseudoNet, HybridNet, HybridNet


@dataclass(frozen=True, slots=True)
class Sources:
    """Training data of stage 1 as rows of the images. Masks of W that must not be used are `NO_LABEL` throughout."""

    images: ImageBatches
    targets: Targets  # of all rows
    tags: Tensor  # (N, K) bool, of all rows
    strong_rows: Tensor  # S, (M,)
    weak_rows: Tensor  # W, (M,)
    background: int | None  # the class that every image shows, if there is one
    class_weights: Tensor | None = None  # (K,); None: equal


@dataclass(frozen=True, slots=True)
class NetworkPair:
    """Two networks of one architecture."""

    hybrid: nn.Module
    pseudo: nn.Module


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRecipe:
    """Settings of the joint training of HybridNet and PseudoNet."""

    steps: int = 20_000
    batch_size: int = 10  # half of it images with masks, half with tags
    learning_rate: float = 1e-3  # the highest of the run
    optimizer: str = ADAMW
    trust: str = IMAGE_TRUST  # or PIXEL_TRUST, see `Trust`
    block: int = 500  # steps between two checkpoints
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        check_pair(
            batch_size=self.batch_size, steps=self.steps, block=self.block, optimizer=self.optimizer, trust=self.trust
        )
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate}, must be above 0")

    @property
    def half(self) -> int:
        """Number of images with masks, and of those with tags, in a step."""
        return self.batch_size // 2

    @property
    def blocks(self) -> int:
        """Number of blocks, of which the last one may be shorter."""
        return -(-self.steps // self.block)


class Trust:
    """Trust in a network's masks, measured during training on images that it is not trained on.

    Running counts of pixels per class, each step weighing .99 of the next one's: T given, P predicted, TP both. The
    intersection over union is TP / (T + P - TP). The trust in an image is the least IoU of its classes to the power 8:
    it stays near 0 until all of them are known well, without a threshold or a schedule. That is the paper's rule; with
    many classes an image it stays 0 while one of them is missed. The trust in a pixel is the IoU of its class, but at
    most the mean of its image's classes without the background, to the power 4: otherwise the background, known first,
    would outweigh all else, and both networks would end by painting nothing but it.

    Pixels labelled `NO_LABEL` are not counted, not as predicted either. A class that was predicted or given but never
    rightly has IoU 0, and so has the trust in every image that shows it. A class that was neither given nor predicted
    has none (NaN) and is left out of the minimum; an image without any known class has trust 0.

    `counts` is (3, K) float64: T, P, TP.
    """

    def __init__(self, classes: int, device: torch.device) -> None:
        """Start with counts of 0."""
        kind = torch.float32 if device.type == "mps" else torch.float64
        self.counts = torch.zeros(3, classes, dtype=kind, device=device)

    def update(self, predicted: Tensor, given: Tensor) -> None:
        """Count the masks of one step, (B, H, W) each."""
        known = (given != NO_LABEL) & (predicted != NO_LABEL)
        classes = self.counts.shape[1]
        pairs = torch.where(known, given * classes + predicted, classes**2)  # the last bin is thrown away
        confusion = torch.bincount(pairs.flatten(), minlength=classes**2 + 1)[:-1].view(classes, classes)
        fresh = torch.stack((confusion.sum(dim=1), confusion.sum(dim=0), confusion.diagonal()))
        self.counts = self.counts * DECAY + fresh

    def ious(self) -> Tensor:
        """Return the intersection over union of each class, (K,); NaN for one neither given nor predicted yet."""
        given, predicted, right = self.counts
        ious: Tensor = right / (given + predicted - right)  # 0 / 0 is NaN
        return ious

    def weights(self, tags: Tensor) -> Tensor:
        """Return the trust in images with these tags, (B, K), as (B,) float in [0, 1]."""
        ious = self.ious()
        scored = tags & ~ious.isnan()
        worst = torch.where(scored, ious, torch.inf).amin(dim=1)
        return torch.where(scored.any(dim=1), worst, 0.0).pow(POWER).float()

    def pixel_weights(self, predicted: Tensor, tags: Tensor, background: int | None = None) -> Tensor:
        """Return the trust in pixels predicted as these classes, (B, H, W), as float in [0, 1]; 0 for `NO_LABEL`.

        `tags`, (B, K), are those of their images.
        """
        ious = self.ious().nan_to_num(0.0)
        others = tags.clone()
        if background is not None:
            others[:, background] = False
        mean = (ious * others).sum(dim=1) / others.sum(dim=1).clamp_min(1)  # (B,)
        least = torch.minimum(ious[predicted.clamp_min(0)], mean[:, None, None])
        return torch.where(predicted == NO_LABEL, 0.0, least.pow(PIXEL_POWER).float())


class _Step:
    """Training step, with its state."""

    def __init__(self, pair: NetworkPair, sources: Sources, recipe: JointRecipe, augment: Augment) -> None:
        device = sources.images.device
        self.trust = Trust(sources.tags.shape[1], device)
        self._pair, self._sources, self._recipe, self._augment = pair, sources, recipe, augment
        self._optimizers = {"hybrid": optimizer_of(pair.hybrid, recipe), "pseudo": optimizer_of(pair.pseudo, recipe)}
        self._generator = torch.Generator(device)
        self._tags = sources.tags.to(device)
        self._weights = None if sources.class_weights is None else sources.class_weights.to(device)

    def __call__(self, number: int) -> Tensor:
        """Train on one batch; return the four losses and the mean trust, (5,)."""
        own = _mix_seed(self._recipe.seed, number)
        self._generator.manual_seed(own)
        torch.manual_seed(own)  # for dropout of the networks
        half, sources, pair = self._recipe.half, self._sources, self._pair
        strong_rows = deal_rows(sources.strong_rows, half, number, 2 * self._recipe.seed)
        weak_rows = deal_rows(sources.weak_rows, half, number, 2 * self._recipe.seed + 1)
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
        taught = _target(pseudo, given, weak_tags, has_mask)
        target = _target(hybrid[half:], given, weak_tags, has_mask)
        trusted = self._trust_in(taught, weak_tags, has_mask)
        losses = torch.stack(
            (
                class_aware_loss(hybrid[:half], masks, strong_tags, class_weights=self._weights),
                class_aware_loss(pseudo, target, weak_tags, class_weights=self._weights),
                presence_loss(hybrid, torch.cat((strong_tags, weak_tags)), sources.background),
                class_aware_loss(hybrid[half:], taught, weak_tags, trusted, class_weights=self._weights),
            )
        )
        for optimizer in self._optimizers.values():
            set_rate(optimizer, self._recipe, number)
            optimizer.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        for optimizer in self._optimizers.values():
            optimizer.step()
        return torch.cat((losses.detach(), trusted.mean()[None]))

    def _trust_in(self, taught: Tensor, tags: Tensor, has_mask: Tensor) -> Tensor:
        """Return the weights of PseudoNet's pseudo labels, (B/2,) or (B/2, H, W); 1 for images with a mask."""
        if self._recipe.trust == PIXEL_TRUST:
            weights = self.trust.pixel_weights(taught, tags, self._sources.background)
            return torch.where(has_mask[:, None, None], 1.0, weights)
        return torch.where(has_mask, 1.0, self.trust.weights(tags))

    def _windows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self._augment(self._sources.images.batch(rows), self._sources.targets.batch(rows), self._generator)

    def _measure(self, scenes: Tensor, masks: Tensor, tags: Tensor) -> None:
        """Update the trust in PseudoNet by its predictions of S, which it is not trained on.

        In an autocast block of its own, since weights that autocast caches without gradients must not be reused in the
        training pass.
        """
        self._pair.pseudo.eval()
        with torch.no_grad(), fast_precision(self._sources.images.device):
            self.trust.update(likeliest_classes(self._pair.pseudo(scenes).float(), tags), masks)

    def state(self) -> State:
        """Return the state to continue from."""
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


def train_pair(
    pair: NetworkPair,
    sources: Sources,
    recipe: JointRecipe,
    *,
    augment: Augment,
    callbacks: TrainingCallbacks,
    state: State | None = None,
) -> Trust:
    """Train both networks in place, from `state` if there is one, and return the final trust in PseudoNet.

    `augment` takes a window of a scene, for S and W alike. `on_epoch` is called after each block of steps; the
    "history" of its state has the means of the block's losses (`LOSSES`) and trust.

    Raises:
        RoundCancelledError: `should_stop` returned true; it is called several times a second.
        torch.OutOfMemoryError: the batch is too large for the device; the networks must be discarded.
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
                stop_if(callbacks.should_stop)
                callbacks.on_progress(block + done / (last - first), done * recipe.batch_size / (now - started))
        means: list[float] = (total / (last - first)).tolist()  # the one wait for the device
        history.append(means)
        callbacks.on_epoch(step.state() | {"epochs_done": block + 1, "history": history}, sum(means[: len(LOSSES)]))
    return step.trust


def deal_rows(rows: Tensor, count: int, step: int, seed: int) -> Tensor:
    """Return the rows of a step, (count,), where each pass over all rows has a random order of its own."""
    places = [divmod(step * count + place, len(rows)) for place in range(count)]
    orders = {
        lap: torch.randperm(len(rows), generator=torch.Generator().manual_seed(_mix_seed(seed, lap)))
        for lap in {lap for lap, _ in places}
    }
    return rows[torch.stack([orders[lap][place] for lap, place in places])]


def class_aware_loss(
    logits: Tensor,
    targets: Tensor,
    tags: Tensor,
    weights: Tensor | None = None,
    *,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Return the cross entropy over present classes, as the mean over labelled pixels by the rule of `mean_loss`.

    `weights` are the trust in the images, (B,), or in the pixels, (B, ...); `class_weights` (K,). Pixels labelled as an
    absent class contradict the tags and count as unlabelled.
    """
    open_tags = tags | ~tags.any(dim=1, keepdim=True)  # images without tags have no labelled pixel but need a softmax
    log_probs = _mask_absent(logits.float(), open_tags).log_softmax(dim=1)  # (B, K, ...)
    index = targets.clamp_min(0)
    present = tags.gather(1, index.reshape(len(index), -1)).view_as(index)
    known = (targets != NO_LABEL) & present
    picked = log_probs.gather(1, index[:, None])[:, 0]  # (B, ...)
    cost = -torch.where(known, picked, 0.0)
    if weights is not None:
        cost = cost * weights.view(*weights.shape, *[1] * (cost.ndim - weights.ndim))
    if class_weights is not None:
        cost = cost * (class_weights[index] * known)
    return mean_loss(cost.sum(), torch.where(known, targets, NO_LABEL), class_weights)


def presence_loss(logits: Tensor, tags: Tensor, background: int | None) -> Tensor:
    """Return the multi-label soft margin loss of the largest logit of each class, without that of `background`."""
    highest = logits.float().flatten(2).amax(dim=2)  # (B, K)
    counted = torch.ones(tags.shape[1], dtype=torch.bool, device=tags.device)
    if background is not None:
        counted[background] = False
    if not counted.any():
        return highest.sum() * 0
    return F.multilabel_soft_margin_loss(highest[:, counted], tags[:, counted].float())


def likeliest_classes(logits: Tensor, tags: Tensor) -> Tensor:
    """Return the likeliest of the present classes, (B, ...), without gradient; `NO_LABEL` where none is present."""
    best = _mask_absent(logits.detach(), tags).argmax(dim=1)
    there = tags.any(dim=1).view(-1, *[1] * (best.ndim - 1))
    return best.masked_fill(~there, NO_LABEL)


def strong_views(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return each image after two random changes of colour or sharpness, (B, C, H, W); inputs are not modified."""
    order = torch.rand(len(images), len(_ALL), generator=generator, device=images.device)
    chosen = order.argsort(dim=1)[:, :_OPERATIONS].tolist()
    strength = (torch.rand(len(images), _OPERATIONS, generator=generator, device=images.device) * 2 - 1) * _STRENGTH
    changed = []
    for image, operations, strengths in zip(images, chosen, strength.tolist(), strict=True):
        for operation, own in zip(operations, strengths, strict=True):
            image = _ALL[operation](image, own, generator)  # noqa: PLW2901 one after the other
        changed.append(image)
    return torch.stack(changed).contiguous(memory_format=torch.channels_last)


def optimizer_of(network: nn.Module, recipe: JointRecipe) -> torch.optim.Optimizer:
    """Return the optimiser of a network: AdamW, or the paper's SGD.

    Raises:
        ConfigError: see `sgd`.
    """
    return adamw(network, recipe.learning_rate) if recipe.optimizer == ADAMW else sgd(network, recipe)


def sgd(network: nn.Module, recipe: JointRecipe) -> torch.optim.Optimizer:
    """Return SGD as in the paper; its second parameter group is the classifier, with ten times the rate.

    Raises:
        ConfigError: the network has no known classifier.
    """
    classifier = {name for name, _ in network.named_parameters() if _CLASSIFIERS & set(name.split("."))}
    if not classifier:
        raise ConfigError("the network has no known classifier to train faster", "choose one of the networks for masks")
    rest = [parameter for name, parameter in network.named_parameters() if name not in classifier]
    own = [parameter for name, parameter in network.named_parameters() if name in classifier]
    groups = [{"params": rest, "times": 1}, {"params": own, "times": _CLASSIFIER_RATE}]
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY)


def set_rate(optimizer: torch.optim.Optimizer, recipe: JointRecipe, step: int) -> None:
    """Set the learning rate of this step, counted from 0, in all groups."""
    share = step / recipe.steps
    rate = recipe.learning_rate * (cycle(share) if recipe.optimizer == ADAMW else (1 - share) ** _POWER)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("times", 1)


def _mask_absent(logits: Tensor, tags: Tensor) -> Tensor:
    return logits.masked_fill(~tags.view(*tags.shape, *[1] * (logits.ndim - 2)), -torch.inf)


def _brighten(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    return image + strength


def _change_contrast(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    middle = image.mean()
    return middle + (image - middle) * (1 + 0.7 * strength)


def _change_colour(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    grey = image.mean(dim=0, keepdim=True)
    return grey + (image - grey) * (1 + strength)


def _sharpen(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    """Blur where the strength is below 0, else sharpen."""
    blurred = F.avg_pool2d(image[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    return image + strength * (image - blurred)


def _add_noise(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(image.shape, generator=generator, device=image.device)
    return image + 0.3 * abs(strength) * noise


def _posterise(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    step = 0.1 + 0.6 * abs(strength)
    return (image / step).round() * step


def _solarise(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    """Invert bright pixels: above a threshold that falls with the strength."""
    threshold = 2.5 - 1.5 * abs(strength)
    return torch.where(image > threshold, 2 * threshold - image, image)


def _target(logits: Tensor, given: Tensor, tags: Tensor, has_mask: Tensor) -> Tensor:
    """Return the likeliest classes of the other network, or the mask of an image that has one, (B, H, W)."""
    return torch.where(has_mask[:, None, None], given, likeliest_classes(logits, tags))


def _mix_seed(seed: int, number: int) -> int:
    return (seed * 1_000_003 + number) % 2**63


_ALL: tuple[_Operation, ...] = (
    _brighten,
    _change_contrast,
    _change_colour,
    _sharpen,
    _add_noise,
    _posterise,
    _solarise,
)
