"""The figures of a round of masks: counted image by image, put together at the end. K classes, N samples, F folds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import local
from typing import Any, Protocol, Self

import numpy as np

from core.data.snapshot import Snapshot
from core.judge import bulk_thresholds, confusions, mask_scoring, region_ranking
from core.judge.mask_scoring import LEVELS
from core.types import EVERY_FOLD, ByteArray, FloatArray, IntArray, ignore_of

_WORST = 50  # images
_BINS = 10  # of confidence, in the calibration
_STRIDE = 4  # of every 16th pixel p(given) is averaged: a mean needs no more
_FEWEST_PIXELS = 500  # of each 16th: an object or two, not the pixels of one
_PERCENT = bulk_thresholds.level_of(np.arange(LEVELS) / (LEVELS - 1))
_SUMS = (
    "confusion", "by_fold", "every", "right", "seen", "likely", "classes_every", "classes_right", "classes_open",
)  # fmt: skip


class JudgedRegion(Protocol):
    """What the figures need to know of a finding."""

    @property
    def given(self) -> int:
        """The given class."""

    @property
    def pseudo(self) -> int:
        """The predicted class."""

    @property
    def confidence(self) -> float:
        """The mean probability of the predicted class."""


@dataclass(slots=True, eq=False)
class Tally:
    """What is counted of some images; tallies of different images add up."""

    classes: int
    folds: int
    wobble: int = 0  # regions
    tiny: int = 0  # regions
    confusion: IntArray = field(init=False)  # (K, K) pixels, given x predicted
    by_fold: IntArray = field(init=False)  # (F, 2) pixels: on which both agree, all
    every: IntArray = field(init=False)  # (256,) pixels away from borders by confidence
    right: IntArray = field(init=False)  # (256,) those of them on which prediction and given mask agree
    seen: IntArray = field(init=False)  # (K,) pixels of each given class that were averaged
    likely: IntArray = field(init=False)  # (K,) their p(given) in sum, in 255ths
    classes_every: IntArray = field(init=False)  # (K, L) of each 16th labelled pixel, by predicted class and percent
    classes_right: IntArray = field(init=False)  # (K, L) those of them that agree
    classes_open: IntArray = field(init=False)  # (K, L) of each 16th pixel nobody labelled yet

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.confusion = np.zeros((self.classes, self.classes), np.int64)
        self.by_fold = np.zeros((self.folds, 2), np.int64)
        self.every, self.right = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
        self.seen, self.likely = np.zeros(self.classes, np.int64), np.zeros(self.classes, np.int64)
        shape = (self.classes, bulk_thresholds.LEVELS)
        self.classes_every, self.classes_right, self.classes_open = (np.zeros(shape, np.int64) for _ in range(3))

    def __iadd__(self, other: "Tally") -> Self:
        """Add what was counted of other images."""
        self.wobble += other.wobble
        self.tiny += other.tiny
        for name in _SUMS:
            mine: IntArray = getattr(self, name)
            mine += getattr(other, name)
        return self

    def count_confusion(self, fold: int, given: IntArray, predicted: IntArray, differing: IntArray) -> None:
        """Count an image's pixels by given and predicted class; `fold` predicted it, or all of them (EVERY_FOLD)."""
        counted = mask_scoring.add_confusion(self.confusion, given, predicted, differing)
        if fold != EVERY_FOLD:
            self.by_fold[fold] += counted

    def count_agreement(self, every: IntArray, right: IntArray) -> None:
        """Count an image's pixels by confidence, both (256,)."""
        self.every += every
        self.right += right

    def count_likely(self, given: IntArray, given_probability: ByteArray) -> None:
        """Count how likely an image's given classes are, both (H, W)."""
        some = given[::_STRIDE, ::_STRIDE].ravel()
        known = some != ignore_of(given)
        labels, values = some[known], given_probability[::_STRIDE, ::_STRIDE].ravel()[known]
        self.seen += np.bincount(labels, minlength=self.classes)
        self.likely += np.bincount(labels, weights=values, minlength=self.classes).astype(np.int64)

    def count_classes(self, given: IntArray, predicted: IntArray, confidence: ByteArray) -> None:
        """Count how often an image's predictions of each class and confidence agree with what is given, all (H, W)."""
        some, named, percent = _strided(given, predicted, confidence)
        known = some != ignore_of(given)
        halves = named + (some == named) * self.classes  # the second half of the rows: those that agree
        wrong, right = np.split(bulk_thresholds.counted(halves[known], percent[known], 2 * self.classes), 2)
        self.classes_every += wrong + right
        self.classes_right += right

    def count_unlabelled(self, predicted: IntArray, confidence: ByteArray) -> None:
        """Count what is predicted where nobody labelled anything, both (H, W); IGNORE elsewhere."""
        _, named, percent = _strided(predicted, predicted, confidence)
        there = named != ignore_of(predicted)
        self.classes_open += bulk_thresholds.counted(named[there], percent[there], self.classes)


class Tallies:
    """A tally for each thread that counts: as many as there are threads, however many images they count."""

    def __init__(self, classes: int, folds: int) -> None:
        """Begin with none."""
        self._own = local()
        self._all: list[Tally] = []
        self._make: Callable[[], Tally] = lambda: Tally(classes, folds)

    def mine(self) -> Tally:
        """Return the tally of the thread that asks."""
        tally: Tally | None = getattr(self._own, "tally", None)
        if tally is None:
            tally = self._own.tally = self._make()
            self._all.append(tally)
        return tally

    def total(self) -> Tally:
        """Return what all threads counted; they must have ended."""
        total = self._all.pop() if self._all else self._make()
        while self._all:
            total += self._all.pop()
        return total


def _strided(given: IntArray, predicted: IntArray, confidence: ByteArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return every 16th pixel's given class, predicted class and percent of confidence, all (P,)."""
    some, named, sure = (array[::_STRIDE, ::_STRIDE].ravel() for array in (given, predicted, confidence))
    return some, named.astype(np.int64), _PERCENT[sure]


def round_metrics(
    snapshot: Snapshot, tally: Tally, findings: Sequence[JudgedRegion], scores: FloatArray
) -> dict[str, Any]:
    """Return the figures of the round's page, all JSON values; `scores` are the images', (N,)."""
    confusion = tally.confusion
    usual = region_ranking.usual_confidence(tally.seen, tally.likely)
    likely_wrong = [one.given for one in findings if one.confidence >= usual[one.pseudo]]
    errors = np.bincount(np.array(likely_wrong, dtype=np.int64), minlength=tally.classes)
    proposal = region_ranking.propose(tally.every, tally.right)
    return {
        "task": "segmentation",
        "miou": mask_scoring.mean_iou(confusion),
        "iou_per_class": mask_scoring.class_ious(confusion),
        "accuracy": mask_scoring.pixel_accuracy(confusion),
        "accuracy_per_fold": [right / count if count else None for right, count in tally.by_fold.tolist()],
        "confusion": confusions.as_json(confusion),
        "calibration": _calibration(tally),
        "estimated_errors": int(errors.sum()),
        "per_class": _class_rows(snapshot, confusion, errors, findings),
        "regions": len(findings),
        "wobble_regions": tally.wobble,
        "tiny_regions": tally.tiny,
        "worst_images": _worst_images(snapshot, scores),
        "proposed_threshold": proposal["threshold"],
        "proposal": proposal,
        "class_thresholds": bulk_thresholds.as_json(
            bulk_thresholds.estimate(
                tally.classes_every, tally.classes_right, tally.classes_open, fewest=_FEWEST_PIXELS
            )
        ),
    }


def _calibration(tally: Tally) -> list[dict[str, float]]:
    """Return, for bins of confidence, how often the given masks agree, in the shape of `calibration.reliability`."""
    level = np.arange(LEVELS)
    index = np.minimum(level * _BINS // (LEVELS - 1), _BINS - 1)
    count, right = (np.bincount(index, weights=counts, minlength=_BINS) for counts in (tally.every, tally.right))
    total = np.bincount(index, weights=tally.every * level / (LEVELS - 1), minlength=_BINS)
    return [
        {
            "lower": number / _BINS,
            "upper": (number + 1) / _BINS,
            "mean_confidence": float(total[number] / count[number]),
            "accuracy": float(right[number] / count[number]),
            "count": int(count[number]),
        }
        for number in np.flatnonzero(count).tolist()
    ]


def _class_rows(
    snapshot: Snapshot, confusion: IntArray, errors: IntArray, findings: Sequence[JudgedRegion]
) -> list[dict[str, Any]]:
    ious = mask_scoring.class_ious(confusion)
    pairs = np.zeros_like(confusion)
    for one in findings:
        pairs[one.given, one.pseudo] += 1
    rows = []
    for number, name in enumerate(snapshot.classes):
        count, worst = int(confusion[number].sum()), int(pairs[number].argmax())
        regions = int(pairs[number, worst])
        rows.append(
            {
                "class": number,
                "name": name,
                "count": count,  # pixels
                "iou": ious[number],
                "estimated_errors": int(errors[number]),
                "worst_pair": {"pseudo": worst, "count": regions} if regions else None,  # regions
                "agreement": float(confusion[number, number] / count) if count else None,
            }
        )
    return rows


def _worst_images(snapshot: Snapshot, scores: FloatArray) -> list[dict[str, Any]]:
    labelled = [row for row, name in enumerate(snapshot.masks.labels if snapshot.masks else []) if name]
    worst = sorted(labelled, key=lambda row: float(scores[row]))[:_WORST]
    return [
        {
            "row": row,
            "sample_id": int(snapshot.sample_ids[row]),
            "score": float(scores[row]),
            "name": Path(snapshot.paths[row]).name,
        }
        for row in worst
    ]
