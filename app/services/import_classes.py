"""Classes of an import: those that are one by another spelling, and those whose images are all gone from a source.

A person says what became of a class without images, before anything is stored.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from shlex import quote
from typing import Any

from core.data.export.names import folder_names
from core.data.formats.cells import likely_same
from core.data.formats.source import Problems
from core.types import DatasetError, SourceSample
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
        cures = [
            f"--rename-class {quote(f'{one.name}={one.now}')} if it is the same class" for one in gone if one.renamed
        ]
        cures += [f"--keep-class {quote(one.name)} if it stays a class" for one in gone]
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


def merged(samples: Iterator[SourceSample], merges: Sequence[str]) -> Iterator[SourceSample]:
    """Yield the samples with the labels that are another class by `name=class`."""
    into = {name.strip(): to.strip() for name, _, to in (merge.partition("=") for merge in merges)}
    for sample in samples:
        yield replace(sample, label=into[sample.label]) if sample.label in into else sample


def warn_of_spellings(names: Sequence[str], problems: Problems) -> None:
    """Warn of classes whose names differ only in case, blanks, hyphens or the form of letters."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[likely_same(name)].append(name)
    for same in alike.values():
        for other in same[1:]:
            problems.warn(
                "may be one class",
                other,
                f"{' and '.join(same)} may be one class",
                f"import into a new dataset with --merge-class {quote(f'{other}={same[0]}')}, "
                "or relabel it in the review",
            )


def warn_of_folders(names: Sequence[str], problems: Problems) -> None:
    """Warn of classes whose folders in exports are called otherwise, since not every disk takes their names."""
    for name, folder in folder_names(names).items():
        if folder != name:
            problems.warn(
                "name in exports",
                name,
                f"in exports its folder is called {folder}, as not every disk takes the name; tables keep it",
                "nothing, or rename the class",
            )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20])
