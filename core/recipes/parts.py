"""Which image of a dataset plays which part in cross training: by its mask and its tags, its split, or a list.

Images with a mask are learnt from, images with tags and no mask are painted. Nothing of a split that judges is learnt
from, nor of the groups of what judges; a list of labelled images is taken at its word. Where lists or a number choose
the labelled ones, the rest plays images without a mask, whose tags are what was said or else what their masks,
otherwise hidden, show; so an experiment needs no other dataset.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.config import CrossTrainingSettings
from core.data.masks.store import MaskStore, classes_in
from core.data.snapshot import Snapshot
from core.recipes.data import RecipeData, listed, load_parts, rows_of, save_parts
from core.recipes.tags import BoolArray, given_mask, masks_of
from core.types import DatasetError, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a run works on: the rows of each part, and the tags of the unlabelled ones, (N, K)."""

    data: RecipeData
    tags: BoolArray

    def save(self, folder: Path) -> None:
        """Write them into a round's folder."""
        save_parts(folder, self.data, tags=self.tags)

    @classmethod
    def load(cls, folder: Path) -> "Parts":
        """Return those of a round's folder.

        Raises:
            RoundError: there are none.
        """
        data, tags = load_parts(folder, "tags")
        return cls(data, tags.astype(np.bool_))


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
    test, groups = _part(snapshot, settings.test_list, tests & masked), snapshot.whole_groups()
    validations &= ~np.isin(groups, groups[test])
    validation = _part(snapshot, settings.validation_list, validations & masked)
    of_judges = np.isin(groups, groups[np.concatenate([test, validation])])
    judging: BoolArray = tests | validations | apart | of_judges
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
