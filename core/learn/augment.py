"""Small changes that leave the label alone, or that change image and mask alike; on the device, a whole batch at once.

A labelled image is never mirrored: a mirrored digit, letter or traffic sign is another one, and what the labels mean is
not known here. A scene is where the config says so.

Shapes: images (B, C, H, W), labels (B,), masks (B, H, W) int64 with `NO_LABEL` where nothing is known.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor

from core.types import NO_LABEL

Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]  # images, targets -> the same, changed

_TURN_DEGREES = 10.0
_SCALE = 0.1
_SHIFT = 2 / 28  # of the side
_WINDOW_SCALES = 0.5, 2.0  # how much larger a scene may be shown through a window
_WHOLE_SCALES = 0.8, 1.25  # and how much when all of it is to be seen
_BRIGHTNESS, _CONTRAST, _SATURATION = 0.3, 0.25, 0.4  # images have a deviation of 1


def jittered_labels(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the images jittered, (B, C, H, W), and their labels as they are."""
    return jittered(images, generator), targets


def jittered(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images each turned, scaled and shifted a little, (B, C, H, W); the edge fills what comes into view."""
    count = len(images)
    drawn = torch.rand(count, 4, generator=generator, device=images.device) * 2 - 1
    angle, scale = drawn[:, 0] * math.radians(_TURN_DEGREES), 1 + drawn[:, 1] * _SCALE
    shift = drawn[:, 2:] * (2 * _SHIFT)  # the grid spans -1 to 1
    cos, sin = angle.cos() * scale, angle.sin() * scale
    affine = torch.stack((cos, -sin, shift[:, 0], sin, cos, shift[:, 1]), dim=1).view(count, 2, 3)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)


def jittered_scenes(crop: int, *, mirror: bool) -> Augment:
    """Return what shows a window of each scene, at most `crop` pixels a side (0: about all of it), in another size.

    The scale is drawn evenly on a logarithmic scale; with `mirror` half of the windows are mirrored; colours change a
    little. What comes into view beyond the scene repeats its edge, and is `NO_LABEL` in the mask.
    """
    scales = _WINDOW_SCALES if crop else _WHOLE_SCALES

    def jitter(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        height, width = images.shape[2:]
        window = (min(crop, height), min(crop, width)) if crop else (height, width)
        drawn = torch.rand(len(images), 4, generator=generator, device=images.device)
        scale = scales[0] * (scales[1] / scales[0]) ** drawn[:, 0]
        across, down = window[1] / width / scale, window[0] / height / scale  # the part of the scene in view
        middle_x, middle_y = (drawn[:, 1] * 2 - 1) * (1 - across).abs(), (drawn[:, 2] * 2 - 1) * (1 - down).abs()
        sign = torch.where(drawn[:, 3] < 0.5, -1.0, 1.0) if mirror else torch.ones_like(scale)  # noqa: PLR2004 half
        none = torch.zeros_like(scale)
        affine = torch.stack((across * sign, none, middle_x, none, down, middle_y), dim=1).view(-1, 2, 3)
        grid = F.affine_grid(affine, [len(images), 1, *window], align_corners=False)
        moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        known = (masks - NO_LABEL).float()[:, None]  # 0 is unknown, and what grid_sample puts beyond the edge
        shown = F.grid_sample(known, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        coloured = _recoloured(moved, generator).contiguous(memory_format=torch.channels_last)
        return coloured, shown[:, 0].long() + NO_LABEL

    return jitter


def _recoloured(images: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(len(images), 3, 1, 1, 1, generator=generator, device=images.device) * 2 - 1
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + _SATURATION * drawn[:, 0])
    return images * (1 + _CONTRAST * drawn[:, 1]) + _BRIGHTNESS * drawn[:, 2]
