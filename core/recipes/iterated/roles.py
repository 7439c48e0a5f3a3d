"""Roles of a dataset's images in the recipe "iterated", by label, split and group.

Test, validation and protected images are excluded from training, with their groups; unlabelled images of such groups
are only predicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.config import IteratedSettings
from core.data.snapshot import BoolArray, Snapshot
from core.learn.folds import deal
from core.recipes.data import RecipeData, in_evaluation_splits, load_parts, save_parts
from core.types import DatasetError, IntArray

_FEWEST_GROUPS = 2  # one to train on, one to validate by


@dataclass(frozen=True, slots=True, eq=False)
class IteratedParts:
    """Rows of each role, and all unlabelled rows, (M,), which are predicted."""

    data: RecipeData
    to_predict: IntArray

    def save(self, folder: Path) -> None:
        """Write the roles into a round's folder."""
        save_parts(folder, self.data, asked=self.to_predict)

    @classmethod
    def load(cls, folder: Path) -> "IteratedParts":
        """Return the roles from a round's folder.

        Raises:
            RoundError: there are none.
        """
        data, columns = load_parts(folder)
        return cls(data, columns["asked"])


def iterated_parts(snapshot: Snapshot, splits: Sequence[str], settings: IteratedSettings, seed: int) -> IteratedParts:
    """Return the role of each image; `splits` are theirs, (N,). Labelled images of evaluation splits are the test set.

    Raises:
        DatasetError: there is nothing to train on, to validate by or to label.
    """
    count = len(snapshot)
    known = np.array([snapshot.is_labelled(row) for row in range(count)], np.bool_)
    groups, own = snapshot.whole_groups(), np.array(splits)
    tests: BoolArray = known & (own == settings.test_split) if settings.test_split else np.zeros(count, np.bool_)
    tests |= in_evaluation_splits(snapshot, splits) & known
    free: BoolArray = snapshot.learnable & ~np.isin(groups, groups[tests])
    if settings.validation_split:
        validation: IntArray = np.flatnonzero(known & free & (own == settings.validation_split))
        if not len(validation):
            raise DatasetError(
                f"the split {settings.validation_split!r} has no labelled image to validate by", "name another one"
            )
    else:
        validation = _draw_validation(snapshot, np.flatnonzero(known & free), groups, settings, seed)
    free &= ~np.isin(groups, groups[validation])
    labelled, unlabelled = np.flatnonzero(known & free), np.flatnonzero(~known & free)
    if not len(labelled):
        raise DatasetError("no labelled image is left to train on", "label more images")
    if not len(unlabelled):
        raise DatasetError(
            "no image without a label is left to train on", "import images without labels, or choose another recipe"
        )
    test = np.flatnonzero(tests)
    data = RecipeData(snapshot=snapshot, labelled=labelled, unlabelled=unlabelled, validation=validation, test=test)
    return IteratedParts(data, np.flatnonzero(~known))


def _draw_validation(
    snapshot: Snapshot, rows: IntArray, groups: IntArray, settings: IteratedSettings, seed: int
) -> IntArray:
    """Return a random share of these rows, about `most_validation` at most, by class and with groups whole."""
    apart = len(np.unique(groups[rows]))
    if apart < _FEWEST_GROUPS:
        raise DatasetError(
            f"{len(rows)} labelled images of {apart} groups are too few to train on some and validate by others",
            "label more images, or name a split for validation",
        )
    needed = max(round(1 / settings.validation_share), -(-len(rows) // settings.most_validation))
    folds = min(apart, max(_FEWEST_GROUPS, needed))
    dealt = deal(snapshot.sample_ids[rows], snapshot.labels[rows], groups[rows], folds=folds, seed=seed)
    chosen: IntArray = rows[dealt == 0]
    return chosen
