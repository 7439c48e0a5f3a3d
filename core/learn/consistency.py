"""Consistency training on unlabelled images: confident predictions on a weak view are the targets of a strong view.

K. Sohn et al., *FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence*, NeurIPS 2020. For each
labelled image of a batch `ratio` unlabelled ones are drawn, with replacement. The weak view is the task's own change;
the strong one changes that view's colours and sharpness and cuts a square out, but moves no pixel, so that masks can be
learnt the same way. There is no moving average of the weights: the rate falls to nothing instead.

Shapes: images (B, C, H, W) with a deviation of 1, logits (B, K, ...), valid (B, ...).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.learn.augment import Augment
from core.learn.batches import Images, Targets
from core.learn.losses import supervised_loss
from core.types import NO_LABEL

_BRIGHTNESS, _CONTRAST, _COLOUR, _SHARPNESS, _NOISE = 1.0, 0.8, 1.0, 1.0, 0.3  # of the strongest change
_MIXED = 0.5  # how often each of them is made
_CUT = 0.5  # of a side, what is cut out at most


def consistency_loss(weak: Tensor, strong: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """Return what teaches the strong view what the weak view is sure of; 0, not NaN, where nothing is valid.

    The mean is over all valid elements, the unsure ones too: the surer a network gets the more this weighs.
    """
    confidence, target = weak.detach().softmax(dim=1).max(dim=1)  # (B, ...)
    trusted = (confidence >= threshold) & valid
    per_element = F.cross_entropy(strong, target, reduction="none")  # (B, ...)
    return (per_element * trusted).sum() / valid.sum().clamp_min(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """An `Objective`: the loss of the labels and, with weight 1, that of the unlabelled rows, (M,)."""

    images: Images
    targets: Targets  # only their shape is looked at
    rows: Tensor
    augment: Augment
    threshold: float
    ratio: int  # unlabelled images for each labelled one

    def __call__(
        self,
        network: nn.Module,
        images: Tensor,
        targets: Tensor,
        weights: Tensor | None,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the loss of a labelled batch and as many unlabelled images as `ratio` says."""
        device = self.images.device
        drawn = torch.randint(len(self.rows), (len(images) * self.ratio,), generator=generator, device=device)
        chosen = self.rows.to(device)[drawn]
        nothing = torch.zeros_like(self.targets.batch(chosen))  # known everywhere; what comes into view is not
        weak, seen = self.augment(self.images.batch(chosen), nothing, generator)
        strong = strong_views(weak, generator)
        logits = network(torch.cat((images, strong)))
        with torch.no_grad():  # after what learns: autocast keeps the weights it rounded first
            sure = network(weak)
        own, changed = logits[: len(images)], logits[len(images) :]
        unlabelled = consistency_loss(sure.float(), changed.float(), seen != NO_LABEL, self.threshold)
        return supervised_loss(own, targets, weights) + unlabelled


def strong_views(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return each image after some of five changes and a cut, (B, C, H, W); all at once, so that no device waits."""
    count, device = len(images), images.device
    strength = torch.rand(5, count, 1, 1, 1, generator=generator, device=device) * 2 - 1
    made = torch.rand(5, count, 1, 1, 1, generator=generator, device=device) < _MIXED
    bright, contrast, colour, sharp, noise = strength * made
    grey = images.mean(dim=1, keepdim=True)
    changed = grey + (images - grey) * (1 + _COLOUR * colour)
    middle = changed.mean(dim=(1, 2, 3), keepdim=True)
    changed = middle + (changed - middle) * (1 + _CONTRAST * contrast) + _BRIGHTNESS * bright
    blurred = F.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    changed = changed + _SHARPNESS * sharp * (changed - blurred)
    grain = torch.randn(images.shape, generator=generator, device=device)
    changed = changed + _NOISE * noise.abs() * grain
    return _cut(changed, generator).contiguous(memory_format=torch.channels_last)


def _cut(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images with a square of each, in its middle colour, cut out (T. DeVries, G. Taylor, Cutout, 2017)."""
    height, width = images.shape[2:]
    drawn = torch.rand(3, len(images), 1, 1, generator=generator, device=images.device)
    half = drawn[0] * _CUT / 2
    y = (torch.arange(height, device=images.device) + 0.5).view(1, -1, 1) / height
    x = (torch.arange(width, device=images.device) + 0.5).view(1, 1, -1) / width
    inside = ((y - drawn[1]).abs() < half) & ((x - drawn[2]).abs() < half)  # (B, H, W)
    return torch.where(inside[:, None], images.mean(dim=(2, 3), keepdim=True), images)
