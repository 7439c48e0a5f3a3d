"""What the pixels of a mask are worth: a score for each image, and how given and predicted classes agree.

Masks are (H, W), uint8 or uint16 with IGNORE as `core.types.masks` has it; probabilities (H, W) uint8, round(255 p).
K classes. A confusion is (K, K) pixels, given x predicted. IGNORE pixels count nowhere.

The image score is the softmin of p(given) (Lad & Mueller, *Estimating label quality and errors in semantic
segmentation data via any model*, 2023): a mean in which unlikely pixels weigh most. p has 256 levels, so a histogram of
them is all it takes.
"""

import cv2
import numpy as np

from core.types import ByteArray, IntArray, ignore_of

LEVELS = 256
_FEW_CLASSES = 128  # whose pairs are counted faster all than one by one
TEMPERATURE = 0.1
_QUALITY = np.arange(LEVELS) / (LEVELS - 1)


def softmin_score(histogram: IntArray, temperature: float = TEMPERATURE) -> float:
    """Return the softmin of a histogram of p(given), (256,) pixels, in [0, 1]; 1 where there are none."""
    weight = histogram * np.exp(-_QUALITY / temperature)
    total = float(weight.sum())
    return float(weight @ _QUALITY) / total if total > 0 else 1.0


def histogram(values: ByteArray, counted: ByteArray | None = None) -> IntArray:
    """Return how many pixels have each value, (256,); only those where `counted`, (H, W), is not 0."""
    counts: IntArray = cv2.calcHist([values], [0], counted, [LEVELS], [0, LEVELS]).reshape(-1).astype(np.int64)
    return counts


def inner_pixels(given: IntArray, boundary: int) -> ByteArray:
    """Return 1 where something is given and no other class is within `boundary` pixels along x and y, else 0.

    Nobody draws a border to the pixel, and next to one p(given) says little of the label.
    """
    box = np.ones((2 * boundary + 1, 2 * boundary + 1), dtype=np.uint8)
    alone = cv2.dilate(given, box) == cv2.erode(given, box)  # the largest id in the box is also the smallest
    inner: ByteArray = (alone & (given != ignore_of(given))).astype(np.uint8)
    return inner


def pixel_confusion(given: IntArray, predicted: IntArray, differing: IntArray, classes: int) -> IntArray:
    """Return an image's confusion, (K, K), from where its masks differ (`core.judge.regions.differing_pixels`).

    Raises:
        ValueError: a mask holds a class that is none of the `classes`.
    """
    confusion = np.zeros((classes, classes), np.int64)
    add_confusion(confusion, given, predicted, differing)
    return confusion


def add_confusion(confusion: IntArray, given: IntArray, predicted: IntArray, differing: IntArray) -> tuple[int, int]:
    """Add an image's pixels to a confusion, (K, K), and return how many of them are right and how many there are.

    Raises:
        ValueError: a mask holds a class that is none of the K.
    """
    classes = len(confusion)
    counts = _class_counts(given, classes)
    wrong, instead = given.reshape(-1)[differing].astype(np.int64), predicted.reshape(-1)[differing]
    if len(instead) and int(instead.max()) >= classes:
        raise ValueError(f"a prediction holds class {int(instead.max())}, there are {classes}")
    pairs = wrong * classes + instead
    if classes <= _FEW_CLASSES:
        confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    else:  # an image has few of a million pairs
        found, times = np.unique(pairs, return_counts=True)
        confusion.reshape(-1)[found] += times
    confusion[np.diag_indices(classes)] += counts - np.bincount(wrong, minlength=classes)
    total = int(counts.sum())
    return total - len(wrong), total


def _class_counts(mask: IntArray, classes: int) -> IntArray:
    """Return how many pixels have each class, (K,)."""
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
    """Return the mean over the classes that are there; None where there is none."""
    there = [iou for iou in class_ious(confusion) if iou is not None]
    return sum(there) / len(there) if there else None


def pixel_accuracy(confusion: IntArray) -> float | None:
    """Return the share of pixels on which both agree; None where there are no pixels."""
    total = int(confusion.sum())
    return int(confusion.trace()) / total if total else None


def agreement_by_confidence(
    confidence: ByteArray, counted: ByteArray, differing: IntArray
) -> tuple[IntArray, IntArray]:
    """Return how many counted pixels have each confidence, (256,), and in how many of them both masks agree, (256,)."""
    every = histogram(confidence, counted)
    there = differing[counted.reshape(-1)[differing] != 0]
    wrong = np.bincount(confidence.reshape(-1)[there], minlength=LEVELS)
    return every, every - wrong


def given_histogram(right: IntArray, given_probability: ByteArray, counted: ByteArray, differing: IntArray) -> IntArray:
    """Return how many counted pixels have each p(given), (256,); `right` as `agreement_by_confidence` says it.

    Where both masks agree p(given) is the confidence, so only the differing pixels have to be looked at.
    """
    there = differing[counted.reshape(-1)[differing] != 0]
    return right + np.bincount(given_probability.reshape(-1)[there], minlength=LEVELS)
