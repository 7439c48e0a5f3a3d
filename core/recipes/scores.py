"""How good predicted masks are: pixels counted over all images, then intersection over union."""

from dataclasses import dataclass

import numpy as np

from core.judge.mask_scoring import class_ious, mean_iou, pixel_accuracy, pixel_confusion
from core.types import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """What masks are worth against the true ones; None where nothing was there to count."""

    mean_iou: float | None
    ious: list[float | None]  # of each class
    accuracy: float | None  # share of pixels

    @classmethod
    def of(cls, confusion: IntArray) -> "MaskScore":
        """Return the score of a confusion, (K, K) pixels, true x predicted."""
        return cls(mean_iou=mean_iou(confusion), ious=class_ious(confusion), accuracy=pixel_accuracy(confusion))


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What predictions are worth against true labels of either kind; None where nothing was there to count."""

    value: float | None  # what is chosen by: the share of right images, or the mean IoU of masks
    per_class: list[float | None]  # the share of a class' images that are right, or its IoU
    accuracy: float | None  # share of images, or of pixels
    mean_iou: float | None = None  # of masks

    @classmethod
    def of_masks(cls, confusion: IntArray) -> "Score":
        """Return the score of a confusion, (K, K) pixels, true x predicted."""
        score = MaskScore.of(confusion)
        return cls(value=score.mean_iou, per_class=score.ious, accuracy=score.accuracy, mean_iou=score.mean_iou)

    @classmethod
    def of_classes(cls, confusion: IntArray) -> "Score":
        """Return the score of a confusion, (K, K) images, true x predicted."""
        rows = zip(confusion.diagonal().tolist(), confusion.sum(axis=1).tolist(), strict=True)
        accuracy = pixel_accuracy(confusion)
        return cls(value=accuracy, per_class=[right / of if of else None for right, of in rows], accuracy=accuracy)

    def beats(self, other: "Score") -> bool:
        """Whether it is better by the value that is chosen by."""
        return (self.value or 0.0) > (other.value or 0.0)


def image_confusion(true: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Return the confusion of one image's masks, (K, K); what is IGNORE in the true one counts nowhere.

    Pixels predicted as IGNORE, of an image without tags, raise a ValueError: there is nothing to be said of them.
    """
    return pixel_confusion(true, predicted, classes)


def no_pixels(classes: int) -> IntArray:
    """Return the confusion to begin with."""
    return np.zeros((classes, classes), np.int64)
