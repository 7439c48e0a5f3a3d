"""A small U-Net for scenes of some hundred pixels: seconds on two cores instead of minutes.

A quarter of the resolution is its finest, as in SwiftNet: time goes where objects are recognised, not where pixels are
many. Each further level halves and widens.
Shapes: images (B, C, H, W) of any size, logits (B, K, H, W).
"""

from itertools import pairwise

from torch import Tensor, nn

from core.learn.models.classifier import Residual
from core.learn.models.swiftnet import upsampled

_STEM = 16  # channels at stride 2
_WIDTHS = (32, 64, 96)  # channels at strides 4, 8, 16


class SmallUnet(nn.Module):
    """The network; the way up adds what the way down saw at the same size."""

    def __init__(self, channels: int, classes: int) -> None:
        """Take images of `channels` channels."""
        super().__init__()
        self.stem = _unit(channels, _STEM, stride=2)
        self.down = nn.ModuleList([_halving(before, after) for before, after in pairwise((_STEM, *_WIDTHS))])
        self.deepest = Residual(_WIDTHS[-1])
        self.narrow = nn.ModuleList([nn.Conv2d(after, before, 1) for before, after in pairwise(_WIDTHS)])
        self.blend = nn.ModuleList([_unit(width, width) for width in _WIDTHS[:-1]])
        self.head = nn.Conv2d(_WIDTHS[0], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits at the images' own size, (B, K, H, W)."""
        features, seen = self.stem(images), []
        for halve in self.down:
            features = halve(features)
            seen.append(features)
        features = self.deepest(seen.pop())
        for narrow, blend in zip(reversed(self.narrow), reversed(self.blend), strict=True):
            skip = seen.pop()
            features = blend(upsampled(narrow(features), skip) + skip)
        return upsampled(self.head(features), images)


def _halving(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(_unit(before, after, stride=2), _unit(after, after))


def _unit(before: int, after: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))
