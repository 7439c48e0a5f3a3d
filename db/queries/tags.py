"""Tags: which classes an image shows, as imports and people said it. Rows are only added; the newest counts.

A row that undoes another says again what was said before that one. So what is said of an image now is always in its
newest row, and what may still be undone follows from all of its rows (`standing`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, insert, select
from sqlalchemy.orm import Session, aliased

from db.models import AnnotatorRow, IncomingRow, SampleRow, TaggingRow

_TRIED = 50  # of a person's rows, the newest ones, that are looked at for one to undo


@dataclass(frozen=True, slots=True)
class Tagging:
    """One stored row. `classes` None: taken back; `annotator` None: an import said it."""

    id: int
    sample_id: int
    classes: list[int] | None
    annotator: str | None
    tagged_at: datetime
    undoes_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTagging:
    """A row about to be stored."""

    sample_id: int
    classes: list[int] | None
    tagged_at: datetime
    annotator_id: int | None = None
    client_id: str | None = None
    client_seq: int | None = None
    undoes_id: int | None = None


def add_taggings(session: Session, rows: Sequence[NewTagging]) -> None:
    """Store rows, in this order."""
    if rows:
        names = NewTagging.__dataclass_fields__
        session.execute(insert(TaggingRow), [{name: getattr(row, name) for name in names} for row in rows])


def find_by_key(session: Session, client: str, seq: int) -> Tagging | None:
    """Return the row that a browser stored under its own number."""
    return _one(session, TaggingRow.client_id == client, TaggingRow.client_seq == seq)


def newest(session: Session, sample_id: int) -> Tagging | None:
    """Return the row that counts for an image, None where there is none."""
    return _one(session, TaggingRow.id.in_(_newest(TaggingRow.sample_id == sample_id)))


def tags_by_sample(session: Session, dataset_id: int) -> dict[int, Tagging]:
    """Return what counts for every image of a dataset that has tags, by its id, in the order of the images."""
    here = select(SampleRow.id).where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    counting = _newest(TaggingRow.sample_id.in_(here))
    rows = session.execute(_rows().where(TaggingRow.id.in_(counting)).order_by(TaggingRow.sample_id))
    return {row.sample_id: Tagging(*row) for row in rows if row.classes is not None}


def take_over(session: Session, import_id: int, dataset_id: int, now: datetime) -> None:
    """Say of a dataset's images what an import that was merged says of them, unless it said so before.

    What people said of an image since stays.
    """
    coming = (
        select(SampleRow.id, IncomingRow.tags)
        .join(IncomingRow, and_(IncomingRow.path == SampleRow.path, IncomingRow.import_id == import_id))
        .where(SampleRow.dataset_id == dataset_id, IncomingRow.tags.is_not(None))
        .order_by(SampleRow.id)
    )
    rows: dict[int, list[int]] = {number: classes for number, classes in session.execute(coming) if classes}
    if not rows:
        return
    here = TaggingRow.sample_id.in_(select(SampleRow.id).where(SampleRow.dataset_id == dataset_id))
    by_imports = select(func.max(TaggingRow.id)).where(here, TaggingRow.annotator_id.is_(None))
    before = _by_sample(session, by_imports.group_by(TaggingRow.sample_id))
    latest = _by_sample(session, _newest(here))
    new = []
    for sample_id, classes in rows.items():
        said, last = before.get(sample_id), latest.get(sample_id)
        if (said is None or said.classes != classes) and (last is None or last.annotator is None):
            new.append(NewTagging(sample_id=sample_id, classes=classes, tagged_at=now))
    add_taggings(session, new)


def standing(session: Session, sample_id: int) -> list[Tagging]:
    """Return the rows of an image that were not undone, oldest first: the last one counts."""
    stack: list[Tagging] = []
    for row in session.execute(_rows().where(TaggingRow.sample_id == sample_id).order_by(TaggingRow.id)):
        one = Tagging(*row)
        if one.undoes_id is None:
            stack.append(one)
        else:
            stack = [other for other in stack if other.id != one.undoes_id]
    return stack


def last_of(session: Session, dataset_id: int, annotator_id: int) -> list[Tagging]:
    """Return a person's newest rows in a dataset that were not undone, newest first."""
    undone = aliased(TaggingRow)
    query = (
        _rows()
        .join(SampleRow, SampleRow.id == TaggingRow.sample_id)
        .where(
            SampleRow.dataset_id == dataset_id,
            TaggingRow.annotator_id == annotator_id,
            TaggingRow.undoes_id.is_(None),
            ~select(undone.id).where(undone.undoes_id == TaggingRow.id).exists(),
        )
        .order_by(TaggingRow.id.desc())
        .limit(_TRIED)
    )
    return [Tagging(*row) for row in session.execute(query)]


def sample_ids(session: Session, dataset_id: int) -> Mapping[str, int]:
    """Return the ids of a dataset's images by their paths and their names, which differ from one another."""
    query = select(SampleRow.id, SampleRow.path, SampleRow.name)
    here = query.where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    found: dict[str, int] = {}
    for number, path, name in session.execute(here):
        found[path] = found[name] = number
    return found


def names_and_masks(session: Session, dataset_id: int) -> list[tuple[int, str, str | None]]:
    """Return (id, name, hash of the given mask) of a dataset's images, by id."""
    query = select(SampleRow.id, SampleRow.name, SampleRow.mask_hash)
    here = query.where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None)).order_by(SampleRow.id)
    return [(row[0], row[1], row[2]) for row in session.execute(here)]


def _newest(*which: ColumnElement[bool]) -> Select[int]:
    return select(func.max(TaggingRow.id)).where(*which).group_by(TaggingRow.sample_id)


def _by_sample(session: Session, numbers: Select[int]) -> dict[int, Tagging]:
    return {row.sample_id: Tagging(*row) for row in session.execute(_rows().where(TaggingRow.id.in_(numbers)))}


def _rows() -> Select[*tuple[Any, ...]]:
    row = TaggingRow
    columns = (row.id, row.sample_id, row.classes, AnnotatorRow.name, row.tagged_at, row.undoes_id)
    return select(*columns).outerjoin(AnnotatorRow, AnnotatorRow.id == row.annotator_id)


def _one(session: Session, *which: ColumnElement[bool]) -> Tagging | None:
    found = session.execute(_rows().where(*which)).one_or_none()
    return None if found is None else Tagging(*found)
