"""Scores of predicted masks: pixels counted over all images, then intersection over union."""

from dataclasses import dataclass

import numpy as np

from core.judge.mask_scoring import class_ious, mean_iou, pixel_accuracy, pixel_confusion
from core.types import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """Scores of masks against the true ones; None without counted pixels."""

    mean_iou: float | None
    ious: list[float | None]  # of each class
    accuracy: float | None  # share of pixels

    @classmethod
    def of(cls, confusion: IntArray) -> "MaskScore":
        """Return the score of a confusion, (K, K) pixels, true x predicted."""
        return cls(mean_iou=mean_iou(confusion), ious=class_ious(confusion), accuracy=pixel_accuracy(confusion))


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Scores of predictions against true labels of either kind; None without counted items."""

    value: float | None  # criterion of choice: the share of right images, or the mean IoU of masks
    per_class: list[float | None]  # the share of a class' images that are right, or its IoU
    accuracy: float | None  # share of images, or of pixels
    mean_iou: float | None = None  # of masks
    log_likelihood: float | None = None  # of the given classes, calibrated, the mean in nats; None: not measured

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
        """Return True if the value is higher than that of another score, or as high and its labels are likelier.

        Few images that choose often give two networks the same accuracy.
        """
        if (self.value or 0.0) != (other.value or 0.0):
            return (self.value or 0.0) > (other.value or 0.0)
        if self.log_likelihood is None or other.log_likelihood is None:
            return False
        return self.log_likelihood > other.log_likelihood


def image_confusion(true: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Return the confusion of one image's masks, (K, K), without pixels that are IGNORE in the true one.

    Raises:
        ValueError: a pixel is predicted as IGNORE, as in an image without tags.
    """
    return pixel_confusion(true, predicted, classes)


def empty_confusion(classes: int) -> IntArray:
    """Return a confusion of zeros, (K, K)."""
    return np.zeros((classes, classes), np.int64)
