"""Rows of one snapshot with their roles in a recipe, and the selection of such rows.

Rows are (M,) indexes into the snapshot's samples, for classes and masks alike. Labels of unlabelled rows are ignored,
so that a labelled dataset can stand in for one without labels.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

import numpy as np

from core.data.arrays import read_mask
from core.data.masks.store import MaskStore
from core.data.snapshot import BoolArray, Snapshot, masks_of
from core.data.storage import atomic_path
from core.types import DatasetError, IntArray, RoundError

_FILE = "parts.npz"
_PARTS = ("labelled", "unlabelled", "validation", "test")
_SHOWN = 5  # names of a long list that a message shows


def _no_rows() -> IntArray:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RecipeData:
    """Samples and their roles; a sample has at most one.

    Raises:
        DatasetError: a row has two roles or is not in the snapshot, a row that must have a label has none, or a row of
            the evaluation split, or of its groups and contents, would be trained on or validate.
    """

    snapshot: Snapshot
    labelled: IntArray  # trained on with their given labels
    unlabelled: IntArray  # their labels, if there are any, are hidden
    validation: IntArray = field(default_factory=_no_rows)  # for choosing models
    test: IntArray = field(default_factory=_no_rows)  # evaluated once, at the end

    def __post_init__(self) -> None:
        """Refuse rows that would be trained on and judge."""
        parts = {"labelled": self.labelled, "validation": self.validation, "test": self.test}
        rows = np.concatenate([*parts.values(), self.unlabelled]).astype(np.int64)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self.snapshot):
            raise DatasetError(f"row {rows.max()} is outside of the {len(self.snapshot)} samples", "choose others")
        taken, times = np.unique(rows, return_counts=True)
        if (times > 1).any():
            twice = self.snapshot.paths[int(taken[times > 1][0])]
            raise DatasetError(f"{twice} has two roles in the recipe", "list each image once")
        teaching = np.concatenate([self.labelled, self.unlabelled, self.validation]).astype(np.int64)
        if not (learnable := self.snapshot.learnable)[teaching].all():
            path = self.snapshot.paths[int(teaching[~learnable[teaching]][0])]
            raise DatasetError(
                f"{path} is excluded from training, as part of the evaluation split or of a group with images of it",
                "leave it out, or make it one of the test images",
            )
        if not len(self.labelled):
            raise DatasetError("no image is labelled", "name at least one to train on")
        for part, own in parts.items():
            bare = [row for row in own.tolist() if not self.snapshot.is_labelled(row)]
            if bare:
                raise DatasetError(
                    f"{self.snapshot.paths[bare[0]]} has no label and is one of the {part} images ({len(bare)} such)",
                    "label it, or leave it out",
                )


def in_evaluation_splits(snapshot: Snapshot, splits: Sequence[str]) -> BoolArray:
    """Return True for samples of splits that are protected as a whole, (N,); `splits` are theirs, (N,).

    Other protected samples only look like those: they are neither trained on nor evaluated.
    """
    if snapshot.protected is None:
        return np.zeros(len(snapshot), np.bool_)
    free = {split for split, protected in zip(splits, snapshot.protected.tolist(), strict=True) if not protected}
    own: BoolArray = np.array([split not in free for split in splits], np.bool_)
    return own


def save_parts(folder: Path, data: RecipeData, **further: IntArray | BoolArray) -> None:
    """Write the roles and further columns into the round's folder, since splits may change later.

    A round's folder holds one recipe, so one such file.
    """
    columns: dict[str, IntArray | BoolArray] = {name: getattr(data, name) for name in _PARTS}
    with atomic_path(folder / _FILE) as partial, partial.open("wb") as file:
        np.savez(file, **columns, **further)  # type: ignore[arg-type]  # as in `Snapshot.save`


def load_parts(folder: Path) -> tuple[RecipeData, dict[str, IntArray]]:
    """Return the roles that `save_parts` wrote, and the further columns.

    Raises:
        RoundError: there are none.
    """
    path = folder / _FILE
    if not path.exists():
        raise RoundError(f"{folder} has no roles of its images", "start the round again")
    with np.load(path, allow_pickle=False) as file:
        columns = dict(file)
    parts = {name: columns.pop(name) for name in _PARTS}
    return RecipeData(snapshot=Snapshot.load(folder), **parts), columns


def read_list(path: Path, first: int | None = None) -> list[str]:
    """Return the images that a list names, or the `first` of them: one per line, up to the first blank.

    VOC's lists are read as they are, both those of names and those of pairs of an image and its mask.

    Raises:
        DatasetError: the list cannot be read, or has fewer lines.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path.name} is not a list that can be read ({error})", "name a text file") from error
    names = [re.split(r"\s+", line.strip())[0] for line in lines if line.strip()]
    if first is not None and len(names) < first:
        raise DatasetError(f"{path.name} names {len(names)} images, the first {first} are asked for", "ask for fewer")
    return names[:first]


def rows_of(snapshot: Snapshot, names: Sequence[str]) -> IntArray:
    """Return the rows of these images, in their order; names are ends of paths, with a suffix or without.

    Raises:
        DatasetError: a name matches no image, or several.
    """
    by_stem: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(snapshot.paths):
        by_stem[PurePath(path).stem].append(row)
    rows, missing = [], []
    for name in names:
        wanted = PurePath(name)
        near = by_stem.get(wanted.stem, []) + (by_stem.get(wanted.name, []) if wanted.suffix else [])
        found = [row for row in dict.fromkeys(near) if _ends_with(PurePath(snapshot.paths[row]), wanted)]
        if len(found) > 1:
            raise DatasetError(
                f"{name} may be {snapshot.paths[found[0]]} or {snapshot.paths[found[1]]}", "name its folder"
            )
        rows += found
        missing += [name] if not found else []
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(names)} listed images are not in the dataset, among them "
            f"{', '.join(missing[:_SHOWN])}",
            "import them, or take the lines out of the list",
        )
    return np.array(rows, np.int64)


def given_mask(snapshot: Snapshot, store: MaskStore, row: int) -> IntArray:
    """Return the given mask of a sample, (H, W), IGNORE throughout without one.

    Raises:
        DatasetError: it cannot be read, or does not fit its image; names the image.
    """
    masks = masks_of(snapshot)
    height, width = masks.sizes[row].tolist()
    try:
        return read_mask(store, masks.labels[row], height, width, len(snapshot.classes))
    except DatasetError as error:
        raise DatasetError(f"{snapshot.paths[row]}: {error.message}", error.cure) from error


def with_masks(snapshot: Snapshot, names: dict[int, str]) -> Snapshot:
    """Return the snapshot with these masks, row -> name, and no others."""
    masks = masks_of(snapshot)
    return replace(snapshot, masks=replace(masks, labels=[names.get(row, "") for row in range(len(snapshot))]))


def _ends_with(path: PurePath, wanted: PurePath) -> bool:
    parts = path.parts[-len(wanted.parts) :]
    return parts == wanted.parts or (*parts[:-1], path.stem) == wanted.parts
