"""Small changes that leave the label alone, made on the device for a whole batch at once.

No flips: a mirrored digit, letter or traffic sign is another one, and what the labels mean is not known here.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor

_TURN_DEGREES = 10.0
_SCALE = 0.1
_SHIFT = 2 / 28  # of the side


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
