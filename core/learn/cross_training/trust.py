"""Trust in a network's masks, measured during training on validation images.

Running counts of pixels per class, each step weighing .99 of the next one's: T given, P predicted, TP both. The
intersection over union is TP / (T + P - TP). An image is trusted as far as the worst of its classes, to the power 8: so
trust stays at nothing until all of them are known well, and there is neither a threshold nor a schedule.

Pixels labelled `NO_LABEL` count nowhere, not as predicted either. A class that was predicted or given but never rightly
has the value 0, and so has the trust in every image that shows it. A class that was neither given nor predicted has
no value (NaN) and is left out of the minimum; an image none of whose classes has a value is not trusted, weight 0.
"""

import torch
from torch import Tensor

from core.types import NO_LABEL

DECAY = 0.99  # per step
POWER = 8


class Trust:
    """The running counts; `counts` is (3, K) float64: T, P, TP."""

    def __init__(self, classes: int, device: torch.device) -> None:
        """Begin with nothing seen."""
        kind = torch.float32 if device.type == "mps" else torch.float64
        self.counts = torch.zeros(3, classes, dtype=kind, device=device)

    def update(self, predicted: Tensor, given: Tensor) -> None:
        """Count one step's masks, (B, H, W) each."""
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
        """Return how far images with these tags, (B, K), are trusted, (B,) float in [0, 1]."""
        ious = self.ious()
        asked = tags & ~ious.isnan()
        worst = torch.where(asked, ious, torch.inf).amin(dim=1)
        return torch.where(asked.any(dim=1), worst, 0.0).pow(POWER).float()
