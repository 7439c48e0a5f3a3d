"""Which image of a dataset plays which part in cross training: by its mask and its tags, its split, or a list.

Images with a mask are learnt from, images with tags and no mask, or one that is merely begun, are painted. Nothing of
a split that judges is learnt from, nor of the groups of what judges; a list of labelled images is taken at its word.
Where lists or a number choose the labelled ones, the rest plays images without a mask, whose tags are what was said or
else what their masks, otherwise hidden, show; so an experiment needs no other dataset.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.config import CrossTrainingSettings
from core.data.masks.store import MaskStore, classes_in
from core.data.snapshot import Snapshot
from core.judge.still_open import given_and_settled, is_begun, open_share
from core.recipes.data import RecipeData, listed, load_parts, of_evaluation_splits, rows_of, save_parts
from core.recipes.tags import BoolArray, given_mask, masks_of
from core.types import NO_LABEL, DatasetError, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a run works on: the rows of each part, and the tags of the unlabelled ones, (N, K).

    `begun` are the unlabelled rows that people have begun to paint, (M,): what is known of them teaches too.
    """

    data: RecipeData
    tags: BoolArray
    begun: IntArray

    def save(self, folder: Path) -> None:
        """Write them into a round's folder."""
        save_parts(folder, self.data, tags=self.tags, begun=self.begun)

    @classmethod
    def load(cls, folder: Path) -> "Parts":
        """Return those of a round's folder.

        Raises:
            RoundError: there are none.
        """
        data, beside = load_parts(folder)
        return cls(data, beside["tags"].astype(np.bool_), beside.get("begun", np.empty(0, np.int64)))


def parts_of(snapshot: Snapshot, splits: Sequence[str], settings: CrossTrainingSettings, store: MaskStore) -> Parts:
    """Return the part of each image; `splits` are theirs, (N,). Evaluation splits are of the test as well.

    Raises:
        DatasetError: there is nothing to learn from or to paint, or a list names what is not there; says the cure.
        RoundError: a mask cannot be read; names the image.
    """
    masked = np.array([name != "" for name in masks_of(snapshot).labels], np.bool_)
    tags = np.zeros((len(snapshot), len(snapshot.classes)), np.bool_) if snapshot.tags is None else snapshot.tags.copy()
    tagged: BoolArray = tags.sum(axis=1) > 0
    begun = _begun(snapshot, tags, store)
    finished: BoolArray = masked & ~begun & (snapshot.labels != NO_LABEL)  # one without any class teaches nothing
    apart = ~snapshot.learnable
    tests = _among(splits, [] if settings.test_list else _names(settings.test_split))
    tests |= of_evaluation_splits(snapshot, splits)
    validations = _among(splits, [] if settings.validation_list else _names(settings.validation_split))
    validations &= ~tests & ~apart
    test, groups = _part(snapshot, settings.test_list, tests & finished), snapshot.whole_groups()
    validations &= ~np.isin(groups, groups[test])
    validation = _part(snapshot, settings.validation_list, validations & finished)
    of_judges = np.isin(groups, groups[np.concatenate([test, validation])])
    judging: BoolArray = tests | validations | apart | of_judges
    labelled = _labelled(snapshot, settings, np.flatnonzero(finished & ~judging))
    chosen = bool(settings.labelled_list or settings.labelled_first)
    rest: BoolArray = ~judging & (tagged | finished if chosen else tagged & ~finished)
    rest[labelled] = False
    unlabelled = np.flatnonzero(rest)
    if not len(labelled):
        raise DatasetError(
            "no image outside the test and validation splits has a finished mask; paint or import a few first"
        )
    if not len(unlabelled):
        raise DatasetError(
            "no image without a mask has tags; tag some on the Tags page or with `tags import`, or learn from fewer "
            "masks: labelled_first"
        )
    for row in unlabelled[~tagged[unlabelled]].tolist():
        tags[row, classes_in(given_mask(snapshot, store, row))] = True
    data = RecipeData(snapshot=snapshot, labelled=labelled, unlabelled=unlabelled, validation=validation, test=test)
    return Parts(data, tags, unlabelled[begun[unlabelled]])


def _begun(snapshot: Snapshot, tags: BoolArray, store: MaskStore) -> BoolArray:
    """Return which images came without a mask and have been painted in part, (N,): their tags, (N, K), may say so too.

    What they show cannot be read off such a mask: it is W's, and the rest of it is painted.
    """
    masks = masks_of(snapshot)
    begun = np.zeros(len(snapshot), np.bool_)
    for row, name in enumerate(masks.labels):
        if name and masks.is_bare(row):
            given, settled = given_and_settled(snapshot, masks, store, row)
            missing = np.setdiff1d(np.flatnonzero(tags[row]), classes_in(given))
            begun[row] = is_begun(given, settled) or (len(missing) > 0 and open_share(given, settled) > 0)
    return begun


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
