"""Scores of masks: the label quality of each image, and the agreement of given and predicted classes.

Masks are (H, W), uint8 or uint16 with IGNORE as `core.types.labels` has it; probabilities (H, W) uint8, round(255 p).
K classes. A confusion is (K, K) pixels, given x predicted. IGNORE pixels are not counted.

The image score is the softmin of p(given) (Lad & Mueller, *Estimating label quality and errors in semantic
segmentation data via any model*, 2023): a mean in which unlikely pixels weigh most. It is computed from a histogram,
since p has 256 levels.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from core.judge.differing_pixels import DifferingPixels, differing_pixels
from core.types import ByteArray, IntArray, ignore_of

LEVELS = 256
_EXACT = 2**24  # pixels that OpenCV counts exactly: its counts are float32
_FEW_CLASSES = 128  # number of classes up to which a dense table of pairs is faster
TEMPERATURE = 0.1
_QUALITY = np.arange(LEVELS) / (LEVELS - 1)


def softmin_score(histogram: IntArray, temperature: float = TEMPERATURE) -> float:
    """Return the softmin of a histogram of p(given), (256,) pixels, in [0, 1]; 1 without pixels."""
    weight = histogram * np.exp(-_QUALITY / temperature)
    total = float(weight.sum())
    return float(weight @ _QUALITY) / total if total > 0 else 1.0


def histogram(values: ByteArray, counted: ByteArray | None = None) -> IntArray:
    """Return the number of pixels of each value, (256,), of those where `counted`, (H, W), is not 0."""
    rows = max(1, _EXACT // values.shape[1])
    total = np.zeros(LEVELS, np.int64)
    for top in range(0, len(values), rows):
        where = None if counted is None else counted[top : top + rows]
        counts = cv2.calcHist([values[top : top + rows]], [0], where, [LEVELS], [0, LEVELS])
        total += counts.reshape(-1).astype(np.int64)
    return total


def inner_pixels(given: IntArray, boundary: int) -> ByteArray:
    """Return 255 where only one class is given within `boundary` pixels along x and y, else 0; IGNORE is not a class.

    Borders are not drawn to the pixel, so next to them p(given) says little about the label.
    """
    box = np.ones((2 * boundary + 1, 2 * boundary + 1), dtype=np.uint8)
    alone = cv2.compare(cv2.dilate(given, box), cv2.erode(given, box), cv2.CMP_EQ)  # the box's largest id and smallest
    alone[given == ignore_of(given)] = 0
    return alone.astype(np.uint8, copy=False)


def pixel_confusion(given: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Return an image's confusion, (K, K).

    Raises:
        ValueError: a mask holds a class outside of `classes`.
    """
    confusion = np.zeros((classes, classes), np.int64)
    add_confusion(confusion, class_counts(given, classes), differing_pixels([given], [predicted]))
    return confusion


def add_confusion(confusion: IntArray, counts: IntArray, differing: DifferingPixels) -> None:
    """Add images to a confusion, (K, K), from their given pixels by class, (K,), and those that differ.

    Raises:
        ValueError: a prediction holds a class that is none of the K.
    """
    classes = len(confusion)
    largest = int(differing.predicted.max(initial=0))
    if largest >= classes:
        raise ValueError(f"a prediction holds class {largest}, there are {classes}")
    pairs = differing.given.astype(np.int64) * classes + differing.predicted
    if classes <= _FEW_CLASSES:
        wrong = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        confusion += wrong
        confusion[np.diag_indices(classes)] += counts - wrong.sum(axis=1)
    else:  # images have few of a million pairs
        found, times = np.unique(pairs, return_counts=True)
        confusion.reshape(-1)[found] += times
        confusion[np.diag_indices(classes)] += counts - np.bincount(differing.given, minlength=classes)


def class_counts(mask: IntArray, classes: int) -> IntArray:
    """Return the number of pixels of each class, (K,).

    Raises:
        ValueError: the mask holds a class outside of `classes`.
    """
    ignore = ignore_of(mask)
    if mask.dtype == np.uint8:
        counts = histogram(mask.astype(np.uint8, copy=False))
    else:
        counts = np.bincount(mask.reshape(-1), minlength=ignore + 1)
    if counts[classes:ignore].any():
        raise ValueError(f"a mask holds class {classes + int(counts[classes:ignore].argmax())}, there are {classes}")
    return counts[:classes]


def class_ious(confusion: IntArray) -> list[float | None]:
    """Return each class's intersection over union, (K); None for a class that is neither given nor predicted."""
    right = confusion.diagonal()
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    return [int(both) / int(either) if either else None for both, either in zip(right, union, strict=True)]


def mean_iou(confusion: IntArray) -> float | None:
    """Return the mean IoU over the given or predicted classes; None without any."""
    there = [iou for iou in class_ious(confusion) if iou is not None]
    return sum(there) / len(there) if there else None


def pixel_accuracy(confusion: IntArray) -> float | None:
    """Return the share of agreeing pixels; None without pixels."""
    total = int(confusion.sum())
    return int(confusion.trace()) / total if total else None


def agreement_by_confidence(
    confidence: Sequence[ByteArray], counted: Sequence[ByteArray], differing: DifferingPixels
) -> tuple[IntArray, IntArray]:
    """Return the counted pixels of each image by confidence, (I, 256), and those of them that agree, (I, 256).

    Args:
        confidence: of each image, (H, W).
        counted: of each image, (H, W), 0 where a pixel does not count.
        differing: the counted pixels in which the images' masks differ.
    """
    every = np.stack([histogram(one, where) for one, where in zip(confidence, counted, strict=True)])
    return every, every - _by_image(differing.values_of(confidence), differing)


def given_histograms(right: IntArray, given_probability: Sequence[ByteArray], differing: DifferingPixels) -> IntArray:
    """Return the counted pixels by image and p(given), (I, 256); `right` and `differing` as `agreement_by_confidence`.

    Where both masks agree, p(given) is the confidence, so only the differing pixels are read.
    """
    return right + _by_image(differing.values_of(given_probability), differing)


def _by_image(values: IntArray, pixels: DifferingPixels) -> IntArray:
    """Return the number of pixels of each image and value, (I, 256), from the values of its pixels, (P,)."""
    images = len(pixels.bounds) - 1
    return np.bincount(pixels.image * LEVELS + values, minlength=images * LEVELS).reshape(images, LEVELS)
