"""Ceiling of a round with few labels, if an earlier round of the dataset sets it.

It is the score of a finished round in folds on the validation images, out of fold, when nearly all images that now
are trained on had a label, for example before an import was undone. Without such a round there is no ceiling. Its
network may be another one, so it is named beside the value.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from core.data.masks.store import MaskStore
from core.data.predictions import read_predictions
from core.data.snapshot import SNAPSHOT, Snapshot, masks_of
from core.data.storage import write_atomically
from core.judge.stored_probabilities import stored_probabilities
from core.recipes.data import RecipeData, given_mask
from core.recipes.scores import Score, empty_confusion, image_confusion
from core.types import IntArray, Task

_FILE = "ceiling.json"
LEAST_LABELLED = 0.95  # share of the images that teach now, with a label then


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """Result of networks that learnt nearly all labels, on the validation images: accuracy, or mean IoU of masks."""

    value: float
    source: str  # name of that round


def known_ceiling(folder: Path, data: RecipeData, masks: Path) -> float | None:
    """Return the ceiling set by the finished round of the same dataset in `folder`; None if it sets none.

    `masks` is the store of the given masks, if labels are masks.
    """
    if not (folder / SNAPSHOT).exists():
        return None
    then = Snapshot.load(folder)
    place = {number: row for row, number in enumerate(then.sample_ids.tolist())}
    taught, judged = (
        [place.get(number, -1) for number in data.snapshot.sample_ids[rows].tolist()]
        for rows in (np.concatenate([data.labelled, data.unlabelled]), data.validation)
    )
    labelled = sum(row >= 0 and then.is_labelled(row) and bool(then.learnable[row]) for row in taught)
    known = all(row >= 0 and then.is_labelled(row) for row in judged)
    if not judged or not known or labelled < LEAST_LABELLED * len(taught) or then.classes != data.snapshot.classes:
        return None
    try:
        return _SCORES[data.snapshot.task](folder, then, np.array(judged), data, masks).value
    except FileNotFoundError:
        return None  # removed since


def write_ceiling(folder: Path, ceiling: Ceiling) -> None:
    """Write the ceiling into a round's folder."""
    write_atomically(folder / _FILE, json.dumps(asdict(ceiling)).encode())


def read_ceiling(folder: Path) -> Ceiling | None:
    """Return the ceiling in a round's folder, None if unknown."""
    try:
        return Ceiling(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _score_of_classes(folder: Path, then: Snapshot, judged: IntArray, data: RecipeData, _masks: Path) -> Score:
    classes = len(then.classes)
    probs = stored_probabilities(folder, classes)
    given = data.snapshot.labels[data.validation].astype(np.int64)
    pairs = given * classes + probs[judged].argmax(axis=1)
    return Score.of_classes(np.bincount(pairs, minlength=classes**2).reshape(classes, classes))


def _score_of_masks(folder: Path, then: Snapshot, judged: IntArray, data: RecipeData, masks: Path) -> Score:
    written, store, classes = read_predictions(folder, masks_of(then).sizes), MaskStore(masks), len(then.classes)
    total = empty_confusion(classes)
    for row, own in zip(judged.tolist(), data.validation.tolist(), strict=True):
        predicted, _, _ = written.of(row)
        total += image_confusion(given_mask(data.snapshot, store, own), predicted, classes)
    return Score.of_masks(total)


_SCORES: Mapping[Task, Callable[[Path, Snapshot, IntArray, RecipeData, Path], Score]] = {
    Task.CLASSIFICATION: _score_of_classes,
    Task.SEGMENTATION: _score_of_masks,
}
