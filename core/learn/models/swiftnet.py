"""SwiftNet-RN18, single scale: a recognition encoder, spatial pyramid pooling and a light ladder decoder.

M. Orsic, I. Kreso, P. Bevandic, S. Segvic, "In Defense of Pre-trained ImageNet Architectures for Real-time Semantic
Segmentation of Road-driving Images", CVPR 2019; rebuilt from the description.

Shapes: images (B, C, H, W) of any size, logits (B, K, H, W). The decoder reads the encoder's residual sums *before* the
last ReLU of each stage (strides 4, 8, 16, 32); the next stage gets them after the ReLU.
Every unit of the decoder is batch norm, ReLU, convolution, in this order; only the logits have a bias.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

_WIDTH = 128  # channels of the ladder
_GRIDS = (8, 4, 2)  # of the pyramid, in cells along the height
_LEVEL_WIDTH = 42  # channels of a level of the pyramid
_PYRAMID_MOMENTUM = 0.005  # of its batch norms, since statistics of few pixels are noisy


class SwiftNet(nn.Module):
    """SwiftNet; `encoder` is timm's resnet18 without its classifier."""

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        """Build the decoder on an encoder, and remove the last ReLU of each of its stages."""
        super().__init__()
        self.encoder: Any = encoder
        for stage in self._stages():
            stage[-1].act2 = nn.Identity()
        *skips, deepest = (int(stage[-1].bn2.num_features) for stage in self._stages())
        self.pyramid = Pyramid(deepest)
        self.steps = nn.ModuleList([UpBlock(width) for width in reversed(skips)])
        self.head = unit(_WIDTH, classes, 1, bias=True)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits at the images' own size, (B, K, H, W)."""
        encoder = self.encoder
        features = encoder.maxpool(encoder.act1(encoder.bn1(encoder.conv1(images))))  # (B, 64, H/4, W/4)
        skips: list[Tensor] = []
        for stage in self._stages():
            skips.append(stage(features))  # (B, 64, H/4, W/4) to (B, 512, H/32, W/32)
            features = F.relu(skips[-1])
        rising = self.pyramid(skips.pop())  # (B, 128, H/32, W/32)
        for step in self.steps:
            rising = step(rising, skips.pop())  # at last (B, 128, H/4, W/4)
        return upsample(self.head(rising), images)

    def _stages(self) -> list[Any]:
        return [self.encoder.layer1, self.encoder.layer2, self.encoder.layer3, self.encoder.layer4]


class Pyramid(nn.Module):
    """Spatial pyramid pooling: context of a position, at three coarsenesses."""

    def __init__(self, width: int) -> None:
        """Reduce `width` channels to 128."""
        super().__init__()
        self.squeeze = unit(width, _WIDTH, 1, momentum=_PYRAMID_MOMENTUM)
        self.levels = nn.ModuleList([unit(_WIDTH, _LEVEL_WIDTH, 1, momentum=_PYRAMID_MOMENTUM) for _ in _GRIDS])
        self.fuse = unit(_WIDTH + len(_GRIDS) * _LEVEL_WIDTH, _WIDTH, 1, momentum=_PYRAMID_MOMENTUM)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, 128, H, W) for features (B, width, H, W)."""
        squeezed = self.squeeze(features)
        height, width = squeezed.shape[2:]
        seen = [squeezed]
        for grid, level in zip(_GRIDS, self.levels, strict=True):
            cells = F.adaptive_avg_pool2d(squeezed, (grid, max(1, round(grid * width / height))))
            seen.append(upsample(level(cells), squeezed))
        fused: Tensor = self.fuse(torch.cat(seen, dim=1))
        return fused


class UpBlock(nn.Module):
    """One step of the decoder: enlarged features plus those of the encoder at this size."""

    def __init__(self, skip_width: int) -> None:
        """Take skips of `skip_width` channels."""
        super().__init__()
        self.narrow = unit(skip_width, _WIDTH, 1)
        self.blend = unit(_WIDTH, _WIDTH, 3)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Return (B, 128, H, W) for a skip (B, skip_width, H, W)."""
        narrow = self.narrow(skip)
        blended: Tensor = self.blend(upsample(below, narrow) + narrow)
        return blended


def unit(before: int, after: int, kernel: int, *, momentum: float = 0.1, bias: bool = False) -> nn.Sequential:
    """Return batch norm, ReLU and convolution."""
    convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=bias)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_in", nonlinearity="relu")
    return nn.Sequential(nn.BatchNorm2d(before, momentum=momentum), nn.ReLU(), convolution)


def upsample(features: Tensor, like: Tensor) -> Tensor:
    """Return the features, bilinearly, at the height and width of `like`."""
    return F.interpolate(features, like.shape[2:], mode="bilinear", align_corners=False)
