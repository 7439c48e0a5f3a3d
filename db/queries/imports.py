"""Imports and the problems they found, as plain values."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.orm import Session

from core.types import DatasetError, Problem, RoundStatus, Severity
from db.models import ImportRow, ProblemRow

_ROWS = 1_000  # at once


@dataclass(frozen=True, slots=True)
class ImportInfo:
    """One run of an import. `report` is None until it has ended well."""

    id: int
    dataset_id: int | None
    request: dict[str, Any]
    status: RoundStatus
    done: int
    total: int
    message: str
    report: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProblemCount:
    """How many problems of one kind there are."""

    severity: Severity
    kind: str
    count: int


def add_import(session: Session, request: dict[str, Any]) -> int:
    """Queue an import and return its id."""
    row = ImportRow(
        request=request, status=RoundStatus.QUEUED, done=0, total=0, message="", created_at=datetime.now(UTC)
    )
    session.add(row)
    session.flush()
    return row.id


def get_import(session: Session, import_id: int) -> ImportInfo:
    """Return one import.

    Raises:
        DatasetError: there is none with this id.
    """
    found = find_import(session, import_id)
    if found is None:
        raise DatasetError(f"there is no import {import_id}; it may have been started in another installation")
    return found


def find_import(session: Session, import_id: int) -> ImportInfo | None:
    """Return one import."""
    row = session.get(ImportRow, import_id)
    return None if row is None else _info(row)


def unfinished_imports(session: Session) -> list[ImportInfo]:
    """Return the imports that wait or run, oldest first."""
    unfinished = ImportRow.status.in_([RoundStatus.QUEUED, RoundStatus.RUNNING])
    return [_info(row) for row in session.scalars(select(ImportRow).where(unfinished).order_by(ImportRow.id))]


def latest_imports(session: Session, limit: int = 20) -> list[ImportInfo]:
    """Return the newest imports, newest first."""
    return [_info(row) for row in session.scalars(select(ImportRow).order_by(ImportRow.id.desc()).limit(limit))]


def note_progress(session: Session, import_id: int, done: int, total: int, message: str) -> bool:
    """Write how far an import is; false when somebody ended it meanwhile."""
    written = session.execute(
        update(ImportRow)
        .where(ImportRow.id == import_id, ImportRow.status.in_([RoundStatus.QUEUED, RoundStatus.RUNNING]))
        .values(status=RoundStatus.RUNNING, done=done, total=total, message=message)
        .returning(ImportRow.id)
    )
    return written.first() is not None


def finish_import(
    session: Session,
    import_id: int,
    status: RoundStatus,
    message: str = "",
    *,
    dataset_id: int | None = None,
    report: dict[str, Any] | None = None,
) -> bool:
    """Write how an import ended; false: it had ended already and stays as it is."""
    written = session.execute(
        update(ImportRow)
        .where(ImportRow.id == import_id, ImportRow.status.in_([RoundStatus.QUEUED, RoundStatus.RUNNING]))
        .values(status=status, message=message, dataset_id=dataset_id, report=report, finished_at=datetime.now(UTC))
        .returning(ImportRow.id)
    )
    return written.first() is not None


def last_done(session: Session, dataset_id: int) -> int | None:
    """Return the dataset's newest import that ended well."""
    done = (ImportRow.dataset_id == dataset_id, ImportRow.status == RoundStatus.DONE)
    return session.scalar(select(func.max(ImportRow.id)).where(*done))


def remove_problems(session: Session, import_id: int) -> None:
    """Forget an import's problems, so that they can be stored again."""
    session.execute(delete(ProblemRow).where(ProblemRow.import_id == import_id))


def add_problems(session: Session, import_id: int, problems: Iterable[Problem]) -> None:
    """Store problems in their order."""
    rows = [{"import_id": import_id, **asdict(problem)} for problem in problems]
    for start in range(0, len(rows), _ROWS):
        session.execute(insert(ProblemRow), rows[start : start + _ROWS])


def problems_of(
    session: Session,
    import_ids: Collection[int],
    *,
    severity: Severity | None = None,
    kind: str | None = None,
    text: str = "",
    limit: int | None = None,
) -> list[Problem]:
    """Return the problems of these imports in the order they were met, those that fit."""
    query = select(ProblemRow).where(*_fitting(import_ids, severity, kind, text)).order_by(ProblemRow.id).limit(limit)
    return [Problem(row.severity, row.kind, row.path, row.message, row.cure) for row in session.scalars(query)]


def problem_counts(session: Session, import_ids: Collection[int]) -> list[ProblemCount]:
    """Count the stored problems of these imports by kind, errors first, the most frequent first."""
    query = (
        select(ProblemRow.severity, ProblemRow.kind, func.count())
        .where(ProblemRow.import_id.in_(import_ids))
        .group_by(ProblemRow.severity, ProblemRow.kind)
        .order_by(ProblemRow.severity, func.count().desc(), ProblemRow.kind)
    )
    return [ProblemCount(*found) for found in session.execute(query)]


def _fitting(
    import_ids: Collection[int], severity: Severity | None, kind: str | None, text: str
) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [ProblemRow.import_id.in_(import_ids)]
    if severity is not None:
        wanted.append(ProblemRow.severity == severity)
    if kind is not None:
        wanted.append(ProblemRow.kind == kind)
    if text:
        wanted.append(ProblemRow.path.contains(text, autoescape=True))
    return wanted


def _info(row: ImportRow) -> ImportInfo:
    return ImportInfo(
        row.id,
        row.dataset_id,
        row.request,
        row.status,
        row.done,
        row.total,
        row.message,
        row.report,
        row.created_at,
        row.finished_at,
    )
