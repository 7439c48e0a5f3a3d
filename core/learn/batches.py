"""Batches of images and targets, as inputs of a network, from decoded arrays.

Images are bytes (N, H, W, C); a batch is float (B, C, H, W) in the channels-last order, which needs no copy.
Targets are class ids, (B,) or (B, H, W) int64, `NO_LABEL` where unlabelled.
Arrays that fit are copied to the device. The rows of others are gathered from the memory map.
"""

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.types import NO_LABEL, ByteArray, FloatArray, IntArray, ignore_of

_RESIDENT_BYTES = 1 << 30  # in main memory; larger arrays stay a memory map, so memory stays flat
_RESIDENT_SHARE = 0.4  # of the free memory of a GPU
_MEASURED, _MEASURED_BYTES = 4096, 32 << 20  # images, and bytes of them, for mean and deviation
_LEVELS = 256  # of a byte


@dataclass(frozen=True, slots=True)
class Scaling:
    """Normalisation of images: mean and standard deviation per channel, of values in [0, 1], (C,)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def measured(cls, array: ByteArray) -> "Scaling":
        """Return the scaling of an array's own images, (N, H, W, C), measured on evenly spaced ones."""
        channels = array.shape[3]
        wanted = max(1, min(_MEASURED, _MEASURED_BYTES // array[0].size))
        counts = np.zeros((channels, _LEVELS), np.int64)
        for image in array[:: max(1, len(array) // wanted)]:
            for channel in range(channels):
                counts[channel] += np.bincount(image[:, :, channel].reshape(-1), minlength=_LEVELS)
        levels = np.arange(_LEVELS) / (_LEVELS - 1)
        shares = counts / counts.sum(axis=1, keepdims=True)
        mean: FloatArray = shares @ levels
        spread: FloatArray = np.sqrt(np.maximum(shares @ levels**2 - mean**2, levels[1] ** 2))
        return cls(tuple(mean.tolist()), tuple(spread.tolist()))


class Rows:
    """Rows of an array, (N, ...), on a device."""

    def __init__(self, array: NDArray[Any], device: torch.device) -> None:
        """Move the array to the device if it fits."""
        self._device = device
        self._array = array
        self._resident = torch.from_numpy(np.array(array)).to(device) if _fits(array.nbytes, device) else None

    def __len__(self) -> int:
        """Return N."""
        return len(self._array)

    def take(self, rows: Tensor) -> Tensor:
        """Return these rows, (B,) -> (B, ...), on the device."""
        if self._resident is not None:
            return self._resident[rows.to(self._device, non_blocking=True)]
        gathered = torch.from_numpy(self._array[rows.cpu().numpy()])
        if self._device.type == "cuda":
            gathered = gathered.pin_memory()
        return gathered.to(self._device, non_blocking=True)


class ImageBatches:
    """Images of a round as batches by row."""

    def __init__(self, array: ByteArray, scaling: Scaling, device: torch.device) -> None:
        """Take a decoded array, (N, H, W, C); move it to the device if it fits."""
        self.device = device
        self.size = int(array.shape[1]), int(array.shape[2])  # height, width
        self.channels = int(array.shape[3])
        self._rows = Rows(array, device)
        self.scale_by(scaling)

    def rescaled(self, scaling: Scaling) -> "ImageBatches":
        """Return the same images with another scaling."""
        other = copy.copy(self)
        other.scale_by(scaling)
        return other

    def scale_by(self, scaling: Scaling) -> None:
        """Set the scaling of later batches."""
        device = self.device
        self.scaling = scaling
        self._scale = (1 / (255 * torch.tensor(scaling.std, device=device))).view(1, -1, 1, 1)
        self._shift = (torch.tensor(scaling.mean, device=device) / torch.tensor(scaling.std, device=device)).view(
            1, -1, 1, 1
        )

    def __len__(self) -> int:
        """Return N."""
        return len(self._rows)

    def batch(self, rows: Tensor) -> Tensor:
        """Return the images of these rows, (B,) -> float (B, C, H, W), channels last."""
        return self._rows.take(rows).permute(0, 3, 1, 2).float() * self._scale - self._shift


class Targets(Protocol):
    """Targets of the samples of a round, by row."""

    shown: int  # held-out samples that are enough for an interim accuracy

    def batch(self, rows: Tensor) -> Tensor:
        """Return the targets of these rows, (B,) -> int64 (B, ...) on the device."""


class ClassTargets:
    """Targets of one class a sample."""

    shown = 2000

    def __init__(self, labels: IntArray, device: torch.device) -> None:
        """Take all labels, (N,)."""
        self._labels = torch.from_numpy(labels.astype(np.int64)).to(device)

    def batch(self, rows: Tensor) -> Tensor:
        """Return the labels of these rows, (B,)."""
        return self._labels[rows.to(self._labels.device)]


class MaskTargets:
    """Targets of one class a pixel."""

    shown = 12

    def __init__(self, array: IntArray, device: torch.device) -> None:
        """Take the masks of all samples, (N, H, W) uint8 or uint16."""
        wide = array.dtype.itemsize == 2  # noqa: PLR2004 torch does little with unsigned words
        self._rows = Rows(array.view(np.int16) if wide else array, device)
        self._bits, self._ignore = (0xFFFF if wide else 0xFF), ignore_of(array)

    def batch(self, rows: Tensor) -> Tensor:
        """Return the masks of these rows, (B, H, W)."""
        taken = self._rows.take(rows).long() & self._bits
        return taken.masked_fill(taken == self._ignore, NO_LABEL)


_WEIGHTS = 256  # weights of a pixel, a byte


class WeighedTargets:
    """Targets of masks with a weight for each pixel, in one number: class x 256 + weight; `split_weights` undoes it.

    So an augmentation moves both alike. `NO_LABEL` where unlabelled; pixels without a weight have the largest.
    """

    def __init__(self, masks: Targets, weights: MaskTargets) -> None:
        """Take the masks and the weights of the same rows, 0 to 254."""
        self.shown, self._masks, self._weights = masks.shown, masks, weights

    def batch(self, rows: Tensor) -> Tensor:
        """Return the numbers of these rows, (B, H, W)."""
        masks, weights = self._masks.batch(rows), self._weights.batch(rows)
        coded = masks * _WEIGHTS + torch.where(weights == NO_LABEL, _WEIGHTS - 1, weights)
        return torch.where(masks == NO_LABEL, NO_LABEL, coded)


def split_weights(coded: Tensor) -> tuple[Tensor, Tensor]:
    """Return the masks and the weights in [0, 1] of `WeighedTargets`, (B, H, W) each."""
    known = coded != NO_LABEL
    masks = torch.where(known, coded.div(_WEIGHTS, rounding_mode="floor"), NO_LABEL)
    return masks, torch.where(known, coded.remainder(_WEIGHTS), 0) / (_WEIGHTS - 1)


def _fits(size: int, device: torch.device) -> bool:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return size <= free * _RESIDENT_SHARE
    return size <= _RESIDENT_BYTES
