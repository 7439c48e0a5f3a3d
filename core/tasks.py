"""The one seam between the kinds of labels: everything that differs between them is a field of `Task`.

Nobody else asks what kind a dataset is, but the label editor.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.config import RoundConfig
from core.learn.augment import jittered
from core.learn.models.classifier import build_classifier


@dataclass(frozen=True, slots=True)
class Task:
    """What a round needs to know of a kind of label."""

    build_network: Callable[[RoundConfig, int, int], nn.Module]  # config, channels, classes
    augment: Callable[[Tensor, torch.Generator], Tensor]  # images (B, C, H, W), changed so that the label stays true


CLASSIFICATION = Task(build_network=build_classifier, augment=jittered)
