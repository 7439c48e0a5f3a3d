"""The masks of some images, given and predicted, and the pixels in which they differ.

Masks are (H, W), uint8 or uint16 with IGNORE as `core.types.masks` has it, all of one dtype; probabilities (H, W)
uint8, round(255 p). I images, P pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.types import EVERY_FOLD, ByteArray, IntArray, ignore_of


@dataclass(frozen=True, slots=True, eq=False)
class MaskPair:
    """One image's given mask, and what was predicted of it."""

    given: IntArray  # (H, W) classes
    predicted: IntArray  # (H, W) classes
    confidence: ByteArray  # (H, W) of the predicted class
    given_probability: ByteArray  # (H, W) of the given class
    settled: IntArray | None = None  # (H, W), nonzero where people have judged; None: nowhere
    fold: int = EVERY_FOLD  # which predicted it
    decides: bool = True  # whether its labels may be learnt from, and so decide what is proposed to accept


@dataclass(frozen=True, slots=True, eq=False)
class Differing:
    """Pixels in which given and predicted masks differ, image after image, each in reading order; columns are (P,)."""

    bounds: IntArray  # (I + 1,) where the pixels of each image begin
    index: IntArray  # in its image, flat
    given: IntArray
    predicted: IntArray

    def __len__(self) -> int:
        """Return the number of pixels."""
        return len(self.index)

    @property
    def image(self) -> IntArray:
        """Return each pixel's image, (P,)."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))

    def values_of(self, arrays: Sequence[IntArray]) -> IntArray:
        """Return what arrays of the images, each (H, W), hold in these pixels, (P,)."""
        parts = [
            array.reshape(-1)[self.index[begin:end]]
            for array, begin, end in zip(arrays, self.bounds[:-1], self.bounds[1:], strict=True)
        ]
        return np.concatenate(parts)

    def where(self, chosen: NDArray[np.bool_]) -> Self:
        """Return those of the pixels that are chosen, (P,)."""
        bounds = np.concatenate([[0], np.cumsum(chosen)])[self.bounds]
        return type(self)(bounds, self.index[chosen], self.given[chosen], self.predicted[chosen])


def differing_pixels(given: Sequence[IntArray], predicted: Sequence[IntArray]) -> Differing:
    """Return where the masks of at least one image differ and something is given."""
    columns = [_differing(one, other) for one, other in zip(given, predicted, strict=True)]
    index, wrong, instead = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Differing(np.cumsum([0, *(len(one) for one, _, _ in columns)]), index, wrong, instead)


def _differing(given: IntArray, predicted: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    index: IntArray = np.flatnonzero(given != predicted)
    classes = given.reshape(-1)[index]
    known = classes != ignore_of(given)
    if not known.all():
        index, classes = index[known], classes[known]
    return index, classes, predicted.reshape(-1)[index]
