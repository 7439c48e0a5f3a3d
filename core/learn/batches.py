"""Batches of images, taken from one decoded array and made into what a network reads.

Images lie as bytes (N, H, W, C); a batch is float (B, C, H, W) in the channels-last order, which costs no copy.
What fits lies on the device whole. What does not is gathered row by row from the memory map.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.types import ByteArray, FloatArray

_RESIDENT_BYTES = 1 << 30  # in main memory; larger arrays stay a memory map, so memory stays flat
_RESIDENT_SHARE = 0.4  # of what is free on a GPU
_MEASURED = 4096  # images the mean is measured on


@dataclass(frozen=True, slots=True)
class Scaling:
    """What turns bytes into numbers around 0: mean and standard deviation per channel, of values in [0, 1], (C,)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def measured(cls, array: ByteArray) -> "Scaling":
        """Return the scaling of an array's own images, (N, H, W, C)."""
        some = array[:: max(1, len(array) // _MEASURED)].astype(np.float32) / 255
        axes = (0, 1, 2)
        spread: FloatArray = np.maximum(some.std(axis=axes), 1 / 255)
        return cls(tuple(some.mean(axis=axes).tolist()), tuple(spread.tolist()))


class Images:
    """The images of a round, ready to be asked for by row."""

    def __init__(self, array: ByteArray, scaling: Scaling, device: torch.device) -> None:
        """Take a decoded array, (N, H, W, C); move it to the device where it fits."""
        self.device = device
        self._array = array
        self._resident = torch.from_numpy(np.array(array)).to(device) if _fits(array.nbytes, device) else None
        self._scale = (1 / (255 * torch.tensor(scaling.std, device=device))).view(1, -1, 1, 1)
        self._shift = (torch.tensor(scaling.mean, device=device) / torch.tensor(scaling.std, device=device)).view(
            1, -1, 1, 1
        )

    def batch(self, rows: Tensor) -> Tensor:
        """Return the images of these rows, (B,) -> float (B, C, H, W), channels last."""
        if self._resident is not None:
            taken = self._resident[rows.to(self.device, non_blocking=True)]
        else:
            gathered = torch.from_numpy(self._array[rows.cpu().numpy()])
            if self.device.type == "cuda":
                gathered = gathered.pin_memory()
            taken = gathered.to(self.device, non_blocking=True)
        return taken.permute(0, 3, 1, 2).float() * self._scale - self._shift


def _fits(size: int, device: torch.device) -> bool:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return size <= free * _RESIDENT_SHARE
    return size <= _RESIDENT_BYTES
