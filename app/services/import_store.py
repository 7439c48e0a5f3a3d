"""Store what an import read, all in the caller's one transaction, and say what is worth knowing about it.

A re-import adds what is new, corrects what changed, notes what vanished or came back; it never touches a given label
or a decision. Class ids never change: new classes come after the known ones.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.services.import_request import ImportRequest
from core.config import RoundConfig
from core.data.formats.source import Problems, SourceFormat, natural_order
from core.types import DatasetError, RoundCancelledError, RoundStatus, Task
from db.queries import datasets, imports, samples, snapshots
from db.queries.datasets import DatasetInfo
from db.queries.samples import KnownSample, NewSample

_CHUNK = 1_000
_PAIR = 2
_FOLDS = RoundConfig().folds
COVERS = 10  # images on a dataset's card


@dataclass(frozen=True, slots=True)
class Incoming:
    """What an import is about to store: where it comes from, the labels met, the rows (sample, then facts)."""

    root: Path
    format: SourceFormat
    labels: set[str]
    rows: Iterator[list[Any]]
    problems: Problems
    seconds: float


def store(session: Session, import_id: int, request: ImportRequest, incoming: Incoming) -> int:
    """Store everything and finish the import; return the dataset's id.

    Raises:
        DatasetError: a dataset of this name comes from somewhere else.
        RoundCancelledError: the import was ended before; the caller's transaction must not be committed.
    """
    info = _dataset(session, request, incoming)
    now = datetime.now(UTC)
    merge = _Merge(session, info, incoming.problems, now)
    before = samples.present_ids(session, info.id)
    while chunk := list(islice(incoming.rows, _CHUNK)):
        merge.add(chunk)
    for name in samples.mark_vanished(session, before - merge.seen, now):
        merge.counts["vanished"] += 1
        incoming.problems.warn(
            "vanished", name, "an earlier import found it, this one did not", "nothing; its decisions are kept"
        )
    _warn_of_duplicates(session, info, incoming.problems)
    per_class = _warn_of_small_classes(session, info, incoming.problems)
    report = {
        "format": incoming.format.value,
        "seconds": round(incoming.seconds, 2),
        "images": sum(per_class.values()),
        "classes": per_class,
        "splits": samples.split_counts(session, info.id),
        "covers": samples.covers(session, info.id, COVERS),
        "changes": dict(merge.counts),
        "problems": _counted(incoming.problems),
    }
    imports.add_problems(session, import_id, incoming.problems.kept)
    if not imports.finish_import(session, import_id, RoundStatus.DONE, dataset_id=info.id, report=report):
        raise RoundCancelledError("the import was ended by somebody else")
    return info.id


def refuse_other_root(known: DatasetInfo | None, root: Path) -> None:
    """Check that a re-import comes from where the dataset came from.

    Raises:
        DatasetError: it does not; every sample would seem to have vanished.
    """
    if known is not None and known.root != str(root):
        raise DatasetError(
            f"there is a dataset {known.name} already, and it comes from {known.root}; choose another name, "
            "or import from that folder to add what is new there"
        )


class _Merge:
    """Brings incoming samples together with those stored."""

    def __init__(self, session: Session, info: DatasetInfo, problems: Problems, now: datetime) -> None:
        self.session = session
        self.info = info
        self.ids = {name: number for number, name in enumerate(info.classes)}
        self.problems = problems
        self.now = now
        self.seen: set[int] = set()
        self.counts: Counter[str] = Counter(added=0, changed=0, unchanged=0, returned=0, vanished=0)

    def add(self, chunk: list[list[Any]]) -> None:
        """Store one chunk of rows."""
        incoming = [self._sample(row) for row in chunk]
        known = samples.known_samples(self.session, self.info.id, [sample.path for sample in incoming])
        samples.add_samples(
            self.session, self.info.id, [sample for sample in incoming if sample.path not in known], self.now
        )
        self.counts["added"] += len(incoming) - len(known)
        again = [(known[sample.path], sample) for sample in incoming if sample.path in known]
        samples.correct_samples(
            self.session, [(old.id, new) for old, new in again if self._differs(old, new) or old.vanished]
        )

    def _differs(self, old: KnownSample, new: NewSample) -> bool:
        """Whether the stored row must be written again; say what a person should know."""
        self.seen.add(old.id)
        if old.vanished:
            self.counts["returned"] += 1
        if old.sample.label != new.label:
            self.problems.warn(
                "given label changed",
                new.name,
                f"the source now says {self._name(new.label)}, it was imported as {self._name(old.sample.label)}",
                "the first one stands; decide it in the review, or import into a new dataset",
            )
        if old.sample.content_hash != new.content_hash:
            self.problems.warn(
                "content changed", new.name, "the file is another image than before", "look at its decisions again"
            )
        differs = replace(old.sample, label=new.label) != new
        self.counts["changed" if differs else "unchanged"] += 1
        return differs

    def _sample(self, row: list[Any]) -> NewSample:
        path, name, label, split, group, _, content_hash, width, height, size, grey = row
        number = None if label is None else self.ids[label]
        return NewSample(path, name, number, split, group, content_hash, width, height, size, grey)

    def _name(self, label: int | None) -> str:
        return "nothing" if label is None else self.info.classes[label]


def _dataset(session: Session, request: ImportRequest, incoming: Incoming) -> DatasetInfo:
    """Return the dataset to import into, its classes complete."""
    known = datasets.find_dataset(session, request.name)
    refuse_other_root(known, incoming.root)
    classes = list(known.classes) if known else []
    classes += sorted(incoming.labels - set(classes), key=natural_order)
    values: dict[str, Any] = {"format": incoming.format.value, "classes": classes, "options": request.to_json()}
    if known:
        datasets.change_dataset(session, known.id, values)
        return replace(known, classes=tuple(classes))
    new = {"name": request.name, "task": Task.CLASSIFICATION, "root": str(incoming.root), **values}
    dataset_id = datasets.add_dataset(session, {**new, "created_at": datetime.now(UTC)})
    return datasets.get_dataset(session, dataset_id)


def _warn_of_duplicates(session: Session, info: DatasetInfo, problems: Problems) -> None:
    for found in samples.duplicates(session, info.id):
        others = "another image" if found.copies == _PAIR else f"{found.copies - 1} others"
        if found.labels > 1 and found.label is not None:
            problems.warn(
                "duplicate with two labels",
                found.name,
                f"the same content as {others}, labelled {info.classes[found.label]} here and differently there",
                "decide which label is right; the copies always share a fold",
            )
        else:
            problems.warn(
                "duplicate", found.name, f"the same content as {others}", "nothing; the copies always share a fold"
            )


def _warn_of_small_classes(session: Session, info: DatasetInfo, problems: Problems) -> dict[str, int]:
    """Return the number of samples of each class, in the classes' order; "" counts the unlabelled ones."""
    counts = snapshots.label_counts(session, info.id)
    for number, name in enumerate(info.classes):
        if 0 < counts.get(number, 0) < _FOLDS:
            problems.warn(
                "small class",
                name,
                f"it has {counts[number]} images, fewer than the {_FOLDS} folds of a round",
                "add images of it, merge it with another class, or use fewer folds",
            )
    named = {name: counts.get(number, 0) for number, name in enumerate(info.classes)}
    return named | ({"": counts[None]} if None in counts else {})


def _counted(problems: Problems) -> dict[str, dict[str, int]]:
    """Return how many problems there are by severity and kind, the most frequent first."""
    found: dict[str, dict[str, int]] = {}
    for (severity, kind), count in problems.counts.most_common():
        found.setdefault(severity.value, {})[kind] = count
    return found
