"""Test-time views of a scene: whole or through windows, in several sizes, also mirrored; their logits are averaged.

Shapes: images (B, C, H, W), logits (B, K, H, W).
"""

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

_WHOLE = 1.5  # crops: a side up to so many times the crop is seen whole, larger ones through windows
_OVERLAP = 3  # neighbouring windows have at least one in so many pixels in common


class View(nn.Module):
    """A network that looks more than once."""

    def __init__(self, network: nn.Module, *, crop: int, scales: tuple[float, ...], flip: bool) -> None:
        """Look through windows of `crop` pixels (0: never) at each of `scales`, and mirrored too where `flip`."""
        super().__init__()
        self.network = network
        self._crop, self._scales, self._flip = crop, scales, flip

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits of all looks, float (B, K, H, W)."""
        height, width = images.shape[2:]
        looks: list[Tensor] = []
        for scale in self._scales:
            size = max(1, round(height * scale)), max(1, round(width * scale))
            shown = images if scale == 1 else _resized(images, size)
            logits = self._windows(shown).float()
            if self._flip:
                logits = (logits + self._windows(shown.flip(3)).float().flip(3)) / 2
            looks.append(logits if scale == 1 else _resized(logits, (height, width)))
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


def window_edges(side: int, crop: int) -> list[tuple[int, int]]:
    """Return (from, to) of the windows along a side, in pixels: overlapping, evenly spread, together all of it."""
    if not crop or side <= _WHOLE * crop:
        return [(0, side)]
    count = -(-_OVERLAP * (side - crop) // ((_OVERLAP - 1) * crop)) + 1
    starts = [round(index * (side - crop) / (count - 1)) for index in range(count)]
    return [(start, start + crop) for start in starts]


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size, mode="bilinear", align_corners=False)
