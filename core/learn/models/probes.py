"""A frozen network with a logistic regression upon it, as one network.

Shapes: images (B, C, H, W), features (B, D), logits (B, K).
"""

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """The regression: features brought to unit variance, then one layer."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, layer: nn.Linear) -> None:
        """Take the features' mean and deviation, (D,) each, and the fitted layer."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.layer = layer

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits, (B, K)."""
        logits: Tensor = self.layer((features - self.mean) / self.std)
        return logits


class Probe(nn.Module):
    """Both together; features are rounded to half precision, as those that the regression was fitted to."""

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        """Stand `head` upon `backbone`."""
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, (B, K)."""
        logits: Tensor = self.head(self.backbone(images).to(torch.float16).float())
        return logits
