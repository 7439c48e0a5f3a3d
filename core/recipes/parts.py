"""Which image of a dataset plays which part in cross training: by its mask and its tags, its split, or a list.

Images with a mask are learnt from, images with tags and no mask are painted. Nothing of a split that judges is learnt
from. Where lists or a number choose the labelled ones, the rest plays images without a mask, whose tags are what was
said or else what their masks, otherwise hidden, show; so an experiment needs no other dataset.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.config import CrossTrainingSettings
from core.data.masks.store import MaskStore, classes_in
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path
from core.recipes.data import RecipeData, listed, rows_of
from core.recipes.tags import BoolArray, given_mask, masks_of
from core.types import DatasetError, IntArray, RoundError

_FILE = "parts.npz"
_ROWS = ("labelled", "unlabelled", "validation", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a run works on: the rows of each part, and the tags of the unlabelled ones, (N, K)."""

    data: RecipeData
    tags: BoolArray

    def save(self, folder: Path) -> None:
        """Write them beside the snapshot: a split or a list may change before they are asked for again."""
        rows = {name: getattr(self.data, name) for name in _ROWS}
        with atomic_path(folder / _FILE) as partial, partial.open("wb") as file:
            np.savez(file, tags=self.tags, **rows)

    @classmethod
    def load(cls, folder: Path) -> "Parts":
        """Return those of a round's folder.

        Raises:
            RoundError: there are none.
        """
        path = folder / _FILE
        if not path.exists():
            raise RoundError(f"{folder} does not say which image plays which part; start the round again")
        with np.load(path, allow_pickle=False) as columns:
            rows = {name: columns[name] for name in _ROWS}
            return cls(RecipeData(snapshot=Snapshot.load(folder), **rows), columns["tags"])


def parts_of(snapshot: Snapshot, splits: Sequence[str], settings: CrossTrainingSettings, store: MaskStore) -> Parts:
    """Return the part of each image; `splits` are theirs, (N,). What is protected is of the test as well.

    Raises:
        DatasetError: there is nothing to learn from or to paint, or a list names what is not there; says the cure.
    """
    masked = np.array([name != "" for name in masks_of(snapshot).labels], np.bool_)
    tags = np.zeros((len(snapshot), len(snapshot.classes)), np.bool_) if snapshot.tags is None else snapshot.tags.copy()
    tagged: BoolArray = tags.sum(axis=1) > 0
    apart = ~snapshot.learnable
    tests = _among(splits, [] if settings.test_list else _names(settings.test_split))
    if snapshot.protected is not None:
        tests |= snapshot.protected
    validations = _among(splits, [] if settings.validation_list else _names(settings.validation_split))
    validations &= ~tests & ~apart
    test = _part(snapshot, settings.test_list, tests & masked)
    validations[test] = False
    validation = _part(snapshot, settings.validation_list, validations & masked)
    judging: BoolArray = tests | validations | apart
    judging[test] = judging[validation] = True
    labelled = _labelled(snapshot, settings, np.flatnonzero(masked & ~judging))
    chosen = bool(settings.labelled_list or settings.labelled_first)
    rest: BoolArray = ~judging & (tagged | masked if chosen else tagged & ~masked)
    rest[labelled] = False
    unlabelled = np.flatnonzero(rest)
    if not len(labelled):
        raise DatasetError("no image outside the test and validation splits has a mask; paint or import a few first")
    if not len(unlabelled):
        raise DatasetError(
            "no image without a mask has tags; tag some on the Tags page or with `tags import`, or learn from fewer "
            "masks: labelled_first"
        )
    for row in unlabelled[~tagged[unlabelled]].tolist():
        tags[row, classes_in(given_mask(snapshot, store, row))] = True
    data = RecipeData(snapshot=snapshot, labelled=labelled, unlabelled=unlabelled, validation=validation, test=test)
    return Parts(data, tags)


def _among(splits: Sequence[str], names: Collection[str]) -> BoolArray:
    return np.array([split in names for split in splits], np.bool_)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _part(snapshot: Snapshot, file: str, otherwise: BoolArray) -> IntArray:
    """Return the rows that a list names, those of `otherwise` where there is no list."""
    return np.sort(rows_of(snapshot, listed(Path(file)))) if file else np.flatnonzero(otherwise)


def _labelled(snapshot: Snapshot, settings: CrossTrainingSettings, otherwise: IntArray) -> IntArray:
    first = settings.labelled_first or None
    if settings.labelled_list:
        return np.sort(rows_of(snapshot, listed(Path(settings.labelled_list), first)))
    if first is not None and len(otherwise) < first:
        raise DatasetError(f"{len(otherwise)} images have a mask, the first {first} are asked for; ask for fewer")
    return otherwise[:first]
