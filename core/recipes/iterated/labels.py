"""Scores, predictions and pseudo labels of the recipe "iterated", for classes and for masks.

A label is a class id, or the name of a mask in the recipe's own store; labels are dicts row -> label. N samples, K
classes. Level i of L levels of confidence is i / (L - 1).

Pseudo masks are also written as in T. Petrac's program, in the classes' colours: `camvid/unlabeled/train_pseudoIt{n}/`,
with the names of the images, and `camvid/classes.csv` with the colours and IGNORE.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from core.data.arrays import extents
from core.data.formats.mask_pairs import save_mask
from core.data.masks.classes import write_classes
from core.data.masks.colours import class_table, paint_colours
from core.data.masks.items import MaskItem, place_in
from core.data.masks.store import MaskStore
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot, masks_of
from core.judge import calibration
from core.learn.crossfold import FoldOutput, Predict
from core.learn.painting import Canvas, mask_of
from core.recipes.data import given_mask, with_masks
from core.recipes.scores import Score, empty_confusion, image_confusion
from core.types import NO_LABEL, ClassTable, FloatArray, IntArray, Task, mask_dtype

Label = int | str
Labels = dict[int, Label]
_FINE_LEVELS = 10_001  # of the confidence of an image
_PIXEL_LEVELS = 256  # of the confidence of a pixel, a byte
HEAVIEST = 254  # of a pixel's weight: the last byte is IGNORE


class LabelOperations(Protocol):
    """Operations on one kind of label."""

    levels: int
    has_pixels: bool

    def known(self, rows: IntArray) -> Labels:
        """Return the given labels of these rows."""

    def showing(self, labels: Labels) -> Snapshot:
        """Return the snapshot with these labels and no others."""

    def score(self, rows: IntArray, predict: Predict) -> Score:
        """Return the score of the predictions of these rows against their given labels."""

    def predictions(
        self, kept: FoldOutput, rows: IntArray, folder: Path, /
    ) -> Iterator[tuple[int, IntArray, IntArray]]:
        """Yield each of the rows predicted into `folder`, with classes and levels, () or (H, W) each."""

    def pseudo(self, classes: IntArray, levels: IntArray, least: IntArray) -> Label | None:
        """Return the label of an image if its levels reach `least` of the predicted class, (K,); else None."""

    def weights(self, levels: IntArray, /) -> Label:
        """Return the name of the weights of an image's pixels by these levels; there are none without pixels."""

    def publish(self, folder: Path, labels: Labels, table: ClassTable | None, /) -> None:
        """Write masks as files into a folder, in the colours of `table`; class labels are not written."""


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """Operations on class labels: one class per image."""

    snapshot: Snapshot
    levels: int = _FINE_LEVELS
    has_pixels: bool = False

    def known(self, rows: IntArray) -> Labels:
        """Return the given classes."""
        return {row: int(self.snapshot.labels[row]) for row in rows.tolist()}

    def showing(self, labels: Labels) -> Snapshot:
        """Return the snapshot with these classes and no others."""
        shown = np.full(len(self.snapshot), NO_LABEL, np.int32)
        shown[list(labels)] = [int(label) for label in labels.values()]
        return replace(self.snapshot, labels=shown)

    def score(self, rows: IntArray, predict: Predict) -> Score:
        """Return the accuracy, and how likely the given classes are under the temperature that suits them best."""
        logits = np.concatenate([own.cpu().numpy() for _, own in predict(rows, "predicting")]).astype(np.float32)
        given, classes = self.snapshot.labels[rows].astype(np.int64), len(self.snapshot.classes)
        counts = np.bincount(given * classes + logits.argmax(axis=1), minlength=classes**2)
        probs = calibration.probabilities(logits, calibration.temperature(logits, given))
        likely = np.log(np.maximum(probs[np.arange(len(given)), given], np.finfo(np.float32).tiny)).mean()
        return replace(Score.of_classes(counts.reshape(classes, classes)), log_likelihood=float(likely))

    def predictions(
        self, kept: FoldOutput, rows: IntArray, _folder: Path, /
    ) -> Iterator[tuple[int, IntArray, IntArray]]:
        """Yield classes and levels, calibrated on the labelled images that were predicted with them."""
        probs = probabilities(kept, self.snapshot, len(rows))[: len(rows)]
        levels = np.rint(probs.max(axis=1) * (self.levels - 1)).astype(np.int64)
        yield from zip(rows.tolist(), probs.argmax(axis=1), levels, strict=True)

    def pseudo(self, classes: IntArray, levels: IntArray, least: IntArray) -> Label | None:
        """Return the class, or None below its least level."""
        return int(classes) if levels >= least[classes] else None

    def weights(self, _levels: IntArray, /) -> Label:
        """Refuse: an image has one confidence, and is learnt or not.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("class labels have no pixels to weigh")

    def publish(self, _folder: Path, _labels: Labels, _table: ClassTable | None, /) -> None:
        """Write nothing: class labels are not files."""


@dataclass(frozen=True, slots=True)
class MaskLabels:
    """Operations on masks: one class a pixel. `given` is the store of given masks, `own` the recipe's, with copies."""

    snapshot: Snapshot
    given: MaskStore
    own: MaskStore
    input_size: int
    levels: int = _PIXEL_LEVELS
    has_pixels: bool = True

    def known(self, rows: IntArray) -> Labels:
        """Return the given masks, copied."""
        return {row: self.own.put(self._true(row), durable=False) for row in rows.tolist()}

    def showing(self, labels: Labels) -> Snapshot:
        """Return the snapshot with these masks and no others."""
        shown = with_masks(self.snapshot, {row: str(name) for row, name in labels.items()})
        rows = np.array(list(labels), np.int64)
        classes = np.full(len(self.snapshot), NO_LABEL, np.int32)
        classes[rows] = np.maximum(self.snapshot.labels[rows], 0)  # any class, to mark the row as labelled
        return replace(shown, labels=classes)

    def score(self, rows: IntArray, predict: Predict) -> Score:
        """Return the mean IoU, of pixels at the images' own size."""
        sizes, classes = masks_of(self.snapshot).sizes, len(self.snapshot.classes)
        canvas = Canvas(extents(sizes, self.input_size), sizes)
        total = empty_confusion(classes)
        for some, logits in predict(rows, "predicting"):
            for row, own in zip(some.tolist(), logits, strict=True):
                total += image_confusion(self._true(row), mask_of(own, canvas, row), classes)
        return Score.of_masks(total)

    def predictions(
        self, _kept: FoldOutput, rows: IntArray, folder: Path, /
    ) -> Iterator[tuple[int, IntArray, IntArray]]:
        """Yield each image's predicted mask and its confidences."""
        written = read_predictions(folder, masks_of(self.snapshot).sizes)
        for row in rows.tolist():
            predicted, confidence, _ = written.of(row)
            yield row, predicted, confidence

    def pseudo(self, classes: IntArray, levels: IntArray, least: IntArray) -> Label | None:
        """Return the name of the mask, IGNORE below the least levels; None if all of it is IGNORE."""
        sure = levels >= least[classes]
        if not sure.any():
            return None
        dtype = mask_dtype(len(self.snapshot.classes))
        return self.own.put(np.where(sure, classes, np.iinfo(dtype).max).astype(dtype), durable=False)

    def weights(self, levels: IntArray, /) -> Label:
        """Return the name of a mask of the levels, 0 to 254."""
        return self.own.put(np.minimum(levels, HEAVIEST).astype(np.uint8), durable=False)

    def publish(self, folder: Path, labels: Labels, table: ClassTable | None, /) -> None:
        """Write the masks in colours."""
        write_pseudo_masks(folder, self.snapshot, {row: str(name) for row, name in labels.items()}, self.own, table)

    def _true(self, row: int) -> IntArray:
        return given_mask(self.snapshot, self.given, row)


def probabilities(kept: FoldOutput, snapshot: Snapshot, count: int) -> FloatArray:
    """Return the probabilities of all predicted rows, (M, K), calibrated on those after the first `count`.

    The latter have given labels in the snapshot, at the rows in the column "rows".
    """
    rows, logits = kept.columns["rows"], kept.columns["logits"]
    temperature = calibration.temperature(logits[count:], snapshot.labels[rows[count:]].astype(np.int64))
    return calibration.probabilities(logits.astype(np.float32), temperature)


def label_operations(snapshot: Snapshot, input_size: int, given: Path | None, own: Path) -> LabelOperations:
    """Return the operations on a snapshot's kind of label; `given` and `own` are folders of stores of masks."""
    stores = MaskStore(given or own), MaskStore(own)
    kinds: Mapping[Task, Any] = {
        Task.CLASSIFICATION: lambda: ClassLabels(snapshot),
        Task.SEGMENTATION: lambda: MaskLabels(snapshot, *stores, input_size),
    }
    made: LabelOperations = kinds[snapshot.task]()
    return made


def pseudo_folder(folder: Path, iteration: int) -> Path:
    """Return the folder of an iteration's pseudo masks, counted from 1, below the recipe's folder."""
    return folder / "camvid" / "unlabeled" / f"train_pseudoIt{iteration}"


def write_pseudo_masks(
    target: Path, snapshot: Snapshot, labels: dict[int, str], store: MaskStore, table: ClassTable | None
) -> None:
    """Write masks, row -> name in `store`, into an iteration's `pseudo_folder`; missing colours are generated."""
    target.mkdir(parents=True, exist_ok=True)
    colours, ignored = write_classes(target.parents[1], table or class_table(snapshot.classes))
    rows = sorted(labels)
    items = [MaskItem(Path(snapshot.paths[row]).name, "", Path(snapshot.paths[row]), 0, 0, None) for row in rows]
    for row, name in zip(rows, place_in(items, lambda _: ""), strict=True):
        mask = paint_colours(store.get(labels[row]), colours.colours, ignored)
        save_mask(target / name, Image.fromarray(mask))
