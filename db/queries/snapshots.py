"""Samples of a dataset, as rounds, exports and checks read them, and files, label counts and image sizes of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session

from core.types import JobStatus, RoundError, Task
from db.models import ChangesetRow, DatasetRow, DecisionRow, FindingRow, ImportRow, IncomingRow, SampleRow
from db.queries import agreeing
from db.queries.datasets import merges_of, present

_PART = 50_000  # rows held in memory
_NAMED = 1_000  # ids in one statement
_BARE = SampleRow.label.is_(None) & SampleRow.mask_hash.is_(None)  # an index holds these alone


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a dataset, or one that is staged; `label` or `mask_hash` is the given one.

    `label` is the class as it means now, `stored_label` as it was given, before classes were merged.
    """

    id: int
    path: str
    name: str
    label: int | None
    stored_label: int | None
    mask_hash: str | None
    split: str
    group: str
    content_hash: str
    width: int
    height: int
    bytes: int
    look_hash: int | None  # None: imported before there was such a hash


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """Number of images with each given class, in label or mask, and of those with any label or mask."""

    images: dict[int, int]
    labelled: int


def samples_of(session: Session, dataset_id: int) -> list[Sample]:
    """Return the dataset's samples that still exist, in the order they were imported."""
    return [Sample(*found) for found in session.execute(_samples(session, dataset_id))]


def label_columns(session: Session, dataset_id: int) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """Yield the columns of a snapshot of classes for the same samples, in the same order, in parts of up to 50,000.

    A part has one tuple for each column: id, path, label as it means now, group, content hash, split.
    """
    label = present(SampleRow.label, merges_of(session, dataset_id))
    row = SampleRow
    columns = (row.id, row.path, label, row.group, row.content_hash, row.split)
    yield from _in_order(session, select(*columns), dataset_id)


def split_columns(session: Session, dataset_id: int) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """Yield the ids and the splits of the same samples, likewise."""
    yield from _in_order(session, select(SampleRow.id, SampleRow.split), dataset_id)


def hash_columns(session: Session, dataset_id: int) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """Yield the content hashes of the same samples, likewise."""
    yield from _in_order(session, select(SampleRow.content_hash), dataset_id)


def names_of(session: Session, dataset_id: int) -> dict[int, str]:
    """Return the names of the same samples, by id."""
    found: dict[int, str] = {}
    for ids, names in _in_order(session, select(SampleRow.id, SampleRow.name), dataset_id):
        found |= zip(ids, names, strict=True)
    return found


def _in_order(
    session: Session, columns: Select[*tuple[Any, ...]], dataset_id: int
) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """Yield columns of the samples that exist by ascending id, as they lie on disk: nothing is sorted or kept."""
    query = columns.where(*_by_id(session, dataset_id)).order_by(SampleRow.id)
    for part in session.execute(query, execution_options={"yield_per": _PART}).partitions():
        yield tuple(zip(*part, strict=True))


def _by_id(session: Session, dataset_id: int) -> tuple[ColumnElement[bool], ...]:
    """Return conditions for the samples that exist, for a query ordered by id: the index of a dataset sorts by path."""
    bounds = select(func.min(SampleRow.id), func.max(SampleRow.id)).where(SampleRow.dataset_id == dataset_id)
    first, last = session.execute(bounds).one()
    within = SampleRow.id.between(first or 0, last or 0)
    return (within, SampleRow.dataset_id + 0 == dataset_id, SampleRow.vanished_at.is_(None))


def first_samples(session: Session, dataset_id: int, most: int) -> list[Sample]:
    """Return at most this number of existing samples, those with a label or mask first.

    Each part is read in the order of ids and no further than needed: one statement for both would sort them all.
    """
    query = _samples(session, dataset_id)
    found: list[Sample] = []
    for part in (~_BARE, _BARE):
        found += [Sample(*row) for row in session.execute(query.where(part).limit(most - len(found)))]
        if len(found) == most:
            break
    return found


def sample_columns(row: type[SampleRow | IncomingRow], label: Any = None) -> list[Any]:  # noqa: ANN401 an expression
    """Return the columns of a `Sample`; `label` is its current class, by default the stored one."""
    own = {"label": row.label if label is None else label, "stored_label": row.label}
    return [own[item.name] if item.name in own else getattr(row, item.name) for item in fields(Sample)]


def label_counts(session: Session, dataset_id: int) -> LabelCounts:
    """Return the count of each given class; of masks, as the last import counted it."""
    here = (SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    label: Any = present(SampleRow.label, merges_of(session, dataset_id)).label("meant")
    by_label = select(label, func.count()).where(*here, SampleRow.label.is_not(None)).group_by("meant")
    images: dict[int, int] = {row[0]: row[1] for row in session.execute(by_label)}
    masks = session.scalars(select(func.count(SampleRow.mask_hash)).where(*here)).one()
    if masks:
        images = _images_with(session, dataset_id)
    return LabelCounts(images, masks or sum(images.values()))


def has_labels(session: Session, dataset_id: int) -> bool:
    """Return whether an image came with a label or mask."""
    given = select(SampleRow.id).where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None), ~_BARE)
    return bool(session.scalar(select(given.exists())))


def labels_were_added(session: Session, dataset_id: int) -> bool:
    """Return whether people labelled an image without a given label, which `label_counts` does not count."""
    added = (
        select(DecisionRow.id)
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .join(SampleRow, SampleRow.id == DecisionRow.sample_id)
        .where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None), _BARE, ChangesetRow.live)
        .where(DecisionRow.label.is_not(None) | DecisionRow.mask_hash.is_not(None))
    )
    return bool(session.scalar(select(added.exists())))


def count_unlabelled(session: Session, dataset_id: int, apart_from: int | None = None) -> int:
    """Return the number of images without a given label and without a verdict; without those in a round's findings."""
    decided = select(DecisionRow.sample_id).join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
    wanted = [SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None), _BARE]
    wanted.append(SampleRow.id.not_in(decided.where(ChangesetRow.live)))
    if apart_from is not None:
        found = select(FindingRow.sample_id).where(FindingRow.round_id == apart_from)
        wanted.append(SampleRow.id.not_in(found))
    if apart_from is not None and agreeing.count_of_round(session, apart_from):
        bare_ids = session.scalars(select(SampleRow.id).where(*wanted)).all()
        return len(bare_ids) - agreeing.count_of_samples(session, apart_from, bare_ids)
    return session.scalars(select(func.count()).select_from(SampleRow).where(*wanted)).one()


def image_sizes(session: Session, dataset_id: int) -> list[tuple[int, int, bool, int]]:
    """Return (width, height, grey, count) for every size of image in the dataset."""
    size = (SampleRow.width, SampleRow.height, SampleRow.grey)
    query = (
        select(*size, func.count())
        .where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
        .group_by(SampleRow.split, *size)  # as an index has them, so that nothing is sorted
    )
    counted: Counter[tuple[int, int, bool]] = Counter()
    for width, height, grey, count in session.execute(query):
        counted[width, height, grey] += count
    return [(*one, count) for one, count in sorted(counted.items())]


def count_separable(session: Session, dataset_id: int) -> int:
    """Return how many images and groups of images with something to learn from may be held out apart of each other."""
    present = [SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None)]
    if session.scalar(select(select(SampleRow.id).where(*present, _BARE).exists())):
        present.append(~_BARE | SampleRow.id.in_(select(DecisionRow.sample_id)))
    single = func.count(case((SampleRow.group == "", SampleRow.id)))
    groups = func.count(func.nullif(SampleRow.group, "").distinct())
    return session.scalars(select(single + groups).where(*present)).one()


def dataset_of(session: Session, dataset_id: int) -> tuple[str, list[str]]:
    """Return a dataset's name and classes.

    Raises:
        RoundError: there is none with this id.
    """
    found = session.execute(
        select(DatasetRow.name, DatasetRow.classes).where(DatasetRow.id == dataset_id)
    ).one_or_none()
    if found is None:
        raise RoundError(f"there is no dataset {dataset_id}", "choose one on the Datasets page")
    return found.name, found.classes


def task_of(session: Session, dataset_id: int) -> Task:
    """Return the kind of labels of a dataset, which must exist."""
    return session.scalars(select(DatasetRow.task).where(DatasetRow.id == dataset_id)).one()


def import_options(session: Session, content_hash: str) -> list[dict[str, Any]]:
    """Return the import options of the datasets with an image of this content, the newest dataset first."""
    inside = select(SampleRow.dataset_id).where(SampleRow.content_hash == content_hash)
    query = select(DatasetRow.options).where(DatasetRow.id.in_(inside)).order_by(DatasetRow.id.desc())
    return list(session.scalars(query))


def files_with_content(session: Session, content_hash: str) -> list[tuple[str, int]]:
    """Return (path, size in bytes) of the files that had this content at their import, latest first."""
    same = select(SampleRow.path, SampleRow.bytes).where(SampleRow.content_hash == content_hash)
    rows = session.execute(same.order_by(SampleRow.vanished_at.is_not(None), SampleRow.id).limit(10)).all()
    return [(row[0], row[1]) for row in rows]


def _samples(session: Session, dataset_id: int) -> Select[*tuple[Any, ...]]:
    """Select the samples that exist by ascending id, with their labels as merges of classes define them now."""
    columns = sample_columns(SampleRow, present(SampleRow.label, merges_of(session, dataset_id)))
    return select(*columns).where(*_by_id(session, dataset_id)).order_by(SampleRow.id)


def present_ids(session: Session, dataset_id: int, ids: Sequence[int]) -> list[int]:
    """Return those of these ids that are images of the dataset, and not removed."""
    found: list[int] = []
    for start in range(0, len(ids), _NAMED):
        of_dataset = SampleRow.dataset_id + 0 == dataset_id  # a sum keeps SQLite from reading the whole dataset
        here = select(SampleRow.id).where(SampleRow.id.in_(ids[start : start + _NAMED]), of_dataset)
        found += session.scalars(here)
    return sorted(found)


def _images_with(session: Session, dataset_id: int) -> dict[int, int]:
    """Return in how many images the last import found each class; of merged ones in at least how many."""
    _, classes = dataset_of(session, dataset_id)
    merges = merges_of(session, dataset_id)
    done = (ImportRow.dataset_id == dataset_id, ImportRow.status == JobStatus.DONE)
    report = session.scalar(select(ImportRow.report).where(*done).order_by(ImportRow.id.desc()).limit(1)) or {}
    counted = report.get("classes", {})
    images = dict.fromkeys(range(len(classes)), 0)
    for number, name in enumerate(classes):
        now = merges.get(number, number)
        images[now] = max(images[now], counted.get(name, 0))
    return images


def given_labels(session: Session, dataset_id: int) -> dict[int, int | None]:
    """Return the given label of every sample of a dataset."""
    label = present(SampleRow.label, merges_of(session, dataset_id))
    rows: Sequence[Any] = session.execute(
        select(SampleRow.id, label).where(SampleRow.dataset_id == dataset_id).order_by(SampleRow.id)
    ).all()
    return {row[0]: row[1] for row in rows}
