"""Small changes that leave the label alone, or that change image and mask alike; on the device, a whole batch at once.

A labelled image is never mirrored: a mirrored digit, letter or traffic sign is another one, and what the labels mean is
not known here. A scene is: what lies left in it could as well lie right.

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
_SMALLEST, _LARGEST = 0.5, 2.0  # how much larger a scene may be shown
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


def jittered_scenes(crop: int) -> Augment:
    """Return what shows a window of each scene, `crop` pixels a side (0: as large as the scene), in another size.

    The scale is drawn evenly on a logarithmic scale; half of the windows are mirrored; colours change a little.
    What comes into view beyond the scene repeats its edge, and is `NO_LABEL` in the mask.
    """

    def jitter(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        height, width = images.shape[2:]
        window = (crop or height, crop or width)
        grid = _windows(len(images), (height, width), window, generator, images.device)
        moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        known = (masks - NO_LABEL).float()[:, None]  # 0 is unknown, and what grid_sample puts beyond the edge
        shown = F.grid_sample(known, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        coloured = _recoloured(moved, generator).contiguous(memory_format=torch.channels_last)
        return coloured, shown[:, 0].long() + NO_LABEL

    return jitter


def _windows(
    count: int, size: tuple[int, int], window: tuple[int, int], generator: torch.Generator, device: torch.device
) -> Tensor:
    """Return where each pixel of each window lies in its scene, (B, h, w, 2), the scene spanning -1 to 1."""
    drawn = torch.rand(count, 4, generator=generator, device=device)
    scale = _SMALLEST * (_LARGEST / _SMALLEST) ** drawn[:, 0]
    across, down = window[1] / size[1] / scale, window[0] / size[0] / scale  # the part of the scene in view
    middle_x, middle_y = (drawn[:, 1] * 2 - 1) * (1 - across).abs(), (drawn[:, 2] * 2 - 1) * (1 - down).abs()
    mirrored = torch.where(drawn[:, 3] < 0.5, -1.0, 1.0)  # noqa: PLR2004 half of them
    none = torch.zeros_like(scale)
    affine = torch.stack((across * mirrored, none, middle_x, none, down, middle_y), dim=1).view(count, 2, 3)
    return F.affine_grid(affine, [count, 1, *window], align_corners=False)


def _recoloured(images: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(len(images), 3, 1, 1, 1, generator=generator, device=images.device) * 2 - 1
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + _SATURATION * drawn[:, 0])
    return images * (1 + _CONTRAST * drawn[:, 1]) + _BRIGHTNESS * drawn[:, 2]
