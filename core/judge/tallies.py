"""Counts over a round's masks, made image by image and added up at the end. K classes, F folds, I images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import local
from typing import Self

import numpy as np

from core.judge import bulk_thresholds, mask_scoring
from core.judge.differing import Differing, MaskPair
from core.judge.mask_scoring import LEVELS
from core.types import EVERY_FOLD, ByteArray, IntArray, ignore_of

_STRIDE = 4  # of every 16th pixel p(given) is averaged: a mean needs no more
_PERCENT = bulk_thresholds.level_of(np.arange(LEVELS) / (LEVELS - 1))
_SUMS = (
    "confusion", "by_fold", "every", "right", "seen", "likely", "classes_every", "classes_right", "classes_open",
)  # fmt: skip


@dataclass(slots=True, eq=False)
class Tally:
    """Counts over some images; tallies of different images add up."""

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
    classes_open: IntArray = field(init=False)  # (K, L) of each 16th unlabelled pixel

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

    def count_pixels(self, pairs: Sequence[MaskPair], differing: Differing) -> None:
        """Count the pixels of some images by given and predicted class; `differing` is where their masks differ.

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
        """Count how likely given classes are, and how often predictions of each class and confidence agree."""
        given, predicted, confidence, likely = (
            np.concatenate([_strided(getattr(pair, name)) for pair in pairs])
            for name in ("given", "predicted", "confidence", "given_probability")
        )
        known = np.flatnonzero(given != ignore_of(given))
        given, predicted, percent = given[known], predicted[known].astype(np.int64), _PERCENT[confidence[known]]
        self.seen += np.bincount(given, minlength=self.classes)
        self.likely += np.bincount(given, weights=likely[known], minlength=self.classes).astype(np.int64)
        halves = predicted + (given == predicted) * self.classes  # the second half of the rows: those that agree
        wrong, right = np.split(bulk_thresholds.counted(halves, percent, 2 * self.classes), 2)
        self.classes_every += wrong + right
        self.classes_right += right

    def count_agreement(self, pairs: Sequence[MaskPair], every: IntArray, right: IntArray) -> None:
        """Count the images' pixels by confidence, both (I, 256)."""
        deciding = np.array([pair.decides for pair in pairs], np.bool_)
        self.every += every[deciding].sum(axis=0)
        self.right += right[deciding].sum(axis=0)

    def count_unlabelled(self, predicted: IntArray, confidence: ByteArray) -> None:
        """Count the predictions on unlabelled pixels, both (H, W); IGNORE elsewhere."""
        named, percent = _strided(predicted), _PERCENT[_strided(confidence)]
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


def _strided(array: IntArray) -> IntArray:
    """Return every 16th pixel of an image, (P,)."""
    return array[::_STRIDE, ::_STRIDE].ravel()
