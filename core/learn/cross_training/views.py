"""Two random strong changes of colour and sharpness: a scene's mask stays true, what it looks like does not.

Images are float (B, C, H, W) with a mean of 0 and a deviation of 1.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor

_OPERATIONS = 2  # on each image, different ones
_STRENGTH = 0.5  # at most; by twice that runs of a thousand steps learn less (docs/log.md)

_Operation = Callable[[Tensor, float, torch.Generator], Tensor]  # image (C, H, W), strength in [-1, 1]


def strong_views(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return each image after two of the operations, (B, C, H, W); the one given is left as it is."""
    order = torch.rand(len(images), len(_ALL), generator=generator, device=images.device)
    chosen = order.argsort(dim=1)[:, :_OPERATIONS].tolist()
    strength = (torch.rand(len(images), _OPERATIONS, generator=generator, device=images.device) * 2 - 1) * _STRENGTH
    changed = []
    for image, operations, strengths in zip(images, chosen, strength.tolist(), strict=True):
        for operation, own in zip(operations, strengths, strict=True):
            image = _ALL[operation](image, own, generator)  # noqa: PLW2901 one after the other
        changed.append(image)
    return torch.stack(changed).contiguous(memory_format=torch.channels_last)


def _brighter(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    return image + strength


def _contrasted(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    middle = image.mean()
    return middle + (image - middle) * (1 + 0.7 * strength)


def _coloured(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    grey = image.mean(dim=0, keepdim=True)
    return grey + (image - grey) * (1 + strength)


def _sharpened(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    """Blur where the strength is below 0, else sharpen."""
    blurred = F.avg_pool2d(image[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    return image + strength * (image - blurred)


def _noisy(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(image.shape, generator=generator, device=image.device)
    return image + 0.3 * abs(strength) * noise


def _posterised(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    step = 0.1 + 0.6 * abs(strength)
    return (image / step).round() * step


def _solarised(image: Tensor, strength: float, _: torch.Generator) -> Tensor:
    """Turn what is bright dark: above a threshold that is the lower, the stronger it is."""
    threshold = 2.5 - 1.5 * abs(strength)
    return torch.where(image > threshold, 2 * threshold - image, image)


_ALL: tuple[_Operation, ...] = (_brighter, _contrasted, _coloured, _sharpened, _noisy, _posterised, _solarised)
