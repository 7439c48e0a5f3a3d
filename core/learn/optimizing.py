"""Optimiser of all networks but those of published recipes: AdamW with a one-cycle learning rate."""

import math

import torch
from torch import nn

from core.config import SMALL_MASK_NETWORK, SMALL_NETWORK, RoundConfig, Weights

WEIGHT_DECAY = 0.01  # on kernels only
_WARM_UP = 0.3  # of the whole run the rate rises, then it falls to nothing along a cosine (one cycle, Smith 2018)
_FIRST_RATE = 0.1  # of the highest
_RATES = {Weights.NONE: 1e-3, Weights.PACKAGED: 3e-4, Weights.FILE: 3e-4, Weights.PRETRAINED: 3e-4}
_SMALL_NETWORKS = {SMALL_NETWORK, SMALL_MASK_NETWORK}
_SMALL_RATE = 3e-3


def adamw(network: nn.Module, learning_rate: float, weight_decay: float = WEIGHT_DECAY) -> torch.optim.Optimizer:
    """Return a network's own optimiser, which leaves all but its kernels undecayed."""
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def cycle(share: float) -> float:
    """Return the learning rate at this share of the run, as a part of the highest."""
    if share < _WARM_UP:
        return _FIRST_RATE + (1 - _FIRST_RATE) * share / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP)))


def learning_rate(config: RoundConfig) -> float:
    """Return the highest rate of the cycle: the config's own, or what suits the network and its first weights."""
    if config.learning_rate:
        return config.learning_rate
    return _SMALL_RATE if config.model in _SMALL_NETWORKS else _RATES[config.weights]
