"""Which image of a dataset plays which part in the recipe "iterated": by its label, its split, its group.

What judges (the test, the validation, what is protected) is never learnt from, nor is anything of its groups; an image
without a label in such a group is only asked about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.config import IteratedSettings
from core.data.snapshot import BoolArray, Snapshot
from core.learn.folds import deal
from core.recipes.data import RecipeData, load_parts, of_evaluation_splits, save_parts
from core.types import DatasetError, IntArray

_FEWEST_GROUPS = 2  # to learn from one and choose by the other


@dataclass(frozen=True, slots=True, eq=False)
class IteratedParts:
    """The rows of each part, and the rows that have no label, (M,), of which all are asked about."""

    data: RecipeData
    asked: IntArray

    def save(self, folder: Path) -> None:
        """Write them into a round's folder."""
        save_parts(folder, self.data, asked=self.asked)

    @classmethod
    def load(cls, folder: Path) -> "IteratedParts":
        """Return those of a round's folder.

        Raises:
            RoundError: there are none.
        """
        data, beside = load_parts(folder)
        return cls(data, beside["asked"])


def iterated_parts(snapshot: Snapshot, splits: Sequence[str], settings: IteratedSettings, seed: int) -> IteratedParts:
    """Return the part of each image; `splits` are theirs, (N,). What evaluation splits have labelled is tested on.

    Raises:
        DatasetError: there is nothing to learn from, to choose by or to label; says the cure.
    """
    count = len(snapshot)
    known = np.array([snapshot.is_labelled(row) for row in range(count)], np.bool_)
    groups, own = snapshot.whole_groups(), np.array(splits)
    tests: BoolArray = known & (own == settings.test_split) if settings.test_split else np.zeros(count, np.bool_)
    tests |= of_evaluation_splits(snapshot, splits) & known
    free: BoolArray = snapshot.learnable & ~np.isin(groups, groups[tests])
    if settings.validation_split:
        validation: IntArray = np.flatnonzero(known & free & (own == settings.validation_split))
        if not len(validation):
            raise DatasetError(
                f"the split {settings.validation_split!r} has no labelled image that may be chosen by; name another one"
            )
    else:
        validation = _drawn(snapshot, np.flatnonzero(known & free), groups, settings.validation_share, seed)
    free &= ~np.isin(groups, groups[validation])
    labelled, unlabelled = np.flatnonzero(known & free), np.flatnonzero(~known & free)
    if not len(labelled):
        raise DatasetError("no labelled image is left to learn from beside those that judge; label more images")
    if not len(unlabelled):
        raise DatasetError(
            "no image without a label is left to learn from; import images without labels, or choose another recipe"
        )
    test = np.flatnonzero(tests)
    data = RecipeData(snapshot=snapshot, labelled=labelled, unlabelled=unlabelled, validation=validation, test=test)
    return IteratedParts(data, np.flatnonzero(~known))


def _drawn(snapshot: Snapshot, rows: IntArray, groups: IntArray, share: float, seed: int) -> IntArray:
    """Return a share of these rows, their classes in proportion and their groups whole."""
    apart = len(np.unique(groups[rows]))
    if apart < _FEWEST_GROUPS:
        raise DatasetError(
            f"{len(rows)} labelled images of {apart} groups are too few to learn from some and choose by others; label "
            "more images, or name a split for validation"
        )
    folds = min(apart, max(_FEWEST_GROUPS, round(1 / share)))
    dealt = deal(snapshot.sample_ids[rows], snapshot.labels[rows], groups[rows], folds=folds, seed=seed)
    chosen: IntArray = rows[dealt == 0]
    return chosen
