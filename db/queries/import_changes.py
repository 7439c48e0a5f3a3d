"""Changes that an import made to images and to the row of its dataset, kept so that it can be undone.

A value is put back only where it is still the one that the import wrote: what was changed again since stays.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from db.hidden import WITH_DELETED
from db.models import DatasetRow, ImportChangeRow, ImportRow, SampleRow, TaggingRow
from db.queries.tags import NewTagging, add_taggings

_CHUNK = 1_000  # rows of one statement
DATASET_COLUMNS = ("root", "format", "options")
VANISHED = "vanished"  # in addition to an image's columns: it was missing
MADE = "made"  # of the import that made the dataset


ImportChange = tuple[int, str, dict[str, list[Any]]]
"""An image that an import changed, its path now, and the changed columns by name, as [before, after]."""


def add(session: Session, import_id: int, changes: Iterable[tuple[int, dict[str, Any]]]) -> None:
    """Store what an import changes of images."""
    listed = list(changes)  # the statement they come from reads tables that are written next
    for start in range(0, len(listed), _CHUNK):
        some = listed[start : start + _CHUNK]
        rows = [{"import_id": import_id, "sample_id": sample_id, "changed": changed} for sample_id, changed in some]
        session.execute(insert(ImportChangeRow), rows)


def changes_of_import(session: Session, import_id: int) -> list[ImportChange]:
    """Return the changes of images that an import made, removed ones too."""
    query = (
        select(ImportChangeRow.sample_id, SampleRow.path, ImportChangeRow.changed)
        .join(SampleRow, SampleRow.id == ImportChangeRow.sample_id)
        .where(ImportChangeRow.import_id == import_id)
        .order_by(ImportChangeRow.id)
    )
    found = session.execute(query, execution_options=WITH_DELETED)
    return [(sample_id, path, changed) for sample_id, path, changed in found]


def dataset_change(session: Session, import_id: int) -> dict[str, Any] | None:
    """Return the columns of its dataset that an import wrote, as (before, after); None where that was not noted."""
    query = select(ImportRow.dataset_change).where(ImportRow.id == import_id)
    return session.scalar(query, execution_options=WITH_DELETED)


def added_ids(session: Session, import_id: int, dataset_id: int) -> list[int]:
    """Return the images that an import added and that are not removed."""
    query = select(SampleRow.id).where(SampleRow.dataset_id == dataset_id, SampleRow.import_id == import_id)
    return list(session.scalars(query.order_by(SampleRow.id)))


def write(session: Session, changes: Sequence[ImportChange], now: datetime, *, forward: bool) -> list[int]:
    """Put the values back that were before an import, or `forward` those it wrote; return images whose split moved."""
    moved: list[int] = []
    for start in range(0, len(changes), _CHUNK):
        some = changes[start : start + _CHUNK]
        chosen = select(SampleRow).where(SampleRow.id.in_([sample_id for sample_id, _, _ in some]))
        rows = {row.id: row for row in session.scalars(chosen, execution_options=WITH_DELETED)}
        for sample_id, _, changed in some:
            row = rows[sample_id]
            for name, (before, after) in changed.items():
                old, new = (before, after) if forward else (after, before)
                if name == VANISHED:
                    if (row.vanished_at is not None) is old:
                        row.vanished_at = now if new else None
                elif getattr(row, name) == old:
                    setattr(row, name, new)
                    if name == "split":
                        moved.append(row.id)
        session.flush()
        session.expire_all()
    return moved


def write_dataset(session: Session, dataset_id: int, changed: dict[str, Any], *, forward: bool) -> None:
    """Undo or redo the changes of an import to its dataset's columns, unless they were changed since."""
    row = session.get(DatasetRow, dataset_id)
    for name, (before, after) in changed.items():
        old, new = (before, after) if forward else (after, before)
        if row is not None and name in DATASET_COLUMNS and getattr(row, name) == old:
            setattr(row, name, new)
    session.flush()


def tags_of_import(session: Session, import_id: int) -> list[tuple[int, int, list[int] | None]]:
    """Return the tags that an import brought and that still count, as (row, image, classes)."""
    brought = select(TaggingRow.sample_id).where(TaggingRow.import_id == import_id)
    newest = select(func.max(TaggingRow.id)).where(TaggingRow.sample_id.in_(brought)).group_by(TaggingRow.sample_id)
    query = (
        select(TaggingRow.id, TaggingRow.sample_id, TaggingRow.classes)
        .join(SampleRow, SampleRow.id == TaggingRow.sample_id)
        .where(TaggingRow.id.in_(newest), TaggingRow.import_id == import_id)
        .order_by(TaggingRow.id)
    )
    return [(number, sample_id, classes) for number, sample_id, classes in session.execute(query)]


def take_tags_back(session: Session, import_id: int, now: datetime) -> None:
    """Repeat the tags that images had before an import brought others."""
    rows = []
    for number, sample_id, _ in tags_of_import(session, import_id):
        before = select(TaggingRow.classes).where(TaggingRow.sample_id == sample_id, TaggingRow.id < number)
        classes = session.scalar(before.order_by(TaggingRow.id.desc()).limit(1))
        rows.append(NewTagging(sample_id=sample_id, classes=classes, tagged_at=now, undoes_id=number))
    add_taggings(session, rows)


def bring_tags_again(session: Session, import_id: int, now: datetime) -> None:
    """Repeat an undone import's changes to images that have not changed since."""
    undone = select(TaggingRow.sample_id, TaggingRow.id, TaggingRow.classes).where(TaggingRow.import_id == import_id)
    rows = []
    for sample_id, number, classes in session.execute(undone).all():
        newest = select(TaggingRow.undoes_id).where(TaggingRow.sample_id == sample_id)
        if session.scalar(newest.order_by(TaggingRow.id.desc()).limit(1)) == number:
            rows.append(NewTagging(sample_id=sample_id, classes=classes, tagged_at=now, import_id=import_id))
    add_taggings(session, rows)


def set_undone(session: Session, import_id: int, at: datetime | None) -> None:
    """Hide an import, or show it again."""
    session.execute(update(ImportRow).where(ImportRow.id == import_id).values(deleted_at=at))


def remove_some(session: Session, import_id: int, limit: int) -> int:
    """Remove up to so many notes on what an import changed, and return how many there were."""
    some = select(ImportChangeRow.id).where(ImportChangeRow.import_id == import_id).limit(limit)
    found = list(session.scalars(some))
    session.execute(delete(ImportChangeRow).where(ImportChangeRow.id.in_(found)))
    return len(found)
