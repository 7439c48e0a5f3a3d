"""Impact of cleaning: models trained on the original and on the cleaned labels, compared on human-judged labels.

N judged items, K classes, S seeds. Every difference is cleaned minus original, in accuracy of class labels or in mean
IoU of masks.

Several seeds are pooled item by item: the gain of an item is the mean over the seeds, and items are resampled whole.
So the interval is valid for these trained models on other images of this kind; the differences of the single seeds show
the variance of training. McNemar's test counts an item for the side that is right (of masks: has fewer wrong pixels),
summed over the seeds; with one seed and class labels it is the textbook's test.

Masks: of each image its pixel counts, (3, K), are kept: right, given and predicted pixels of each class. That is all
that intersections and unions need, and 3 K numbers instead of K * K. The mean is over the classes of the judged masks,
in a resample over those that it has, and the same for both sides: a class that only one side predicts would otherwise
enter that side's mean as a zero.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from core.config.comparison import LEAST_LABELS, LEAST_MASKS
from core.judge.paired import (
    LEVEL,
    RESAMPLES,
    DifferenceInterval,
    McNemar,
    bonferroni,
    interval_of_mean,
    intervals_of_sums,
    mcnemar,
    resample_count,
    simultaneous,
)
from core.types import FloatArray, IntArray, RoundError, ignore_of

MANY_CLASSES = (
    "the intervals and the adjusted p of the classes allow for their number (Bonferroni): with 95 % certainty all of "
    "the intervals hold the truth"
)


class Measure(StrEnum):
    """Measures of a comparison."""

    ACCURACY = "accuracy"
    MEAN_IOU = "mean IoU"  # over the classes of the judged masks


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassImpact:
    """Impact on one class: in the share of its items that are right, or in its intersection over union."""

    label: int
    count: int  # items that have it
    original: float
    cleaned: float
    difference: float
    interval: (
        DifferenceInterval | None
    )  # of a level at which those of all classes hold the truth together; None: too few items
    test: McNemar
    p_adjusted: float  # of the exact p, by Bonferroni over all classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """Result of a comparison; `original`, `cleaned` and `difference` are means over the seeds."""

    measure: Measure
    original: float
    cleaned: float
    difference: float
    interval: DifferenceInterval
    test: McNemar
    count: int  # judged items
    seeds: tuple[float, ...]  # each seed's difference
    per_class: tuple[ClassImpact, ...]  # of the classes of the judged labels

    @property
    def spread(self) -> float | None:
        """Return the standard deviation of the difference over the seeds; None for a single one."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else None

    def sentence(self) -> str:
        """Return the result in one sentence."""
        points = 100 * self.difference
        low, high = 100 * self.interval.low, 100 * self.interval.high
        measured = (
            f"on {self.count:,} judged images the {self.measure} is {100 * self.cleaned:.2f} % with the cleaned labels "
            f"and {100 * self.original:.2f} % with the original ones"
        )
        certainty = f"{100 * self.interval.level:g} % interval {low:+.2f} to {high:+.2f}"
        chance = f"McNemar p = {self.test.p:.2g}"
        if self.interval.contains_zero:
            return (
                f"No difference is shown: {measured}. {points:+.2f} points ({certainty}, which contains 0; {chance})."
            )
        verdict = f"Cleaning gains {points:.2f} points" if points > 0 else f"Cleaning loses {-points:.2f} points"
        return f"{verdict}: {measured} ({certainty}; {chance})."

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, the sentence and the note on many classes among them."""
        texts = {"spread": self.spread, "sentence": self.sentence(), "note": MANY_CLASSES}
        return asdict(self) | {"measure": self.measure.value} | texts


def impact_of_labels(
    truth: IntArray,
    original: IntArray,
    cleaned: IntArray,
    *,
    level: float = LEVEL,
) -> Impact:
    """Return the gain of cleaning in accuracy; truth (N,), predictions (S, N).

    Raises:
        RoundError: there are too few judged items.
    """
    if original.shape != cleaned.shape or original.shape[1:] != truth.shape or not len(original):
        raise ValueError(f"predictions {original.shape} and {cleaned.shape} do not fit labels {truth.shape}")
    if (truth < 0).any():
        raise ValueError("an item without a true label cannot be judged on")
    refuse_few(len(truth), LEAST_LABELS)
    right = np.stack([original == truth, cleaned == truth]).astype(np.int64)  # (2, S, N)
    won = right[1].sum(axis=0) - right[0].sum(axis=0)  # (N,)
    labels = np.unique(truth).tolist()
    together = simultaneous(level, len(labels))
    seeds = len(original)

    def of_class(label: int) -> dict[str, Any]:
        rows = np.flatnonzero(truth == label)
        few = len(rows) < LEAST_LABELS
        interval = None if few else interval_of_mean(won[rows], seeds, level=together)
        values = {"label": label, "count": len(rows), "interval": interval, "test": sign_test(won[rows])}
        return values | side_values(*right[:, :, rows].mean(axis=(1, 2)).tolist())

    return Impact(
        measure=Measure.ACCURACY,
        **side_values(*right.mean(axis=(1, 2)).tolist()),
        interval=interval_of_mean(won, seeds, level=level),
        test=sign_test(won),
        count=len(truth),
        seeds=seed_differences(right.mean(axis=2)),
        per_class=correct_classes([of_class(label) for label in labels]),
    )


def impact_of_masks(
    original: IntArray, cleaned: IntArray, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Impact:
    """Return the gain of cleaning in mean IoU; pixel counts of both sides, (S, N, 3, K).

    Images without a given pixel are left out.

    Raises:
        RoundError: there are too few judged images.
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
        """Return the differences of the mean IoU and of the IoU of each class, (R, 1 + K)."""
        each = ious(sums).mean(axis=2)
        gained = each[:, 1] - each[:, 0]
        return np.concatenate([np.nanmean(gained, axis=1, keepdims=True), gained], axis=1)

    together = simultaneous(level, classes)
    resampled, levels = resample_count(together, len(rows), resamples), [level, *[together] * classes]
    intervals = intervals_of_sums(items, differences, seed=seed, resamples=resampled, levels=levels)
    found = ious(items.sum(axis=0, keepdims=True))[0]  # (2, S, K)
    wrong = (union - right).sum(axis=1)  # (2, N, K), missed or predicted wrongly
    won = wrong[0] - wrong[1]
    missed = (given - right).sum(axis=(1, 3))  # (2, N); each wrong pixel once

    def of_class(index: int) -> dict[str, Any]:
        count = int((given[0, 0, :, index] > 0).sum())
        interval = intervals[1 + index] if count >= LEAST_MASKS else None
        values = {"label": int(labels[index]), "count": count, "interval": interval, "test": sign_test(won[:, index])}
        return values | side_values(*found[:, :, index].mean(axis=1).tolist())

    return Impact(
        measure=Measure.MEAN_IOU,
        **side_values(*found.mean(axis=(1, 2)).tolist()),
        interval=intervals[0],
        test=sign_test(missed[0] - missed[1]),
        count=len(rows),
        seeds=seed_differences(found.mean(axis=2)),
        per_class=correct_classes([of_class(index) for index in range(classes)]),
    )


def pixel_counts(confusion: IntArray) -> IntArray:
    """Return right, given and predicted pixels of each class, (..., 3, K), of given x predicted ones, (..., K, K)."""
    counts: IntArray = np.stack(
        [np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1), confusion.sum(axis=-2)], axis=-2
    )
    return counts


def count_pixels(given: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Return the pixel counts of two masks, (H, W), as (3, K); pixels given as IGNORE are not counted."""
    known = given != ignore_of(given)
    given, predicted = given[known], predicted[known]
    kinds = given[given == predicted], given, predicted
    return np.stack([np.bincount(pixels, minlength=classes) for pixels in kinds])


def refuse_few(count: int, least: int) -> None:
    """Refuse a comparison on fewer items than a reliable interval needs."""
    if count < least:
        raise RoundError(
            f"people have judged {count} images that can be compared on, a comparison needs at least {least}",
            "review more of the evaluation split",
        )


def side_values(original: float, cleaned: float) -> dict[str, float]:
    """Return the values of both sides and their difference, by name."""
    return {"original": original, "cleaned": cleaned, "difference": cleaned - original}


def sign_test(won: IntArray) -> McNemar:
    """Return McNemar's test of the gain on each item, (N,); only its sign counts."""
    return mcnemar(int((won > 0).sum()), int((won < 0).sum()))


def seed_differences(values: FloatArray) -> tuple[float, ...]:
    """Return the difference of each seed; values are (2, S), the original side first."""
    return tuple((values[1] - values[0]).tolist())


def correct_classes(classes: Sequence[dict[str, Any]]) -> tuple[ClassImpact, ...]:
    """Return the classes with their p-values adjusted for the number of classes."""
    adjusted = bonferroni([values["test"].p for values in classes])
    return tuple(ClassImpact(**values, p_adjusted=p) for values, p in zip(classes, adjusted, strict=True))
