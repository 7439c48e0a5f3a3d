"""Classes whose images are all gone from a source: renamed, or no longer there. A person says which, before storing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.types import DatasetError
from db.queries.matching import LostLabels

QUESTION = "gone_classes"  # in the report of an import that ended with this question


@dataclass(frozen=True, slots=True)
class GoneClass:
    """A class no image of the source has any more.

    Of its `images`, `moved` carry the label `now`, which is a new class if `renamed`; the others vanished, or differ.
    """

    name: str
    images: int
    moved: int = 0
    now: str = ""
    renamed: bool = False

    @property
    def message(self) -> str:
        """Say what became of its images."""
        if not self.moved:
            return f"none of the {self.images:,} images of the class {self.name} is in the source any more"
        what = "a new class" if self.renamed else "a class of its own"
        return f"{self.moved:,} of the {self.images:,} images of the class {self.name} are in {self.now} now, {what}"


class GoneClassesError(DatasetError):
    """An import has to be told what became of these classes; it stored nothing."""

    def __init__(self, gone: Sequence[GoneClass]) -> None:
        """Name each class with the options that answer."""
        self.gone = tuple(gone)
        cures = [f"--rename-class '{one.name}={one.now}' if it is the same class" for one in gone if one.renamed]
        cures += [f"--keep-class '{one.name}' if it stays a class" for one in gone]
        super().__init__(
            f"{'; '.join(one.message for one in gone)}. Nothing was stored. Import again and say {', or '.join(cures)}"
        )

    @property
    def report(self) -> dict[str, Any]:
        """Return the question as JSON values."""
        return {QUESTION: [asdict(one) for one in self.gone]}


def renamed(classes: Sequence[str], renames: Sequence[str]) -> tuple[str, ...]:
    """Return the classes with their new names, by `old=new`; ids stay.

    Raises:
        DatasetError: there is no such class, or one of the new name already.
    """
    names = list(classes)
    for rename in renames:
        cuts = [at for at, letter in enumerate(rename) if letter == "=" and rename[:at] in names]
        if not cuts:
            raise DatasetError(f"{rename}: names no class of the dataset; write old=new, old is one of {_some(names)}")
        old, new = rename[: cuts[0]], rename[cuts[0] + 1 :].strip()
        if not new or new in names:
            raise DatasetError(
                f"{rename}: {new or 'nothing'} is {'a class already' if new else 'no name'}; choose another"
            )
        names[names.index(old)] = new
    return tuple(names)


def refuse_gone(lost: LostLabels, classes: Sequence[str], known: int, kept: Sequence[str]) -> None:
    """Check that every class that had images still has some, or is one of the `kept`.

    `classes` are the dataset's `known` ones, then those that the import brings.

    Raises:
        GoneClassesError: one has none, and the import was not told what became of it.
    """
    before, moves = lost
    gone = []
    for label, images in sorted(before.items()):
        now = Counter({to: count for (of, to), count in moves.items() if of == label and to is not None})
        unlabelled = moves.get((label, None), 0)
        if classes[label] in kept or (unlabelled and not now):
            continue  # their labels stand as they were given first
        if not now:
            gone.append(GoneClass(classes[label], images))
            continue
        to, moved = now.most_common(1)[0]
        gone.append(GoneClass(classes[label], images, moved, classes[to], to >= known and 2 * moved > images))
    if gone:
        raise GoneClassesError(gone)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20])
