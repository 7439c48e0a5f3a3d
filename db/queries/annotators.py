"""Annotators."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AnnotatorRow, ChangesetRow


def annotator_id(session: Session, name: str, now: datetime) -> int:
    """Return the id of the annotator with this name, who is added when new."""
    known = find_annotator(session, name)
    if known is not None:
        return known
    row = AnnotatorRow(name=name, created_at=now)
    session.add(row)
    session.flush()
    return row.id


def find_annotator(session: Session, name: str) -> int | None:
    """Return the id of the annotator with this name, None when there is none."""
    return session.scalar(select(AnnotatorRow.id).where(AnnotatorRow.name == name))


def annotator_names(session: Session, dataset_id: int) -> list[str]:
    """Return the names of everybody who has decided in a dataset, sorted."""
    here = select(ChangesetRow.annotator_id).where(ChangesetRow.dataset_id == dataset_id)
    names = select(AnnotatorRow.name).where(AnnotatorRow.id.in_(here))
    return list(session.scalars(names.order_by(AnnotatorRow.name)))
