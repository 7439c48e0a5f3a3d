"""Gain by cleaning: two models on human-judged labels, one trained on the original labels, one on the cleaned ones.

N judged items, K classes, S seeds. Every difference is cleaned minus original. Masks: `core.judge.mask_worth`.

Several seeds are pooled item by item: an item's gain is the mean over the seeds, and items are resampled whole. So the
interval speaks of these trained models on other images of this kind; how much luck there was in the training shows in
the seeds' own differences. McNemar's test counts an item for the side that is right (of masks: has fewer wrong
pixels), summed over the seeds; with one seed and labels it is the textbook's.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from core.config.comparison import LEAST_LABELS
from core.judge.paired import LEVEL, RESAMPLES, Interval, McNemar, holm, interval_of_mean, mcnemar
from core.types import FloatArray, IntArray, RoundError

MANY_CLASSES = (
    "each class has its own interval, so of 20 one misses by chance; the adjusted p, after Holm's correction, allows "
    "for their number"
)


class Measure(StrEnum):
    """Measure that is compared."""

    ACCURACY = "accuracy"
    MEAN_IOU = "mean IoU"  # over the classes that stand in the judged masks


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassWorth:
    """The same of one class: of labels the share of its items that are right, of masks its intersection over union."""

    label: int
    count: int  # items that have it
    original: float
    cleaned: float
    difference: float
    interval: Interval | None  # None: too few items
    test: McNemar
    p_adjusted: float  # of the exact p, by Holm over all classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """Result of a comparison; the first three are means over the seeds."""

    measure: Measure
    original: float
    cleaned: float
    difference: float
    interval: Interval
    test: McNemar
    count: int  # judged items
    seeds: tuple[float, ...]  # each seed's difference
    per_class: tuple[ClassWorth, ...]  # of those that stand in the judged labels

    @property
    def spread(self) -> float | None:
        """Return the standard deviation of the difference over the seeds; None for a single one."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else None

    def sentence(self) -> str:
        """Return what is known now, plainly."""
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
                f"No difference is shown: {measured}. {points:+.2f} points ({certainty}, which contains 0; {chance}). "
                "Judge more images of the evaluation split to know more."
            )
        verdict = f"Cleaning is worth {points:.2f} points" if points > 0 else f"Cleaning did harm, {-points:.2f} points"
        return f"{verdict}: {measured} ({certainty}; {chance})."

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, the sentence and the note on many classes among them."""
        said = {"spread": self.spread, "sentence": self.sentence(), "note": MANY_CLASSES}
        return asdict(self) | {"measure": self.measure.value} | said


def worth_of_labels(
    truth: IntArray,
    original: IntArray,
    cleaned: IntArray,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Worth:
    """Return what cleaning was worth in accuracy; truth (N,), predictions (S, N).

    Raises:
        RoundError: there are too few items to say anything.
    """
    if original.shape != cleaned.shape or original.shape[1:] != truth.shape or not len(original):
        raise ValueError(f"predictions {original.shape} and {cleaned.shape} do not fit labels {truth.shape}")
    if (truth < 0).any():
        raise ValueError("an item without a true label cannot be judged on")
    refuse_few(len(truth), LEAST_LABELS)
    right = np.stack([original == truth, cleaned == truth]).astype(np.int64)  # (2, S, N)
    won = right[1].sum(axis=0) - right[0].sum(axis=0)  # (N,)
    gains = won / len(original)

    def of_class(label: int) -> dict[str, Any]:
        rows = np.flatnonzero(truth == label)
        few = len(rows) < LEAST_LABELS
        interval = None if few else interval_of_mean(gains[rows], seed=seed, resamples=resamples, level=level)
        values = {"label": label, "count": len(rows), "interval": interval, "test": signs(won[rows])}
        return values | sides(*right[:, :, rows].mean(axis=(1, 2)).tolist())

    return Worth(
        measure=Measure.ACCURACY,
        **sides(*right.mean(axis=(1, 2)).tolist()),
        interval=interval_of_mean(gains, seed=seed, resamples=resamples, level=level),
        test=signs(won),
        count=len(truth),
        seeds=seed_differences(right.mean(axis=2)),
        per_class=corrected([of_class(label) for label in np.unique(truth).tolist()]),
    )


def refuse_few(count: int, least: int) -> None:
    """Refuse to compare on fewer items than an interval can be trusted on."""
    if count < least:
        raise RoundError(
            f"people have judged {count} images that can be compared on, a comparison needs at least {least}; "
            "review more of the evaluation split"
        )


def sides(original: float, cleaned: float) -> dict[str, float]:
    """Return both sides and their difference, named."""
    return {"original": original, "cleaned": cleaned, "difference": cleaned - original}


def signs(won: IntArray) -> McNemar:
    """Return McNemar's test of what was won on each item, any number, (N,); only its sign counts."""
    return mcnemar(int((won > 0).sum()), int((won < 0).sum()))


def seed_differences(values: FloatArray) -> tuple[float, ...]:
    """Return each seed's difference; values are (2, S), the original side first."""
    return tuple((values[1] - values[0]).tolist())


def corrected(classes: Sequence[dict[str, Any]]) -> tuple[ClassWorth, ...]:
    """Return the classes with their p-values corrected for being many."""
    adjusted = holm([values["test"].p for values in classes])
    return tuple(ClassWorth(**values, p_adjusted=p) for values, p in zip(classes, adjusted, strict=True))
