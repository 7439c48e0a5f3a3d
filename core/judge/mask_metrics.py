"""Figures of a round of masks, and the counts over its images that they are computed from.

K classes, F folds, I images, N samples. Images are counted one by one, in several threads, and added up at the end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import local
from typing import Any, Protocol, Self

import numpy as np

from core.data.snapshot import Snapshot, masks_of
from core.judge import class_thresholds, confusions, mask_scoring, region_ranking
from core.judge.differing_pixels import DifferingPixels, MaskPair
from core.judge.mask_scoring import LEVELS
from core.types import EVERY_FOLD, ByteArray, FloatArray, IntArray, ignore_of

_STRIDE = 4  # every 16th pixel is enough for a mean
_PERCENT = class_thresholds.level_of(np.arange(LEVELS) / (LEVELS - 1))
_SUMS = (
    "confusion", "by_fold", "every", "right", "seen", "likely", "classes_every", "classes_right", "classes_open",
)  # fmt: skip
_WORST = 50  # images
_BINS = 10  # of confidence, in the calibration
_FEWEST_PIXELS = 500  # of every 16th: more than those of one object


@dataclass(slots=True, eq=False)
class Tally:
    """Counts over some images; tallies of different images can be added."""

    classes: int
    folds: int
    at_boundary: int = 0  # regions
    tiny: int = 0  # regions
    confusion: IntArray = field(init=False)  # (K, K) pixels, given x predicted
    by_fold: IntArray = field(init=False)  # (F, 2) pixels: agreeing, all
    every: IntArray = field(init=False)  # (256,) pixels away from borders by confidence
    right: IntArray = field(init=False)  # (256,) those of them on which prediction and given mask agree
    seen: IntArray = field(init=False)  # (K,) of every 16th pixel those of each given class
    likely: IntArray = field(init=False)  # (K,) the sum of their p(given), in 255ths
    classes_every: IntArray = field(init=False)  # (K, L) every 16th labelled pixel, by predicted class and percent
    classes_right: IntArray = field(init=False)  # (K, L) those of them that agree
    classes_open: IntArray = field(init=False)  # (K, L) every 16th unlabelled pixel

    def __post_init__(self) -> None:
        """Set all counts to 0."""
        self.confusion = np.zeros((self.classes, self.classes), np.int64)
        self.by_fold = np.zeros((self.folds, 2), np.int64)
        self.every, self.right = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
        self.seen, self.likely = np.zeros(self.classes, np.int64), np.zeros(self.classes, np.int64)
        shape = (self.classes, class_thresholds.LEVELS)
        self.classes_every, self.classes_right, self.classes_open = (np.zeros(shape, np.int64) for _ in range(3))

    def __iadd__(self, other: "Tally") -> Self:
        """Add the counts over other images."""
        self.at_boundary += other.at_boundary
        self.tiny += other.tiny
        for name in _SUMS:
            mine: IntArray = getattr(self, name)
            mine += getattr(other, name)
        return self

    def count_pixels(self, pairs: Sequence[MaskPair], differing: DifferingPixels) -> None:
        """Count the pixels of some images by given and predicted class; in those of `differing` the masks differ.

        Raises:
            ValueError: a mask holds a class that is none of the K.
        """
        counts = np.stack([mask_scoring.class_counts(pair.given, self.classes) for pair in pairs])
        mask_scoring.add_confusion(self.confusion, counts.sum(axis=0), differing)
        known = counts.sum(axis=1)
        for pair, every, wrong in zip(pairs, known, np.diff(differing.bounds), strict=True):
            if pair.fold != EVERY_FOLD:
                self.by_fold[pair.fold] += (every - wrong, every)
        if deciding := [pair for pair in pairs if pair.decides]:
            self._count_sampled(deciding)

    def _count_sampled(self, pairs: Sequence[MaskPair]) -> None:
        """Add p(given) of each given class, and the agreement of predictions of each class and confidence."""
        given, predicted, confidence, likely = (
            np.concatenate([_strided(getattr(pair, name)) for pair in pairs])
            for name in ("given", "predicted", "confidence", "given_probability")
        )
        known = np.flatnonzero(given != ignore_of(given))
        given, predicted, percent = given[known], predicted[known].astype(np.int64), _PERCENT[confidence[known]]
        self.seen += np.bincount(given, minlength=self.classes)
        self.likely += np.bincount(given, weights=likely[known], minlength=self.classes).astype(np.int64)
        halves = predicted + (given == predicted) * self.classes  # the second half of the rows: those that agree
        wrong, right = np.split(class_thresholds.level_counts(halves, percent, 2 * self.classes), 2)
        self.classes_every += wrong + right
        self.classes_right += right

    def count_agreement(self, pairs: Sequence[MaskPair], every: IntArray, right: IntArray) -> None:
        """Count the images' pixels by confidence, both (I, 256)."""
        deciding = np.array([pair.decides for pair in pairs], np.bool_)
        self.every += every[deciding].sum(axis=0)
        self.right += right[deciding].sum(axis=0)

    def count_unlabelled(self, predicted: IntArray, confidence: ByteArray) -> None:
        """Count the predictions on unlabelled pixels, both (H, W); IGNORE elsewhere."""
        classes, percent = _strided(predicted), _PERCENT[_strided(confidence)]
        there = classes != ignore_of(predicted)
        self.classes_open += class_thresholds.level_counts(classes[there], percent[there], self.classes)


class Tallies:
    """One tally per counting thread."""

    def __init__(self, classes: int, folds: int) -> None:
        """Start without tallies."""
        self._own = local()
        self._all: list[Tally] = []
        self._make: Callable[[], Tally] = lambda: Tally(classes, folds)

    def mine(self) -> Tally:
        """Return the tally of the calling thread."""
        tally: Tally | None = getattr(self._own, "tally", None)
        if tally is None:
            tally = self._own.tally = self._make()
            self._all.append(tally)
        return tally

    def total(self) -> Tally:
        """Return the sum of all tallies, after their threads have ended."""
        total = self._all.pop() if self._all else self._make()
        while self._all:
            total += self._all.pop()
        return total


class JudgedRegion(Protocol):
    """Attributes of a finding that the figures are computed from."""

    @property
    def given(self) -> int:
        """Given class."""

    @property
    def pseudo(self) -> int:
        """Predicted class."""

    @property
    def confidence(self) -> float:
        """Mean probability of the predicted class."""


def round_metrics(
    snapshot: Snapshot, tally: Tally, findings: Sequence[JudgedRegion], scores: FloatArray
) -> dict[str, Any]:
    """Return the figures of the round's page, all JSON values; `scores` are the images', (N,)."""
    confusion = tally.confusion
    usual = region_ranking.typical_confidence(tally.seen, tally.likely)
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
        "wobble_regions": tally.at_boundary,
        "tiny_regions": tally.tiny,
        "worst_images": _worst_images(snapshot, scores),
        "proposed_threshold": proposal["threshold"],
        "proposal": proposal,
        "class_thresholds": class_thresholds.as_json(
            class_thresholds.estimate(
                tally.classes_every, tally.classes_right, tally.classes_open, fewest=_FEWEST_PIXELS
            )
        ),
    }


def _strided(array: IntArray) -> IntArray:
    """Return every 16th pixel of an image, (P,)."""
    return array[::_STRIDE, ::_STRIDE].ravel()


def _calibration(tally: Tally) -> list[dict[str, float]]:
    """Return the agreement with given masks by bins of confidence, in the form of `calibration.reliability`."""
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
    labelled = [row for row, name in enumerate(masks_of(snapshot).labels) if name]
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
