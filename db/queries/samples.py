"""Samples as an import writes them: found by path, added, corrected, missed. A given label is written only once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from db.models import SampleRow

_SAMPLES = SampleRow.metadata.tables[SampleRow.__tablename__]
_IDS = 10_000  # in one statement; both databases allow more


@dataclass(frozen=True, slots=True)
class NewSample:
    """What a source says of one image now."""

    path: str
    name: str
    label: int | None
    split: str
    group: str
    content_hash: str
    width: int
    height: int
    bytes: int
    grey: bool


@dataclass(frozen=True, slots=True)
class KnownSample:
    """What is stored of one image."""

    id: int
    sample: NewSample
    vanished: bool


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One of several samples with the same content; `labels` counts the different labels among them."""

    content_hash: str
    name: str
    label: int | None
    copies: int
    labels: int


def known_samples(session: Session, dataset_id: int, paths: Sequence[str]) -> dict[str, KnownSample]:
    """Return the stored samples among `paths`, by path."""
    columns = (getattr(SampleRow, item.name) for item in fields(NewSample))
    query = select(SampleRow.id, SampleRow.vanished_at, *columns).where(
        SampleRow.dataset_id == dataset_id, SampleRow.path.in_(paths)
    )
    found = (
        KnownSample(id_, NewSample(*values), vanished_at is not None)
        for id_, vanished_at, *values in session.execute(query)
    )
    return {known.sample.path: known for known in found}


def add_samples(session: Session, dataset_id: int, samples: Sequence[NewSample], at: datetime) -> None:
    """Store new samples."""
    if samples:
        rows = [{"dataset_id": dataset_id, "imported_at": at, **_columns(sample)} for sample in samples]
        session.execute(insert(_SAMPLES), rows)  # the table, not the class: three times faster


def correct_samples(session: Session, samples: Iterable[tuple[int, NewSample]]) -> None:
    """Write what a re-import found, all but the label, and that the sample is there."""
    rows = []
    for sample_id, sample in samples:
        values = _columns(sample)
        del values["label"]
        rows.append({"id": sample_id, "vanished_at": None, **values})
    if rows:
        session.execute(update(SampleRow), rows)


def present_ids(session: Session, dataset_id: int) -> set[int]:
    """Return the ids of all samples that have not vanished."""
    query = select(SampleRow.id).where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    return set(session.scalars(query))


def mark_vanished(session: Session, sample_ids: Iterable[int], at: datetime) -> Iterator[str]:
    """Note that these samples were not found, yield their names in order."""
    ids = sorted(sample_ids)
    for start in range(0, len(ids), _IDS):
        some = ids[start : start + _IDS]
        session.execute(update(SampleRow).where(SampleRow.id.in_(some)).values(vanished_at=at))
        yield from session.scalars(select(SampleRow.name).where(SampleRow.id.in_(some)).order_by(SampleRow.id))


def duplicates(session: Session, dataset_id: int) -> Iterator[Duplicate]:
    """Yield every sample whose content another one of the dataset has too, copies side by side."""
    present = (SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    several = (
        select(
            SampleRow.content_hash,
            func.count().label("copies"),
            func.count(SampleRow.label.distinct()).label("labels"),
            func.min(SampleRow.id).label("first"),
        )
        .where(*present)
        .group_by(SampleRow.content_hash)
        .having(func.count() > 1)
        .subquery()
    )
    query = (
        select(SampleRow.content_hash, SampleRow.name, SampleRow.label, several.c.copies, several.c.labels)
        .join(several, several.c.content_hash == SampleRow.content_hash)
        .where(*present)
        .order_by(several.c.first, SampleRow.id)
    )
    return (Duplicate(*found) for found in session.execute(query))


def split_counts(session: Session, dataset_id: int) -> dict[str, int]:
    """Return how many samples are in each split."""
    query = (
        select(SampleRow.split, func.count())
        .where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
        .group_by(SampleRow.split)
        .order_by(SampleRow.split)
    )
    return dict(session.execute(query).all())


def covers(session: Session, dataset_id: int, count: int) -> list[str]:
    """Return content hashes of a few samples, as different in label and split as can be."""
    present = (SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    chosen: dict[int, str] = {}
    for several in (True, True, True, False):  # one of each kind, three times over; then whatever is there
        query = select(func.min(SampleRow.id)).where(*present, SampleRow.id.not_in(list(chosen)))
        if several:
            query = query.group_by(SampleRow.split, SampleRow.label).order_by(SampleRow.split.desc(), SampleRow.label)
        else:
            query = select(SampleRow.id).where(*present, SampleRow.id.not_in(list(chosen))).order_by(SampleRow.id)
        ids = list(session.scalars(query.limit(count - len(chosen))))
        found = dict(session.execute(select(SampleRow.id, SampleRow.content_hash).where(SampleRow.id.in_(ids))).all())
        chosen |= {sample_id: found[sample_id] for sample_id in ids}
    return list(dict.fromkeys(chosen.values()))


def _columns(sample: NewSample) -> dict[str, Any]:
    return {item.name: getattr(sample, item.name) for item in fields(sample)}  # asdict copies deeply
