"""Rows that no SELECT finds: what was deleted, and what a user may not see. In one place, so that no list forgets them.

Deleted datasets, rounds and images, and undone imports, are hidden unless a statement asks for them by `WITH_DELETED`.
A finding whose image is removed has the status `REMOVED`, which the indexes of the queue hold, so that hiding it costs
no look at the image.

Datasets that are restricted to members are hidden from everybody else. Who looks is said once, around a request or by
the source that pages name; then every SELECT of that thread leaves out the rows of the datasets that the user may not
see, as if they were not there. Where it is not said (the worker, commands, an installation without login, admins),
everything is seen.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, or_, select
from sqlalchemy.orm import InstrumentedAttribute, ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.orm.interfaces import ORMOption

from core.types import Status
from db.models import (
    AuditRow,
    DatasetMemberRow,
    DatasetRow,
    DeletionRow,
    ExportRow,
    FindingCountRow,
    FindingRow,
    ImportRow,
    RoundRow,
    SampleRow,
    UserRow,
)

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

Source = Callable[[], str | None]
_HIDDEN = "hidden"  # in the `info` of a session
_MOST_CACHED = 256
_BY_DATASET = (AuditRow, DeletionRow, ExportRow, RoundRow, SampleRow)
# the second is that of an import which is to change a dataset and has not ended
_OF_IMPORT = (ImportRow.dataset_id, ImportRow.request["dataset_id"].as_integer())
_BY_ROUND = (FindingRow, FindingCountRow)
# tables, not classes: nothing is hidden from these
_SAMPLES = SampleRow.metadata.tables[SampleRow.__tablename__]
_DATASETS, _ROUNDS, _MEMBERS, _USERS = (
    row.metadata.tables[row.__tablename__] for row in (DatasetRow, RoundRow, DatasetMemberRow, UserRow)
)
_EVERYTHING = ""
_VIEWER: ContextVar[str | None] = ContextVar("viewer", default=None)  # a name; "": everything; None: not set
_SOURCES: list[Source] = []


def hide_deleted(state: ORMExecuteState) -> None:
    """Leave deleted rows out of a SELECT, wherever it names or joins their table."""
    if state.is_select and not state.execution_options.get("with_deleted"):
        state.statement = state.statement.options(*_PRESENT)


def is_removed(sample_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Return the condition that the image a row refers to is removed: for statements that write, which hide nothing."""
    sample = _SAMPLES.alias()
    return select(sample.c.id).where(sample.c.id == sample_id, sample.c.removed_by.is_not(None)).exists()


@dataclass(frozen=True, slots=True)
class Hidden:
    """Datasets and rounds that are hidden from a user."""

    datasets: tuple[int, ...]
    rounds: tuple[int, ...]


@contextmanager
def seen_by(name: str | None) -> Iterator[None]:
    """Hide rows that this user may not see (None: nothing) in all reads within the block."""
    token = _VIEWER.set(name or _EVERYTHING)
    try:
        yield
    finally:
        _VIEWER.reset(token)


def everything_seen() -> Any:  # noqa: ANN401  # a context manager
    """Hide nothing in reads within the block: for checks whose answer reveals nothing."""
    return seen_by(None)


def set_viewer_source(source: Source) -> None:
    """Register the function that returns the user outside a request, replacing any former one; None: everything."""
    _SOURCES[:] = [source]


def is_limited() -> bool:
    """Return whether the one who looks may not see everything."""
    return bool(_viewer())


def _viewer() -> str:
    viewer = _VIEWER.get()
    if viewer is None and _SOURCES:
        viewer = _SOURCES[0]()
    return viewer or _EVERYTHING


def note_hidden(session: Session) -> None:
    """Store at the start of a session which datasets are hidden in it."""
    viewer = _viewer()
    if not viewer:
        return
    own = (
        select(_MEMBERS.c.dataset_id)
        .join(_USERS, _USERS.c.id == _MEMBERS.c.user_id)
        .where(_USERS.c.folded_name == viewer.casefold())
    )
    datasets = select(_DATASETS.c.id).where(_DATASETS.c.restricted, _DATASETS.c.id.not_in(own))
    connection = session.connection()
    hidden = tuple(connection.scalars(datasets))
    if hidden:
        rounds = select(_ROUNDS.c.id).where(_ROUNDS.c.dataset_id.in_(hidden))
        session.info[_HIDDEN] = Hidden(hidden, tuple(connection.scalars(rounds)))


def hidden_in(session: Session) -> Hidden:
    """Return the datasets and rounds that are hidden in a session."""
    hidden: Hidden = session.info.get(_HIDDEN, Hidden((), ()))
    return hidden


def hide_restricted(state: ORMExecuteState) -> None:
    """Leave the rows of hidden datasets out of a SELECT, wherever it names or joins their table."""
    hidden = hidden_in(state.session)
    if not hidden.datasets or not state.is_select:
        return
    state.statement = state.statement.options(*_criteria(hidden))


@lru_cache(_MOST_CACHED)
def _criteria(hidden: Hidden) -> tuple[ORMOption, ...]:
    """Return the criteria that omit hidden rows; cached, since making them takes longer than most statements run."""
    return (
        with_loader_criteria(DatasetRow, DatasetRow.id.not_in(hidden.datasets), include_aliases=True),
        *(
            with_loader_criteria(row, row.dataset_id.not_in(hidden.datasets), include_aliases=True)
            for row in _BY_DATASET
        ),
        *(with_loader_criteria(ImportRow, _outside(of, hidden.datasets), include_aliases=True) for of in _OF_IMPORT),
        *(with_loader_criteria(row, row.round_id.not_in(hidden.rounds), include_aliases=True) for row in _BY_ROUND),
    )


def _outside(column: SQLColumnExpression[Any], hidden: tuple[int, ...]) -> ColumnElement[bool]:
    return or_(column.is_(None), column.not_in(hidden))
