"""What a recipe works on: rows of one snapshot, each with one part to play, and how such rows are chosen.

Rows are (M,) indexes into the snapshot's samples; classes and masks alike. What is known of the unlabelled rows is not
looked at, so that a dataset with labels can play one without.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np

from core.data.snapshot import BoolArray, Snapshot
from core.data.storage import atomic_path
from core.types import NO_LABEL, DatasetError, IntArray, RoundError

_FILE = "parts.npz"
_PARTS = ("labelled", "unlabelled", "validation", "test")
_NAMED = 5  # names of a long list that a message shows


def _no_rows() -> IntArray:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RecipeData:
    """The samples and the part each one plays; a sample plays one part at most.

    Raises:
        DatasetError: a row is in two parts or is none of the snapshot's, a row that must have a label has none, or
            one of the evaluation split, or of its groups and contents, is to teach or to be chosen by.
    """

    snapshot: Snapshot
    labelled: IntArray  # learnt from as they are given
    unlabelled: IntArray  # their labels, if there are any, are hidden
    validation: IntArray = field(default_factory=_no_rows)  # what is chosen by
    test: IntArray = field(default_factory=_no_rows)  # looked at once, at the end

    def __post_init__(self) -> None:
        """Refuse what would teach on what it is judged by."""
        parts = {"labelled": self.labelled, "validation": self.validation, "test": self.test}
        rows = np.concatenate([*parts.values(), self.unlabelled]).astype(np.int64)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self.snapshot):
            raise DatasetError(f"row {rows.max()} is none of the {len(self.snapshot)} samples; choose the rows again")
        taken, times = np.unique(rows, return_counts=True)
        if (times > 1).any():
            twice = self.snapshot.paths[int(taken[times > 1][0])]
            raise DatasetError(f"{twice} is in two parts of the recipe; list each image once")
        teaching = np.concatenate([self.labelled, self.unlabelled, self.validation]).astype(np.int64)
        if not (learnable := self.snapshot.learnable)[teaching].all():
            path = self.snapshot.paths[int(teaching[~learnable[teaching]][0])]
            raise DatasetError(
                f"{path} is of the evaluation split, or belongs to an image of it, and is never learnt from; "
                "leave it out, or make it one of the test images"
            )
        if not len(self.labelled):
            raise DatasetError("no image is labelled; name at least one to learn from")
        for part, own in parts.items():
            bare = [row for row in own.tolist() if not self.snapshot.is_labelled(row)]
            if bare:
                raise DatasetError(
                    f"{self.snapshot.paths[bare[0]]} has no label and is one of the {part} images"
                    f" ({len(bare)} such); label it, or leave it out"
                )


def of_evaluation_splits(snapshot: Snapshot, splits: Sequence[str]) -> BoolArray:
    """Return which samples are of a split that is protected throughout, (N,); `splits` are theirs, (N,).

    What is protected besides merely looks like them: it neither teaches nor judges.
    """
    if snapshot.protected is None:
        return np.zeros(len(snapshot), np.bool_)
    free = {split for split, protected in zip(splits, snapshot.protected.tolist(), strict=True) if not protected}
    own: BoolArray = np.array([split not in free for split in splits], np.bool_)
    return own


def save_parts(folder: Path, data: RecipeData, **beside: IntArray | BoolArray) -> None:
    """Write who plays which part, and columns `beside`, beside the snapshot: splits may change before they are asked.

    A round's folder holds one recipe, so one such file.
    """
    columns: dict[str, IntArray | BoolArray] = {name: getattr(data, name) for name in _PARTS}
    with atomic_path(folder / _FILE) as partial, partial.open("wb") as file:
        np.savez(file, **columns, **beside)  # type: ignore[arg-type]  # as in `Snapshot.save`


def load_parts(folder: Path) -> tuple[RecipeData, dict[str, IntArray]]:
    """Return what `save_parts` wrote, and the columns beside.

    Raises:
        RoundError: nothing was.
    """
    path = folder / _FILE
    if not path.exists():
        raise RoundError(f"{folder} does not say which image plays which part; start the round again")
    with np.load(path, allow_pickle=False) as file:
        columns = dict(file)
    parts = {name: columns.pop(name) for name in _PARTS}
    return RecipeData(snapshot=Snapshot.load(folder), **parts), columns


def balanced_draw(labels: IntArray, per_class: int, seed: int) -> IntArray:
    """Return sorted rows with `per_class` of each class that occurs in `labels`, (N,).

    Raises:
        DatasetError: a class has fewer.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for label in np.unique(labels[labels != NO_LABEL]).tolist():
        rows = np.flatnonzero(labels == label)
        if len(rows) < per_class:
            raise DatasetError(f"class {label} has {len(rows)} samples, {per_class} are to be drawn; draw fewer")
        drawn.append(rng.choice(rows, per_class, replace=False))
    return np.sort(np.concatenate(drawn)) if drawn else _no_rows()


def listed(path: Path, first: int | None = None) -> list[str]:
    """Return the images a split's list names, or the `first` of them: one a line, whatever follows a blank left out.

    So VOC's lists are read as they are, both those of names and those of pairs of an image and its mask.

    Raises:
        DatasetError: it cannot be read, or has fewer lines.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path.name} is no list that can be read ({error}); name a text file") from error
    names = [re.split(r"\s+", line.strip())[0] for line in lines if line.strip()]
    if first is not None and len(names) < first:
        raise DatasetError(f"{path.name} names {len(names)} images, the first {first} are asked for; ask for fewer")
    return names[:first]


def rows_of(snapshot: Snapshot, names: Sequence[str]) -> IntArray:
    """Return the rows of these images, in the order of the names: the ends of their paths, with a suffix or without.

    Raises:
        DatasetError: a name is of no image, or of several.
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
                f"{name} may be {snapshot.paths[found[0]]} or {snapshot.paths[found[1]]}; name its folder"
            )
        rows += found
        missing += [name] if not found else []
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(names)} listed images are not in the dataset, among them "
            f"{', '.join(missing[:_NAMED])}; import them, or take the lines out of the list"
        )
    return np.array(rows, np.int64)


def _ends_with(path: PurePath, wanted: PurePath) -> bool:
    parts = path.parts[-len(wanted.parts) :]
    return parts == wanted.parts or (*parts[:-1], path.stem) == wanted.parts
