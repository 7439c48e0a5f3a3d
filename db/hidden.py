"""Deleted datasets, rounds and images, and undone imports, hidden from every SELECT in one place.

So no list and no count can forget them. A finding whose image is removed has the status `REMOVED`, which the indexes of
the queue hold, so that hiding it costs no look at the image.
"""

from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute, ORMExecuteState, with_loader_criteria

from core.types import Status
from db.models import DatasetRow, FindingCountRow, FindingRow, ImportRow, RoundRow, SampleRow

WITH_DELETED: dict[str, Any] = {"with_deleted": True}  # execution options of a statement that is to find them too

_PRESENT = [
    *(
        with_loader_criteria(row, row.deleted_at.is_(None), include_aliases=True)
        for row in (DatasetRow, RoundRow, ImportRow)
    ),
    with_loader_criteria(SampleRow, SampleRow.removed_by.is_(None), include_aliases=True),
    *(
        with_loader_criteria(row, row.status != Status.REMOVED, include_aliases=True)
        for row in (FindingRow, FindingCountRow)
    ),
]
_SAMPLES = SampleRow.metadata.tables[SampleRow.__tablename__]  # the table, not the class: nothing is hidden from it


def hide_deleted(state: ORMExecuteState) -> None:
    """Leave deleted rows out of a SELECT, wherever it names or joins their table."""
    if state.is_select and not state.execution_options.get("with_deleted"):
        state.statement = state.statement.options(*_PRESENT)


def is_removed(sample_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Return the condition that the image a row refers to is removed: for statements that write, which hide nothing."""
    sample = _SAMPLES.alias()
    return select(sample.c.id).where(sample.c.id == sample_id, sample.c.removed_by.is_not(None)).exists()
