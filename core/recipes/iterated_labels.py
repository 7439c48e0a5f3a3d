"""What differs between classes and masks when a network labels images: how its answers are scored, read and kept.

A label is a class id, or the name of a mask in the recipe's own store; labels are dicts row -> label. N samples, K
classes. Confidence comes in levels, level i of L is i / (L - 1).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from core.data.canvases import extents
from core.data.masks.store import MaskStore
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot
from core.judge import calibration
from core.learn.cross_training.painting import Canvas, mask_of
from core.learn.crossfold import Kept, Predict
from core.recipes.cross_stages import showing
from core.recipes.pseudo_masks import write_pseudo_masks
from core.recipes.scores import Score, image_confusion, no_pixels
from core.recipes.tags import given_mask, masks_of
from core.types import NO_LABEL, ClassTable, FloatArray, IntArray, Task, mask_dtype

Label = int | str
Labels = dict[int, Label]

_FINE_LEVELS = 10_001  # of one image's confidence
_PIXEL_LEVELS = 256  # of a pixel's, which is a byte


class Labelling(Protocol):
    """What the recipe asks of a kind of label."""

    levels: int

    def known(self, rows: IntArray) -> Labels:
        """Return the labels these rows are given."""

    def showing(self, labels: Labels) -> Snapshot:
        """Return the snapshot with these labels and no others."""

    def confusion(self, rows: IntArray, predict: Predict) -> IntArray:
        """Return what is predicted of these rows against what they are given, (K, K) true x predicted."""

    def score(self, confusion: IntArray) -> Score:
        """Return what a confusion is worth."""

    def predictions(self, kept: Kept, rows: IntArray, folder: Path, /) -> Iterator[tuple[int, IntArray, IntArray]]:
        """Yield each of the rows that were predicted into `folder` with classes and levels, () or (H, W) each."""

    def pseudo(self, classes: IntArray, levels: IntArray, least: IntArray) -> Label | None:
        """Return the label of an image where its levels reach those of the predicted classes, (K,); None: nowhere."""

    def publish(self, folder: Path, labels: Labels, table: ClassTable | None, /) -> None:
        """Write labels as files into a folder, where their kind is kept so; `table` says the classes' colours."""


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """One class an image."""

    snapshot: Snapshot
    levels: int = _FINE_LEVELS

    def known(self, rows: IntArray) -> Labels:
        """Return the given classes."""
        return {row: int(self.snapshot.labels[row]) for row in rows.tolist()}

    def showing(self, labels: Labels) -> Snapshot:
        """Return the snapshot with these classes and no others."""
        shown = np.full(len(self.snapshot), NO_LABEL, np.int32)
        shown[list(labels)] = [int(label) for label in labels.values()]
        return replace(self.snapshot, labels=shown)

    def confusion(self, rows: IntArray, predict: Predict) -> IntArray:
        """Count images."""
        classes = len(self.snapshot.classes)
        counts = np.zeros(classes**2, np.int64)
        for some, logits in predict(rows, "predicting"):
            pairs = self.snapshot.labels[some].astype(np.int64) * classes + logits.argmax(dim=1).cpu().numpy()
            counts += np.bincount(pairs, minlength=classes**2)
        return counts.reshape(classes, classes)

    def score(self, confusion: IntArray) -> Score:
        """Return the accuracy."""
        return Score.of_classes(confusion)

    def predictions(self, kept: Kept, rows: IntArray, _folder: Path, /) -> Iterator[tuple[int, IntArray, IntArray]]:
        """Yield classes and levels; of images that were labelled beside them the temperature is fitted."""
        probs = probabilities(kept, self.snapshot, len(rows))[: len(rows)]
        levels = np.rint(probs.max(axis=1) * (self.levels - 1)).astype(np.int64)
        yield from zip(rows.tolist(), probs.argmax(axis=1), levels, strict=True)

    def pseudo(self, classes: IntArray, levels: IntArray, least: IntArray) -> Label | None:
        """Return the class, or None where it is not sure enough."""
        return int(classes) if levels >= least[classes] else None

    def publish(self, _folder: Path, _labels: Labels, _table: ClassTable | None, /) -> None:
        """Write nothing: classes are not kept as files."""


@dataclass(frozen=True, slots=True)
class MaskLabels:
    """One class a pixel. `given` is the store of the given masks, `own` that of the recipe, which gets copies."""

    snapshot: Snapshot
    given: MaskStore
    own: MaskStore
    input_size: int
    levels: int = _PIXEL_LEVELS

    def known(self, rows: IntArray) -> Labels:
        """Return the given masks, copied."""
        return {row: self.own.put(self._true(row), durable=False) for row in rows.tolist()}

    def showing(self, labels: Labels) -> Snapshot:
        """Return the snapshot with these masks and no others."""
        shown = showing(self.snapshot, {row: str(name) for row, name in labels.items()})
        rows = np.array(list(labels), np.int64)
        classes = np.full(len(self.snapshot), NO_LABEL, np.int32)
        classes[rows] = np.maximum(self.snapshot.labels[rows], 0)  # some class: only whether there is one is asked
        return replace(shown, labels=classes)

    def confusion(self, rows: IntArray, predict: Predict) -> IntArray:
        """Count pixels, at the images' own size."""
        sizes, classes = masks_of(self.snapshot).sizes, len(self.snapshot.classes)
        canvas = Canvas(extents(sizes, self.input_size), sizes)
        total = no_pixels(classes)
        for some, logits in predict(rows, "predicting"):
            for row, own in zip(some.tolist(), logits, strict=True):
                total += image_confusion(self._true(row), mask_of(own, canvas, row), classes)
        return total

    def score(self, confusion: IntArray) -> Score:
        """Return the mean IoU."""
        return Score.of_masks(confusion)

    def predictions(self, _kept: Kept, rows: IntArray, folder: Path, /) -> Iterator[tuple[int, IntArray, IntArray]]:
        """Yield each image's predicted mask and its confidences."""
        written = read_predictions(folder, masks_of(self.snapshot).sizes)
        for row in rows.tolist():
            predicted, confidence, _ = written.of(row)
            yield row, predicted, confidence

    def pseudo(self, classes: IntArray, levels: IntArray, least: IntArray) -> Label | None:
        """Return the name of the mask, IGNORE where it is not sure enough; None where that is everywhere."""
        sure = levels >= least[classes]
        if not sure.any():
            return None
        dtype = mask_dtype(len(self.snapshot.classes))
        return self.own.put(np.where(sure, classes, np.iinfo(dtype).max).astype(dtype), durable=False)

    def publish(self, folder: Path, labels: Labels, table: ClassTable | None, /) -> None:
        """Write the masks in colours."""
        write_pseudo_masks(folder, self.snapshot, {row: str(name) for row, name in labels.items()}, self.own, table)

    def _true(self, row: int) -> IntArray:
        return given_mask(self.snapshot, self.given, row)


def probabilities(kept: Kept, snapshot: Snapshot, count: int) -> FloatArray:
    """Return what was predicted of all rows, (M, K), by the temperature that suits those behind the first `count` best.

    The labels of these are given; they are rows of the snapshot too, see "rows".
    """
    rows, logits = kept.columns["rows"], kept.columns["logits"]
    temperature = calibration.temperature(logits[count:], snapshot.labels[rows[count:]].astype(np.int64))
    return calibration.probabilities(logits.astype(np.float32), temperature)


def labelling(snapshot: Snapshot, input_size: int, given: Path | None, own: Path) -> Labelling:
    """Return what a snapshot's kind of label asks for; `given` and `own` are folders of stores of masks."""
    stores = MaskStore(given or own), MaskStore(own)
    kinds: Mapping[Task, Any] = {
        Task.CLASSIFICATION: lambda: ClassLabels(snapshot),
        Task.SEGMENTATION: lambda: MaskLabels(snapshot, *stores, input_size),
    }
    made: Labelling = kinds[snapshot.task]()
    return made
