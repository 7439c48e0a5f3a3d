"""Losses from tags and masks: a softmax over the tagged classes of an image, and a loss on the tags themselves.

Shapes: logits (B, K, ...), targets (B, ...) int64 with `NO_LABEL` where nothing is known, tags (B, K) bool.
An absent class has a logit of minus infinity: no share of the softmax, and a gradient of exactly 0.
"""

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor

from core.types import NO_LABEL


def class_aware_loss(logits: Tensor, targets: Tensor, tags: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the cross entropy over present classes, its mean over what is known; 0, not NaN, where nothing is.

    `weights` (B,) scale each image's part; the mean is still taken over all that is known, so that little trust means
    little loss. Pixels labelled as an absent class contradict the tags and count as unknown.
    """
    open_tags = tags | ~tags.any(dim=1, keepdim=True)  # an image without tags has no known pixel, but needs a softmax
    log_probs = _tagged(logits.float(), open_tags).log_softmax(dim=1)  # (B, K, ...)
    index = targets.clamp_min(0)
    present = tags.gather(1, index.reshape(len(index), -1)).view_as(index)
    known = (targets != NO_LABEL) & present
    picked = log_probs.gather(1, index[:, None])[:, 0]  # (B, ...)
    cost = -torch.where(known, picked, 0.0)
    if weights is not None:
        cost = cost * weights.view(-1, *[1] * (cost.ndim - 1))
    return cost.sum() / known.sum().clamp_min(1)


def presence_loss(logits: Tensor, tags: Tensor, background: int | None) -> Tensor:
    """Return the multi-label soft margin of each class's largest logit; `background` is always there and not asked."""
    highest = logits.float().flatten(2).amax(dim=2)  # (B, K)
    asked = torch.ones(tags.shape[1], dtype=torch.bool, device=tags.device)
    if background is not None:
        asked[background] = False
    if not asked.any():
        return highest.sum() * 0
    return F.multilabel_soft_margin_loss(highest[:, asked], tags[:, asked].float())


def likeliest(logits: Tensor, tags: Tensor) -> Tensor:
    """Return the likeliest of the present classes, (B, ...), to learn from; `NO_LABEL` where none is present."""
    best = _tagged(logits.detach(), tags).argmax(dim=1)
    there = tags.any(dim=1).view(-1, *[1] * (best.ndim - 1))
    return best.masked_fill(~there, NO_LABEL)


def _tagged(logits: Tensor, tags: Tensor) -> Tensor:
    return logits.masked_fill(~tags.view(*tags.shape, *[1] * (logits.ndim - 2)), -torch.inf)
