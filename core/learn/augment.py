"""Training and test-time augmentation, on the device and a whole batch at once.

In training, small random changes keep the label true, or change image and mask alike. A mirrored digit, letter or
traffic sign is another one, so images with class labels are mirrored only by `mirror_half`, which few labels ask for
where the data allow it (`core.recipes.iterated.mirroring`). Scenes are mirrored where the config says so. Strong views
change far more; few labels, and pseudo labels, are learnt by them (Q. Xie et al., *Self-training with Noisy Student*,
CVPR 2020). Those of classes also move; those of scenes keep every pixel in its place, and only consistency training has
them. At test time the logits of several views of a scene are averaged: whole or through windows, in several sizes, also
mirrored.

Shapes: images (B, C, H, W), labels (B,), masks (B, H, W) int64 with `NO_LABEL` where unlabelled, logits (B, K, H, W).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.types import NO_LABEL

Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]  # images, targets -> changed ones
_TURN_DEGREES = 10.0
_SCALE = 0.1
_SHIFT = 2 / 28  # of the side
_WINDOW_SCALES = 0.5, 2.0  # of a scene in a window
_WHOLE_SCALES = 0.8, 1.25  # of a scene that is shown whole
_BRIGHTNESS, _CONTRAST, _SATURATION = 0.3, 0.25, 0.4  # images have a deviation of 1
_FAR_DEGREES, _FAR_SCALE, _SHEAR, _FAR_SHIFT = 25.0, 0.25, 0.3, 2 / 28  # of a strong view
_STRONGEST = {"brightness": 1.0, "contrast": 0.8, "colour": 1.0, "sharpness": 1.0, "noise": 0.3}
_MIXED = 0.5  # probability of each change of colours
_CUT = 0.5  # largest side of the cut, as a share of the image's
_WHOLE = 1.5  # crops: larger sides are covered by windows
_OVERLAP = 3  # neighbouring windows share at least one in this number of pixels


class MultiViewNetwork(nn.Module):
    """Network that averages its logits over several views of a scene."""

    def __init__(self, network: nn.Module, *, crop: int, scales: tuple[float, ...], flip: bool) -> None:
        """Use windows of `crop` pixels (0: none) at each of `scales`, and mirror images where `flip`."""
        super().__init__()
        self.network = network
        self._crop, self._scales, self._flip = crop, scales, flip

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits of all views, float (B, K, H, W)."""
        height, width = images.shape[2:]
        looks: list[Tensor] = []
        for scale in self._scales:
            size = max(1, round(height * scale)), max(1, round(width * scale))
            shown = images if scale == 1 else _resize(images, size)
            logits = self._windows(shown).float()
            if self._flip:
                logits = (logits + self._windows(shown.flip(3)).float().flip(3)) / 2
            looks.append(logits if scale == 1 else _resize(logits, (height, width)))
        total = looks[0]
        for logits in looks[1:]:
            total = total + logits
        return total / len(looks)

    def _windows(self, images: Tensor) -> Tensor:
        rows, columns = (window_edges(side, self._crop) for side in images.shape[2:])
        if len(rows) == len(columns) == 1:
            seen: Tensor = self.network(images)
            return seen
        total: Tensor | None = None
        times = torch.zeros(images.shape[2:], device=images.device)
        for top, bottom in rows:
            for left, right in columns:
                logits = self.network(images[:, :, top:bottom, left:right]).float()
                if total is None:
                    total = logits.new_zeros(*logits.shape[:2], *images.shape[2:])
                total[:, :, top:bottom, left:right] += logits
                times[top:bottom, left:right] += 1
        if total is None:
            raise RuntimeError("an image without a window")
        return total / times


class MirroredView(nn.Module):
    """Network that is shown mirrored images."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the mirrored images."""
        logits: Tensor = self.network(images.flip(3).contiguous(memory_format=torch.channels_last))
        return logits


def mirror_half(augment: Augment) -> Augment:
    """Return an augmentation of images with class labels, half of which are mirrored before."""

    def mirrored(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        turned = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device) < 0.5  # noqa: PLR2004 half
        return augment(torch.where(turned, images.flip(3), images), targets, generator)

    return mirrored


def jitter_labels(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return jittered images, (B, C, H, W), and their unchanged labels."""
    return jitter_images(images, generator), targets


def jitter_images(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images, each slightly rotated, scaled and shifted, (B, C, H, W); the edge is repeated beyond it."""
    count = len(images)
    random = torch.rand(count, 4, generator=generator, device=images.device) * 2 - 1
    angle, scale = random[:, 0] * math.radians(_TURN_DEGREES), 1 + random[:, 1] * _SCALE
    shift = random[:, 2:] * (2 * _SHIFT)  # the grid spans -1 to 1
    cos, sin = angle.cos() * scale, angle.sin() * scale
    affine = torch.stack((cos, -sin, shift[:, 0], sin, cos, shift[:, 1]), dim=1).view(count, 2, 3)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)


def strong_labels(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return strong views, (B, C, H, W), and their unchanged labels."""
    return strong_moved_views(images, generator), targets


def strong_moved_views(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return each image rotated, stretched, sheared and shifted, with a square cut out, (B, C, H, W).

    Colours change too where there are three channels: the grey level of a digit means little, but all of its ink is
    needed. The edge is repeated beyond it.
    """
    count = len(images)
    random = torch.rand(count, 6, generator=generator, device=images.device) * 2 - 1
    angle = random[:, 0] * math.radians(_FAR_DEGREES)
    across, down = ((random[:, column] * math.log(1 + _FAR_SCALE)).exp() for column in (1, 2))
    shear, shift = random[:, 3] * _SHEAR, random[:, 4:] * (2 * _FAR_SHIFT)  # the grid spans -1 to 1
    cos, sin = angle.cos(), angle.sin()
    affine = torch.stack(
        (
            cos * across,
            shear * cos * across - sin * down,
            shift[:, 0],
            sin * across,
            shear * sin * across + cos * down,
            shift[:, 1],
        ),
        dim=1,
    ).view(count, 2, 3)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    if images.shape[1] > 1:
        return strong_views(moved, generator)
    return _cut(moved, generator).contiguous(memory_format=torch.channels_last)


def strong_views(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return each image after some of five changes and a cut, (B, C, H, W), computed for the whole batch at once.

    No pixel moves, so the views of a scene have its mask.
    """
    count, device = len(images), images.device
    strength = torch.rand(5, count, 1, 1, 1, generator=generator, device=device) * 2 - 1
    made = torch.rand(5, count, 1, 1, 1, generator=generator, device=device) < _MIXED
    bright, contrast, colour, sharp, noise = strength * made
    grey = images.mean(dim=1, keepdim=True)
    changed = grey + (images - grey) * (1 + _STRONGEST["colour"] * colour)
    middle = changed.mean(dim=(1, 2, 3), keepdim=True)
    changed = middle + (changed - middle) * (1 + _STRONGEST["contrast"] * contrast) + _STRONGEST["brightness"] * bright
    blurred = F.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    changed = changed + _STRONGEST["sharpness"] * sharp * (changed - blurred)
    grain = torch.randn(images.shape, generator=generator, device=device)
    changed = changed + _STRONGEST["noise"] * noise.abs() * grain
    return _cut(changed, generator).contiguous(memory_format=torch.channels_last)


def scene_jitter(crop: int, *, mirror: bool) -> Augment:
    """Return an augmentation that takes a random window of each scene, of `crop` pixels a side at most (0: nearly all).

    The scale is log-uniform; with `mirror` half of the windows are mirrored; colours change slightly. Beyond the scene
    its edge is repeated, and the mask is `NO_LABEL`.
    """
    scales = _WINDOW_SCALES if crop else _WHOLE_SCALES

    def jitter(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        height, width = images.shape[2:]
        window = (min(crop, height), min(crop, width)) if crop else (height, width)
        random = torch.rand(len(images), 4, generator=generator, device=images.device)
        scale = scales[0] * (scales[1] / scales[0]) ** random[:, 0]
        across, down = window[1] / width / scale, window[0] / height / scale  # the part of the scene in view
        middle_x, middle_y = (random[:, 1] * 2 - 1) * (1 - across).abs(), (random[:, 2] * 2 - 1) * (1 - down).abs()
        sign = torch.where(random[:, 3] < 0.5, -1.0, 1.0) if mirror else torch.ones_like(scale)  # noqa: PLR2004 half
        none = torch.zeros_like(scale)
        affine = torch.stack((across * sign, none, middle_x, none, down, middle_y), dim=1).view(-1, 2, 3)
        grid = F.affine_grid(affine, [len(images), 1, *window], align_corners=False)
        moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        known = (masks - NO_LABEL).float()[:, None]  # 0 is unlabelled, and grid_sample's value beyond the edge
        shown = F.grid_sample(known, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        coloured = _recolour(moved, generator).contiguous(memory_format=torch.channels_last)
        return coloured, shown[:, 0].long() + NO_LABEL

    return jitter


def window_edges(side: int, crop: int) -> list[tuple[int, int]]:
    """Return (from, to) of the windows along a side, in pixels: overlapping, evenly spaced, covering all of it."""
    if not crop or side <= _WHOLE * crop:
        return [(0, side)]
    count = -(-_OVERLAP * (side - crop) // ((_OVERLAP - 1) * crop)) + 1
    starts = [round(index * (side - crop) / (count - 1)) for index in range(count)]
    return [(start, start + crop) for start in starts]


def _recolour(images: Tensor, generator: torch.Generator) -> Tensor:
    random = torch.rand(len(images), 3, 1, 1, 1, generator=generator, device=images.device) * 2 - 1
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + _SATURATION * random[:, 0])
    return images * (1 + _CONTRAST * random[:, 1]) + _BRIGHTNESS * random[:, 2]


def _cut(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images with a square of each, in its middle colour, cut out (T. DeVries, G. Taylor, Cutout, 2017)."""
    height, width = images.shape[2:]
    random = torch.rand(3, len(images), 1, 1, generator=generator, device=images.device)
    half = random[0] * _CUT / 2
    y = (torch.arange(height, device=images.device) + 0.5).view(1, -1, 1) / height
    x = (torch.arange(width, device=images.device) + 0.5).view(1, 1, -1) / width
    inside = ((y - random[1]).abs() < half) & ((x - random[2]).abs() < half)  # (B, H, W)
    return torch.where(inside[:, None], images.mean(dim=(2, 3), keepdim=True), images)


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size, mode="bilinear", align_corners=False)
