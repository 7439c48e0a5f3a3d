"""Consistency training on unlabelled images: confident predictions on a weak view are the targets of a strong view.

K. Sohn et al., *FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence*, NeurIPS 2020. For each
labelled image of a batch `ratio` unlabelled ones are drawn, with replacement. The weak view is the task's own
augmentation, the strong one is made from it (`core.learn.augment`). The least confidence is one number, or follows the
network: Y. Wang et al., *FreeMatch: Self-adaptive Thresholding for Semi-supervised Learning*, ICLR 2023. Instead of a
moving average of the weights the learning rate falls to 0. The ratio can grow: J. Chen et al., *Fast FixMatch: Faster
Semi-Supervised Learning with Curriculum Batch Size*, 2023, a bounded exponential curve.

Scenes can have two strong views, each with a box of another unlabelled scene and its predictions: S. Yun et al.,
*CutMix*, ICCV 2019, and L. Yang et al., *Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic
Segmentation* (UniMatch), CVPR 2023, here without its perturbed features.

Shapes: images (B, C, H, W) with a deviation of 1, logits (B, K, ...), valid (B, ...), thresholds (K,).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.learn.augment import Augment
from core.learn.batches import ImageBatches, Targets
from core.learn.training import supervised_loss
from core.types import NO_LABEL

_BOXED = 0.5  # probability that a scene gets a box of another one; with the sizes below as in UniMatch
_LEAST_BOX, _LARGEST_BOX = 0.02, 0.4  # of the scene's area
_LONGEST_BOX = 1 / 0.3  # ratio of its sides, where both are shares of the scene's
_CURVE = 0.7  # of a growing ratio: how late it grows, from 0 (evenly) to 1
_DECAY = 0.99  # of the running means, a step; FreeMatch has 0.999 for 2,000 times as many steps


def consistency_loss(weak: Tensor, strong: Tensor, valid: Tensor, threshold: float | Tensor) -> Tensor:
    """Return the cross entropy of the strong view against confident predictions of the weak one; 0 where none is valid.

    The mean is over all valid elements, including unsure ones, so the loss weighs more as confidence grows. The
    threshold is one number, or one for each predicted class, (K,).
    """
    confidence, target = weak.detach().softmax(dim=1).max(dim=1)  # (B, ...)
    least = threshold[target] if isinstance(threshold, Tensor) else threshold
    trusted = (confidence >= least) & valid
    per_element = F.cross_entropy(strong, target, reduction="none")  # (B, ...)
    return (per_element * trusted).sum() / valid.sum().clamp_min(1)


def adaptive_thresholds(weak: Tensor, valid: Tensor, running: Tensor) -> Tensor:
    """Return FreeMatch's threshold of each class, (K,), and update the running means in place, (1 + K,).

    The means are of the confidence and of each class's probability, 1 / K before the first step; a class has the share
    of the mean confidence that its mean probability has of the largest. `running` is 0 in the beginning.
    """
    probabilities = weak.detach().softmax(dim=1)  # (B, K, ...)
    classes = probabilities.shape[1]
    share = valid / valid.sum().clamp_min(1)  # (B, ...)
    per_class = (probabilities * share[:, None]).movedim(1, 0).flatten(1).sum(dim=1)
    seen = torch.cat(((probabilities.amax(dim=1) * share).sum()[None], per_class))
    before = torch.where(running.sum() == 0, torch.full_like(running, 1 / classes), running)
    running.copy_(torch.where(valid.any(), before * _DECAY + seen * (1 - _DECAY), before))
    thresholds: Tensor = running[0] * running[1:] / running[1:].max()
    return thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """`Objective` with the loss of the labels and, with weight 1, that of the unlabelled rows, (M,)."""

    images: ImageBatches
    targets: Targets  # only their shape is used
    rows: Tensor
    augment: Augment  # the weak view
    strong: Callable[[Tensor, torch.Generator], Tensor]  # of a weak view, with the same targets
    mixed_views: int = 0  # strong views of each scene that are mixed with others; 0: one, unmixed
    threshold: float | None  # None: adaptive
    ratio: int  # unlabelled images for each labelled one
    growing: bool = False  # from next to none of them to all
    running: Tensor  # (1 + K,) means of the adaptive thresholds, changed in place
    views: Tensor  # (1,) int64, unlabelled images seen so far, changed in place

    def __call__(
        self,
        network: nn.Module,
        images: Tensor,
        targets: Tensor,
        weights: Tensor | None,
        generator: torch.Generator,
        share: float = 1.0,
    ) -> Tensor:
        """Return the loss of a labelled batch and of `ratio` times as many unlabelled images, or of a growing part."""
        device, count = self.images.device, len(images) * self.ratio
        count = max(1, round(count * grown(share))) if self.growing else count
        self.views.add_(count)
        places = torch.randint(len(self.rows), (count,), generator=generator, device=device)
        chosen = self.rows.to(device)[places]
        nothing = torch.zeros_like(self.targets.batch(chosen))  # known everywhere, except for pixels moved into view
        weak, seen = self.augment(self.images.batch(chosen), nothing, generator)
        boxed = [draw_mix(weak, generator) for _ in range(self.mixed_views)]
        mixes: Sequence[Mix | None] = boxed or [None]
        strong = [mixed(self.strong(weak, generator), mix) for mix in mixes]
        logits = network(torch.cat((images, *strong)))
        with torch.no_grad():  # after the forward pass with gradients: autocast keeps the weights it rounded first
            sure = network(weak).float()
            valid = seen != NO_LABEL
            least = adaptive_thresholds(sure, valid, self.running) if self.threshold is None else self.threshold
        own, changed = logits[: len(images)], logits[len(images) :].float().chunk(len(mixes))
        losses = [
            consistency_loss(mixed(sure, mix), view, mixed(valid, mix), least)
            for view, mix in zip(changed, mixes, strict=True)
        ]
        return supervised_loss(own, targets, weights) + torch.stack(losses).mean()


def grown(share: float) -> float:
    """Return the part of its last value that a growing ratio has at this share of the run, from 0 to 1."""
    left = 1 - share
    return 1 - left / (1 - _CURVE + _CURVE * left)


@dataclass(frozen=True, slots=True)
class Mix:
    """Partner of each scene of a batch, (B,), and the pixels taken from it, (B, H, W)."""

    others: Tensor
    inside: Tensor


def draw_mix(images: Tensor, generator: torch.Generator) -> Mix:
    """Return a random box for half of these scenes, and the scene that fills it."""
    count, height, width = len(images), *images.shape[2:]
    device = images.device
    random = torch.rand(5, count, 1, 1, generator=generator, device=device)
    area = _LEAST_BOX + (_LARGEST_BOX - _LEAST_BOX) * random[0]
    ratio = _LONGEST_BOX ** (2 * random[1] - 1)
    tall, wide = (area * ratio).sqrt().clamp_max(1), (area / ratio).sqrt().clamp_max(1)
    top, left = (1 - tall) * random[2], (1 - wide) * random[3]
    y = (torch.arange(height, device=device) + 0.5).view(1, -1, 1) / height
    x = (torch.arange(width, device=device) + 0.5).view(1, 1, -1) / width
    inside = (y >= top) & (y < top + tall) & (x >= left) & (x < left + wide) & (random[4] < _BOXED)
    shift = torch.randint(1, max(2, count), (1,), generator=generator, device=device)
    return Mix((torch.arange(count, device=device) + shift) % count, inside)


def mixed(values: Tensor, mix: Mix | None) -> Tensor:
    """Return values of scenes, (B, H, W) or (B, C, H, W), each with its box of another one; the same for no mix."""
    if mix is None:
        return values
    inside = mix.inside if values.ndim == mix.inside.ndim else mix.inside[:, None]
    return torch.where(inside, values[mix.others], values)
