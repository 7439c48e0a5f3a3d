"""Networks that vote: the mean of their probabilities.

Shapes: images (B, C, H, W), logits (B, K, ...).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class NetworkEnsemble(nn.Module):
    """Networks of the same inputs and classes as one."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        """Take at least one network."""
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logarithm of the mean probabilities, (B, K, ...)."""
        logs = torch.stack([network(images).float().log_softmax(dim=1) for network in self.networks])
        return logs.logsumexp(dim=0) - torch.tensor(float(len(self.networks)), device=logs.device).log()
