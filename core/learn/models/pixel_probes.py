"""A frozen encoder with a classifier of pixels upon its feature maps, as one network.

The encoder sees an image in several sizes. Each size is rounded to a multiple of the coarsest stride, so that the cells
of every map tile the image. The classifier projects each map at its own resolution and then enlarges it: the two
commute, so the sum over the maps equals a linear layer on all channels of a pixel.

Shapes: images (B, C, H, W), F numbers of all maps of an image one behind another, maps (B, F), D channels of all maps
together, P single pixels, logits (B, K, h, w) at the resolution of the finest map.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

STRIDES = (8, 16, 32)  # of the maps that are used, in pixels of the scaled image
HIDDEN = 128


class MapShape(NamedTuple):
    """The shape of one feature map."""

    channels: int
    height: int
    width: int


class SceneEncoder(nn.Module):
    """The maps of an encoder for an image in several sizes, flattened."""

    def __init__(self, encoder: nn.Module, scales: Sequence[float]) -> None:
        """Take timm's feature extractor with the maps of `STRIDES`, and the sizes it sees an image in."""
        super().__init__()
        self.encoder: Any = encoder
        self.scales = tuple(scales)

    def shapes(self, height: int, width: int) -> list[MapShape]:
        """Return the shapes of the maps of an image of this size, in their order."""
        channels = self.encoder.feature_info.channels()
        sizes = [_size(height, width, scale) for scale in self.scales]
        return [
            MapShape(count, high // stride, wide // stride)
            for high, wide in sizes
            for count, stride in zip(channels, STRIDES, strict=True)
        ]

    def forward(self, images: Tensor) -> Tensor:
        """Return all maps, (B, F)."""
        height, width = images.shape[2:]
        maps: list[Tensor] = []
        for scale in self.scales:
            size = _size(height, width, scale)
            seen = images
            if size != (height, width):
                seen = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=scale < 1)
            maps += [one.flatten(1) for one in self.encoder(seen.contiguous(memory_format=torch.channels_last))]
        return torch.cat(maps, dim=1)


class PixelHead(nn.Module):
    """The classifier: features brought to unit variance, a hidden layer, one output a class."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, classes: int) -> None:
        """Take the features' mean and deviation, (D,) each."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.project = nn.Linear(len(mean), HIDDEN, bias=False)
        self.norm = nn.BatchNorm1d(HIDDEN)
        self.classify = nn.Linear(HIDDEN, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits of single pixels, (P, D) -> (P, K)."""
        logits: Tensor = self.classify(F.relu(self.norm(self.project((features - self.mean) / self.std))))
        return logits

    def paint(self, maps: Tensor, shapes: Sequence[MapShape]) -> Tensor:
        """Return the logits of whole images, (B, F) -> (B, K, h, w)."""
        weight = self.project.weight / self.std  # (hidden, D)
        finest = max((shape.height, shape.width) for shape in shapes)
        total = -(weight @ self.mean).view(1, -1, 1, 1)
        own_weights = torch.split(weight, [shape.channels for shape in shapes], dim=1)
        for own, part in zip(split_maps(maps, shapes), own_weights, strict=True):
            total = total + F.interpolate(
                F.conv2d(own, part[:, :, None, None]), finest, mode="bilinear", align_corners=False
            )
        hidden = F.relu(self.norm(total.flatten(2)))  # (B, hidden, h * w)
        logits = F.conv1d(hidden, self.classify.weight[:, :, None], self.classify.bias)
        return logits.view(*logits.shape[:2], *finest)


class PixelProbe(nn.Module):
    """Both together; maps are rounded to half precision, as those that the classifier was fitted to."""

    def __init__(self, backbone: SceneEncoder, head: PixelHead) -> None:
        """Stand `head` upon `backbone`."""
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits at the images' own size, (B, K, H, W)."""
        height, width = images.shape[2:]
        maps = self.backbone(images).to(torch.float16).float()
        logits = self.head.paint(maps, self.backbone.shapes(height, width))
        return F.interpolate(logits, (height, width), mode="bilinear", align_corners=False)


def split_maps(maps: Tensor, shapes: Sequence[MapShape]) -> list[Tensor]:
    """Return the single maps, (B, F) -> (B, C, h, w) each."""
    sizes = [shape.channels * shape.height * shape.width for shape in shapes]
    parts = torch.split(maps, sizes, dim=1)
    return [own.reshape(-1, *shape) for own, shape in zip(parts, shapes, strict=True)]


def features_at(maps: Tensor, shapes: Sequence[MapShape], places: Tensor) -> Tensor:
    """Return the features at places of one image, maps (F,), places (P, 2) x, y in [-1, 1] -> (P, D)."""
    grid = places[None, :, None]  # (1, P, 1, 2)
    found = [
        F.grid_sample(own, grid, mode="bilinear", padding_mode="border", align_corners=False)[0, :, :, 0]
        for own in split_maps(maps[None], shapes)
    ]
    return torch.cat(found).T


def _size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Return a scaled size, height and width, as the nearest multiples of the coarsest stride."""
    coarsest = STRIDES[-1]
    return max(1, round(height * scale / coarsest)) * coarsest, max(1, round(width * scale / coarsest)) * coarsest
