"""Optimisation of both networks of stage 1 with one schedule of learning rates.

As all other networks are, or as the paper has it: SGD, the classifier ten times as fast, a falling rate.
"""

from dataclasses import dataclass

import torch
from torch import nn

from core.config import ADAMW, check_pair
from core.learn.optimizing import adamw, cycle
from core.types import ConfigError

_MOMENTUM, _WEIGHT_DECAY = 0.9, 4e-5
_POWER = 0.9  # of what is left of the run: the "poly" schedule
_CLASSIFIER_RATE = 10  # times the others' rate
_CLASSIFIERS = {"head", "segmentation_head"}  # names of the part that gives each pixel its class


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRecipe:
    """Settings of the joint training of HybridNet and PseudoNet."""

    steps: int = 20_000
    batch_size: int = 10  # half of it images with masks, half with tags
    learning_rate: float = 1e-3  # the highest of the run
    optimizer: str = ADAMW
    block: int = 500  # steps from one state to go on from to the next
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot work, saying what would."""
        check_pair(batch_size=self.batch_size, steps=self.steps, block=self.block, optimizer=self.optimizer)
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate}, must be above 0")

    @property
    def half(self) -> int:
        """Return how many images with masks, and how many with tags, a step sees."""
        return self.batch_size // 2

    @property
    def blocks(self) -> int:
        """Return how many blocks the steps make, the last one perhaps shorter."""
        return -(-self.steps // self.block)


def optimizer_of(network: nn.Module, recipe: JointRecipe) -> torch.optim.Optimizer:
    """Return a network's own optimiser.

    Raises:
        ConfigError: see `sgd`.
    """
    return adamw(network, recipe.learning_rate) if recipe.optimizer == ADAMW else sgd(network, recipe)


def sgd(network: nn.Module, recipe: JointRecipe) -> torch.optim.Optimizer:
    """Return the paper's optimiser of a network; its second group is the classifier.

    Raises:
        ConfigError: the network has no part that is known to be its classifier.
    """
    classifier = {name for name, _ in network.named_parameters() if _CLASSIFIERS & set(name.split("."))}
    if not classifier:
        raise ConfigError("the network has no head that could learn faster; choose one of the networks for masks")
    rest = [parameter for name, parameter in network.named_parameters() if name not in classifier]
    own = [parameter for name, parameter in network.named_parameters() if name in classifier]
    groups = [{"params": rest, "times": 1}, {"params": own, "times": _CLASSIFIER_RATE}]
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY)


def set_rate(optimizer: torch.optim.Optimizer, recipe: JointRecipe, step: int) -> None:
    """Give all groups their rate of this step, from 0."""
    share = step / recipe.steps
    rate = recipe.learning_rate * (cycle(share) if recipe.optimizer == ADAMW else (1 - share) ** _POWER)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("times", 1)
