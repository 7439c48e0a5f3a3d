"""Classes of an import: spellings of one class, and classes without images in the source.

A person decides on a class without images before anything is stored.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from core.data.export.names import folder_names
from core.data.formats.cells import spelling_key
from core.data.formats.source import Problems
from core.judge.class_acts import former_names, stored_act
from core.types import DatasetError, SourceSample
from db.queries.datasets import DatasetInfo
from db.queries.decisions import class_acts
from db.queries.incoming import LostLabels

ONE_CLASS = "may be one class"  # kind of a problem
QUESTION = "gone_classes"  # key in the report of an import that ended with this question


@dataclass(frozen=True, slots=True)
class GoneClass:
    """A class that has no images in the source any more.

    Of its `images`, `moved` carry the label `now`, which is a new class if `renamed`; the others vanished, or differ.
    """

    name: str
    images: int
    moved: int = 0
    now: str = ""
    renamed: bool = False

    @property
    def message(self) -> str:
        """Return a sentence on the whereabouts of its images."""
        if not self.moved:
            return f"the source has no image of the class {self.name} any more, which had {self.images:,}"
        now = f"the new class {self.now}" if self.renamed else f"the class {self.now}"
        moved = f"{self.moved:,} of its {self.images:,} images are labelled as {now}"
        return f"the source has no image of the class {self.name} any more: {moved}"


class GoneClassesError(DatasetError):
    """Open question about classes without images in the source; nothing was stored."""

    def __init__(self, gone: Sequence[GoneClass]) -> None:
        """Name each class; `report` has the values for answers."""
        self.gone = tuple(gone)
        super().__init__(
            f"{'; '.join(one.message for one in gone)}. Nothing was imported yet",
            "import again with an answer for each class: its new name where it was renamed, or that it stays a class "
            "without images",
        )

    @property
    def report(self) -> dict[str, Any]:
        """Return the question as JSON values."""
        return {QUESTION: [asdict(one) for one in self.gone]}


def rename_classes(classes: Sequence[str], renames: Sequence[str]) -> tuple[str, ...]:
    """Return the classes with their new names, by `old=new`; ids stay.

    Raises:
        DatasetError: there is no such class, or one of the new name already.
    """
    names = list(classes)
    for rename in renames:
        cuts = [at for at, letter in enumerate(rename) if letter == "=" and rename[:at] in names]
        if not cuts:
            raise DatasetError(
                f"{rename}: names no class of the dataset", f"write old=new, old is one of {_some(names)}"
            )
        old, new = rename[: cuts[0]], rename[cuts[0] + 1 :].strip()
        if not new or new in names:
            raise DatasetError(
                f"{rename}: {new or 'nothing'} is {'a class already' if new else 'no name'}", "choose another"
            )
        names[names.index(old)] = new
    return tuple(names)


def refuse_gone(lost: LostLabels, classes: Sequence[str], known: int, kept: Sequence[str]) -> None:
    """Check that every class with images still has some, or is one of the `kept`.

    `classes` are the dataset's `known` ones, then those that the import brings.

    Raises:
        GoneClassesError: one has none, and the request has no answer for it.
    """
    before, moves = lost
    gone = []
    for label, images in sorted(before.items()):
        now = Counter({to: count for (of, to), count in moves.items() if of == label and to is not None})
        unlabelled = moves.get((label, None), 0)
        if classes[label] in kept or (unlabelled and not now):
            continue  # their first given labels are kept
        if not now:
            gone.append(GoneClass(classes[label], images))
            continue
        to, moved = now.most_common(1)[0]
        gone.append(GoneClass(classes[label], images, moved, classes[to], to >= known and 2 * moved > images))
    if gone:
        raise GoneClassesError(gone)


def source_names(session: Session, info: DatasetInfo) -> Mapping[str, str]:
    """Return the current name of a class by each name that its source may still use."""
    acts = (stored_act(number, live, note) for number, live, note, *_ in class_acts(session, info.id))
    return former_names(info.class_state, acts)


def merge_spellings(samples: Iterator[SourceSample], merges: Sequence[str]) -> Iterator[SourceSample]:
    """Yield the samples with labels mapped by `name=class`."""
    into = {name.strip(): to.strip() for name, _, to in (merge.partition("=") for merge in merges)}
    for sample in samples:
        yield replace(sample, label=into[sample.label]) if sample.label in into else sample


def with_present_names(samples: Iterator[SourceSample], names: Mapping[str, str]) -> Iterator[SourceSample]:
    """Yield the samples with labels and tags mapped to current class names."""
    for sample in samples:
        label = None if sample.label is None else names.get(sample.label, sample.label)
        tags = None if sample.tags is None else [names.get(tag, tag) for tag in sample.tags]
        yield replace(sample, label=label, tags=tags)


def warn_of_spellings(names: Sequence[str], problems: Problems) -> None:
    """Warn of classes whose names differ only in case, blanks, hyphens or the form of letters."""
    for same in same_by_spelling(names):
        for other in same[1:]:
            message = f"{' and '.join(same)} may be one class"
            problems.warn(ONE_CLASS, other, message, f"merge {other} into {same[0]} on the Classes page, once imported")


def same_by_spelling(names: Sequence[str]) -> list[list[str]]:
    """Return the groups of names that differ only in case, blanks, hyphens or the form of letters."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[spelling_key(name)].append(name)
    return [same for same in alike.values() if len(same) > 1]


def warn_of_folders(names: Sequence[str], problems: Problems) -> None:
    """Warn of classes whose export folders get another name, since not every file system allows theirs."""
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
