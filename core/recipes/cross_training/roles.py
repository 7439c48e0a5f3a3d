"""Roles of a dataset's images in cross-training, by mask, tags, split, or a list.

Images with a mask are trained on; images with tags and no mask, or an unfinished one, are painted. Test and validation
splits and their groups are excluded from training; the image lists of the settings are used as they are. Where lists or
a number select the labelled images, the others count as images without a mask, with their own tags or else the classes
of their masks, which stay hidden; so an experiment needs no other dataset.

Tags are (N, K) bool, a row for every sample; rows of samples without a role may be all False.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.config import CrossTrainingSettings
from core.data.masks.store import MaskStore, classes_in
from core.data.snapshot import BoolArray, Snapshot, masks_of
from core.judge.open_pixels import given_and_settled, is_begun, open_share
from core.recipes.data import (
    RecipeData,
    given_mask,
    in_evaluation_splits,
    load_parts,
    read_list,
    rows_of,
    save_parts,
)
from core.types import NO_LABEL, DatasetError, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Rows of each role, and the tags of the unlabelled ones, (N, K).

    `begun` are the unlabelled rows with an unfinished mask, (M,), whose labelled pixels are trained on.
    """

    data: RecipeData
    tags: BoolArray
    begun: IntArray

    def save(self, folder: Path) -> None:
        """Write the roles into a round's folder."""
        save_parts(folder, self.data, tags=self.tags, begun=self.begun)

    @classmethod
    def load(cls, folder: Path) -> "Parts":
        """Return the roles from a round's folder.

        Raises:
            RoundError: there are none.
        """
        data, columns = load_parts(folder)
        return cls(data, columns["tags"].astype(np.bool_), columns.get("begun", np.empty(0, np.int64)))


def parts_of(snapshot: Snapshot, splits: Sequence[str], settings: CrossTrainingSettings, store: MaskStore) -> Parts:
    """Return the role of each image; `splits` are theirs, (N,). Evaluation splits are part of the test set.

    Raises:
        DatasetError: there is nothing to train on or to paint, or a list names a missing image.
        RoundError: a mask cannot be read; names the image.
    """
    masked = np.array([name != "" for name in masks_of(snapshot).labels], np.bool_)
    tags = np.zeros((len(snapshot), len(snapshot.classes)), np.bool_) if snapshot.tags is None else snapshot.tags.copy()
    tagged: BoolArray = tags.sum(axis=1) > 0
    begun = _begun(snapshot, tags, store)
    finished: BoolArray = masked & ~begun & (snapshot.labels != NO_LABEL)  # without any class there is nothing to learn
    apart = ~snapshot.learnable
    tests = _in_splits(splits, [] if settings.test_list else _names(settings.test_split))
    tests |= in_evaluation_splits(snapshot, splits)
    validations = _in_splits(splits, [] if settings.validation_list else _names(settings.validation_split))
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
            "no image outside the test and validation splits has a finished mask", "paint or import a few first"
        )
    if not len(unlabelled):
        raise DatasetError(
            "no image without a mask has tags",
            "tag some on the Tags page or with `tags import`, or learn from fewer masks: labelled_first",
        )
    for row in unlabelled[~tagged[unlabelled]].tolist():
        tags[row, classes_in(given_mask(snapshot, store, row))] = True
    data = RecipeData(snapshot=snapshot, labelled=labelled, unlabelled=unlabelled, validation=validation, test=test)
    return Parts(data, tags, unlabelled[begun[unlabelled]])


def image_tags(data: RecipeData, store: MaskStore, given: BoolArray | None, background: int | None) -> BoolArray:
    """Return the tags of all samples with a role, (N, K).

    Those of unlabelled samples are `given`, (N, K), or the classes of their hidden masks; those of the others are the
    classes of their masks. `background` is always tagged.

    Raises:
        DatasetError: an unlabelled image has no tags, or the tags have another shape.
    """
    snapshot = data.snapshot
    shape = (len(snapshot), len(snapshot.classes))
    if given is not None and given.shape != shape:
        raise DatasetError(f"the tags are {given.shape}, must be {shape}: images x classes")
    tags = np.zeros(shape, np.bool_)
    seen = [data.labelled, data.validation, data.test, *([data.unlabelled] if given is None else [])]
    for row in np.concatenate(seen).tolist():
        tags[row, classes_in(given_mask(snapshot, store, row))] = True
    if given is not None:
        tags[data.unlabelled] = given[data.unlabelled]
    bare = data.unlabelled[~tags[data.unlabelled].any(axis=1)].tolist()
    if bare:
        raise DatasetError(
            f"{snapshot.paths[bare[0]]} has no tags ({len(bare)} such images)",
            "tag the classes they show, or leave them out",
        )
    if background is not None:
        tags[:, background] = True
    return tags


def find_background(data: RecipeData, name: str) -> int | None:
    """Return the id of the background class of this name, None for "".

    Raises:
        DatasetError: there is no such class.
    """
    classes = data.snapshot.classes
    if name and name not in classes:
        raise DatasetError(
            f"background is {name!r}, which is not a class", f"name one of {', '.join(classes)}, or none"
        )
    return classes.index(name) if name else None


def _begun(snapshot: Snapshot, tags: BoolArray, store: MaskStore) -> BoolArray:
    """Return True for images that came without a mask and have an unfinished one, also by their tags, (N, K); (N,).

    The classes of such an image cannot be read from its mask, so it is in W, and its open pixels are painted.
    """
    masks = masks_of(snapshot)
    begun = np.zeros(len(snapshot), np.bool_)
    for row, name in enumerate(masks.labels):
        if name and masks.is_bare(row):
            given, settled = given_and_settled(snapshot, masks, store, row)
            missing = np.setdiff1d(np.flatnonzero(tags[row]), classes_in(given))
            begun[row] = is_begun(given, settled) or (len(missing) > 0 and open_share(given, settled) > 0)
    return begun


def _in_splits(splits: Sequence[str], names: Collection[str]) -> BoolArray:
    return np.array([split in names for split in splits], np.bool_)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _part(snapshot: Snapshot, file: str, otherwise: BoolArray) -> IntArray:
    """Return the rows that a list names, or those of `otherwise` without a list."""
    return np.sort(rows_of(snapshot, read_list(Path(file)))) if file else np.flatnonzero(otherwise)


def _labelled(snapshot: Snapshot, settings: CrossTrainingSettings, otherwise: IntArray) -> IntArray:
    first = settings.labelled_first or None
    if settings.labelled_list:
        return np.sort(rows_of(snapshot, read_list(Path(settings.labelled_list), first)))
    if first is not None and len(otherwise) < first:
        raise DatasetError(f"{len(otherwise)} images have a mask, the first {first} are asked for", "ask for fewer")
    return otherwise[:first]
