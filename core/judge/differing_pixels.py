"""Given and predicted masks of some images, and the pixels in which they differ.

Masks are (H, W), uint8 or uint16 with IGNORE as `core.types.labels` has it, all of one dtype; probabilities (H, W)
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
    """Given and predicted mask of one image."""

    given: IntArray  # (H, W) classes
    predicted: IntArray  # (H, W) classes
    confidence: ByteArray  # (H, W) of the predicted class
    given_probability: ByteArray  # (H, W) of the given class
    settled: IntArray | None = None  # (H, W), nonzero for pixels that people have decided on; None: no pixel
    fold: int = EVERY_FOLD  # whose model predicted it
    decides: bool = True  # it is trainable, so its labels count for the proposed thresholds


@dataclass(frozen=True, slots=True, eq=False)
class DifferingPixels:
    """Pixels in which given and predicted masks differ, image after image, each in reading order; columns are (P,)."""

    bounds: IntArray  # (I + 1,) first pixel of each image, and P
    index: IntArray  # flat, in its image
    given: IntArray
    predicted: IntArray

    def __len__(self) -> int:
        """Return the number of pixels."""
        return len(self.index)

    @property
    def image(self) -> IntArray:
        """Return the image of each pixel, (P,)."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))

    def values_of(self, arrays: Sequence[IntArray]) -> IntArray:
        """Return the values of the images' arrays, each (H, W), at these pixels, (P,)."""
        parts = [
            array.reshape(-1)[self.index[begin:end]]
            for array, begin, end in zip(arrays, self.bounds[:-1], self.bounds[1:], strict=True)
        ]
        return np.concatenate(parts)

    def where(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the pixels where `chosen`, (P,), is true."""
        bounds = np.concatenate([[0], np.cumsum(chosen)])[self.bounds]
        return type(self)(bounds, self.index[chosen], self.given[chosen], self.predicted[chosen])


def differing_pixels(given: Sequence[IntArray], predicted: Sequence[IntArray]) -> DifferingPixels:
    """Return the labelled pixels in which the masks of at least one image differ."""
    columns = [_image_differences(one, other) for one, other in zip(given, predicted, strict=True)]
    index, own, other = (np.concatenate(column) for column in zip(*columns, strict=True))
    return DifferingPixels(np.cumsum([0, *(len(one) for one, _, _ in columns)]), index, own, other)


def _image_differences(given: IntArray, predicted: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    index: IntArray = np.flatnonzero(given != predicted)
    classes = given.reshape(-1)[index]
    known = classes != ignore_of(given)
    if not known.all():
        index, classes = index[known], classes[known]
    return index, classes, predicted.reshape(-1)[index]
