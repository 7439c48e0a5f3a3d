"""Gain in mean IoU by cleaning, with an interval from resampled images (see `core.judge.worth`).

N judged images, K classes, S seeds. Of each image are kept its pixel counts, (3, K): how many of each class are right,
how many given, how many predicted. That is all that intersections and unions need, and 3 K numbers instead of K * K.

The mean is over the classes that stand in the judged masks, in a resample over those of them that it has, for both
sides the same: a class that one side alone paints somewhere would otherwise enter that side's mean as a zero.
"""

from typing import Any

import numpy as np

from core.config.comparison import LEAST_MASKS
from core.judge.paired import LEVEL, RESAMPLES, intervals_of_sums
from core.judge.worth import Measure, Worth, corrected, refuse_few, seed_differences, sides, signs
from core.types import FloatArray, IntArray, ignore_of


def pixel_counts(confusion: IntArray) -> IntArray:
    """Return right, given and predicted pixels of each class, (..., 3, K), of given x predicted ones, (..., K, K)."""
    counts: IntArray = np.stack(
        [np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1), confusion.sum(axis=-2)], axis=-2
    )
    return counts


def count_pixels(given: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Return the same of two masks, (H, W), as (3, K); IGNORE pixels of the given one count nowhere."""
    known = given != ignore_of(given)
    given, predicted = given[known], predicted[known]
    kinds = given[given == predicted], given, predicted
    return np.stack([np.bincount(pixels, minlength=classes) for pixels in kinds])


def worth_of_masks(
    original: IntArray, cleaned: IntArray, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Worth:
    """Return what cleaning was worth in mean IoU; pixel counts of both sides, (S, N, 3, K).

    Images without a given pixel are left out.

    Raises:
        RoundError: there are too few images to say anything.
    """
    if original.shape != cleaned.shape or not len(original) or (original[:, :, 1] != cleaned[:, :, 1]).any():
        raise ValueError("the two sides were not measured on the same masks")
    given = original[0, :, 1]  # (N, K)
    rows, labels = np.flatnonzero(given.sum(axis=1)), np.flatnonzero(given.sum(axis=0))
    refuse_few(len(rows), LEAST_MASKS)
    counts = np.stack([original, cleaned])[:, :, rows][..., labels]  # (2, S, N, 3, K)
    right, given = counts[:, :, :, 0], counts[:, :, :, 1]
    union = given + counts[:, :, :, 2] - right  # (2, S, N, K)
    seeds, classes = len(original), len(labels)
    flat = np.moveaxis(np.stack([right, union]), 3, 0).reshape(len(rows), -1)
    items = np.concatenate([flat, given[0, 0]], axis=1).astype(np.float64)

    def ious(sums: FloatArray) -> FloatArray:
        """Return the IoU of each side, seed and class, (R, 2, S, K), NaN where no image has the class."""
        both, either = np.moveaxis(sums[:, :-classes].reshape(-1, 2, 2, seeds, classes), 1, 0)
        there = (sums[:, -classes:] > 0)[:, None, None]
        found: FloatArray = np.where(there, both / np.maximum(either, 1), np.nan)
        return found

    def differences(sums: FloatArray) -> FloatArray:
        """Return by how much the mean and each class's IoU differ, (R, 1 + K)."""
        each = ious(sums).mean(axis=2)
        gained = each[:, 1] - each[:, 0]
        return np.concatenate([np.nanmean(gained, axis=1, keepdims=True), gained], axis=1)

    intervals = intervals_of_sums(items, differences, seed=seed, resamples=resamples, level=level)
    found = ious(items.sum(axis=0, keepdims=True))[0]  # (2, S, K)
    wrong = (union - right).sum(axis=1)  # (2, N, K), missed or painted wrongly
    won = wrong[0] - wrong[1]
    missed = (given - right).sum(axis=(1, 3))  # (2, N); each wrong pixel once

    def of_class(index: int) -> dict[str, Any]:
        count = int((given[0, 0, :, index] > 0).sum())
        interval = intervals[1 + index] if count >= LEAST_MASKS else None
        values = {"label": int(labels[index]), "count": count, "interval": interval, "test": signs(won[:, index])}
        return values | sides(*found[:, :, index].mean(axis=1).tolist())

    return Worth(
        measure=Measure.MEAN_IOU,
        **sides(*found.mean(axis=(1, 2)).tolist()),
        interval=intervals[0],
        test=signs(missed[0] - missed[1]),
        count=len(rows),
        seeds=seed_differences(found.mean(axis=2)),
        per_class=corrected([of_class(index) for index in range(classes)]),
    )
