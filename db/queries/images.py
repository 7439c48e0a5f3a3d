"""Where the images are, by content."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import DatasetRow, SampleRow


def options_of(session: Session, content_hash: str) -> list[dict[str, Any]]:
    """Return how the datasets that have an image of this content were imported, the newest dataset first."""
    inside = select(SampleRow.dataset_id).where(SampleRow.content_hash == content_hash)
    query = select(DatasetRow.options).where(DatasetRow.id.in_(inside)).order_by(DatasetRow.id.desc())
    return list(session.scalars(query))


def files_of(session: Session, content_hash: str) -> list[tuple[str, int]]:
    """Return (path, size in bytes) of the files that had this content when they were imported; seen last first."""
    same = select(SampleRow.path, SampleRow.bytes).where(SampleRow.content_hash == content_hash)
    rows = session.execute(same.order_by(SampleRow.vanished_at.is_not(None), SampleRow.id).limit(10)).all()
    return [(row[0], row[1]) for row in rows]
