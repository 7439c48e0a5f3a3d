"""Imports: their progress, the problems they found, the folders they added, and what they changed.

A dataset comes from its root; `options["unlabelled_folders"]` names the added folders. An import covers its own samples
only (`in_scope`): for an added folder those below it that were imported as such, for any other import all but those. So
neither marks the other's samples as missing.

Changes that an import made to images and to the row of its dataset are kept so that it can be undone. A value is put
back only where it is still the one that the import wrote: what was changed again since stays.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, true, update
from sqlalchemy.orm import Session

from core.types import DatasetError, JobStatus, Problem, Severity
from db.models import DatasetRow, ImportChangeRow, ImportRow, IncomingRow, ProblemRow, SampleRow
from db.visibility import WITH_DELETED

_ROWS = 1_000  # at once
UNLABELLED_FOLDERS = "unlabelled_folders"
UNLABELLED_SPLIT = "unlabelled"
DATASET_COLUMNS = ("root", "format", "options")
VANISHED = "vanished"  # in addition to an image's columns: it was missing
MADE = "made"  # of the import that made the dataset
ImportChange = tuple[int, str, dict[str, list[Any]]]
"""An image that an import changed, its path now, and the changed columns by name, as [before, after]."""


@dataclass(frozen=True, slots=True)
class ImportInfo:
    """One run of an import. `report` is None until it has ended well."""

    id: int
    dataset_id: int | None
    request: dict[str, Any]
    status: JobStatus
    done: int
    total: int
    message: str
    report: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


def add_import(session: Session, request: dict[str, Any]) -> int:
    """Queue an import and return its id."""
    row = ImportRow(request=request, status=JobStatus.QUEUED, done=0, total=0, message="", created_at=datetime.now(UTC))
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
        raise DatasetError(f"there is no import {import_id}", "it may have been started in another installation")
    return found


def find_import(session: Session, import_id: int) -> ImportInfo | None:
    """Return one import."""
    row = session.get(ImportRow, import_id)
    return None if row is None else _info(row)


def unfinished_imports(session: Session) -> list[ImportInfo]:
    """Return the imports that wait or run, oldest first."""
    unfinished = ImportRow.status.in_([JobStatus.QUEUED, JobStatus.RUNNING])
    return [_info(row) for row in session.scalars(select(ImportRow).where(unfinished).order_by(ImportRow.id))]


def latest_imports(session: Session, limit: int = 20) -> list[ImportInfo]:
    """Return the newest imports, newest first."""
    return [_info(row) for row in session.scalars(select(ImportRow).order_by(ImportRow.id.desc()).limit(limit))]


def done_imports(session: Session, dataset_id: int) -> list[ImportInfo]:
    """Return the imports of a dataset that ended well and were not undone, newest first."""
    done = (ImportRow.dataset_id == dataset_id, ImportRow.status == JobStatus.DONE)
    return [_info(row) for row in session.scalars(select(ImportRow).where(*done).order_by(ImportRow.id.desc()))]


def change_report(session: Session, import_id: int, figures: dict[str, Any]) -> None:
    """Update some counts in an import's report."""
    row = session.get(ImportRow, import_id)
    if row is not None:
        row.report = {**(row.report or {}), **figures}
        session.flush()


def note_progress(session: Session, import_id: int, done: int, total: int, message: str) -> bool:
    """Write how far an import is; False when it was ended meanwhile."""
    written = session.execute(
        update(ImportRow)
        .where(ImportRow.id == import_id, ImportRow.status.in_([JobStatus.QUEUED, JobStatus.RUNNING]))
        .values(status=JobStatus.RUNNING, done=done, total=total, message=message)
        .returning(ImportRow.id)
    )
    return written.first() is not None


def finish_import(
    session: Session,
    import_id: int,
    status: JobStatus,
    message: str = "",
    *,
    dataset_id: int | None = None,
    report: dict[str, Any] | None = None,
    dataset_change: dict[str, Any] | None = None,
) -> bool:
    """Write how an import ended, and the columns of its dataset that it wrote; false: it had ended already."""
    written = session.execute(
        update(ImportRow)
        .where(ImportRow.id == import_id, ImportRow.status.in_([JobStatus.QUEUED, JobStatus.RUNNING]))
        .values(
            status=status,
            message=message,
            dataset_id=dataset_id,
            report=report,
            dataset_change=dataset_change,
            finished_at=datetime.now(UTC),
        )
        .returning(ImportRow.id)
    )
    return written.first() is not None


def last_done(session: Session, dataset_id: int) -> int | None:
    """Return the dataset's newest import that ended well."""
    done = (ImportRow.dataset_id == dataset_id, ImportRow.status == JobStatus.DONE)
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
    """Return the matching problems of these imports in the order of the files."""
    query = select(ProblemRow).where(*_fitting(import_ids, severity, kind, text)).order_by(ProblemRow.id).limit(limit)
    return [Problem(row.severity, row.kind, row.path, row.message, row.cure) for row in session.scalars(query)]


def problem_counts(session: Session, import_ids: Collection[int]) -> list[tuple[Severity, str, int]]:
    """Return (severity, kind, count) of the stored problems of these imports, errors first, most frequent first."""
    query = (
        select(ProblemRow.severity, ProblemRow.kind, func.count())
        .where(ProblemRow.import_id.in_(import_ids))
        .group_by(ProblemRow.severity, ProblemRow.kind)
        .order_by(ProblemRow.severity, func.count().desc(), ProblemRow.kind)
    )
    return [(severity, kind, count) for severity, kind, count in session.execute(query)]


def added_folders(options: dict[str, Any] | None) -> list[str]:
    """Return the folders that were added to the dataset with these options."""
    return list((options or {}).get(UNLABELLED_FOLDERS, []))


def in_scope(session: Session, import_id: int, dataset_id: int) -> ColumnElement[bool]:
    """Return the condition that an import covers a sample."""
    request = session.scalar(select(ImportRow.request).where(ImportRow.id == import_id)) or {}
    if request.get("unlabelled"):
        return _below(str(request["source"]))
    folders = added_folders(session.scalar(select(DatasetRow.options).where(DatasetRow.id == dataset_id)))
    return ~or_(*map(_below, folders)) if folders else true()


def current_problem_imports(session: Session, dataset_id: int | None = None) -> dict[int, list[int]]:
    """Return the imports with current problems by dataset, oldest first: for each source the one that read it last.

    The problems of an added folder are current until it, or a folder around it, is read again.
    """
    query = select(ImportRow.dataset_id, ImportRow.id, ImportRow.request).where(
        ImportRow.status == JobStatus.DONE,
        ImportRow.dataset_id.is_not(None) if dataset_id is None else ImportRow.dataset_id == dataset_id,
    )
    found: dict[int, dict[PurePath | None, int]] = {}
    for owner, import_id, request in session.execute(query.order_by(ImportRow.id)):
        source, last = _added_folder(request), found.setdefault(owner, {})
        for former in [one for one in last if one == source or (one and source and one.is_relative_to(source))]:
            del last[former]
        last[source] = import_id
    return {owner: sorted(last.values()) for owner, last in found.items()}


def leave_out_others(session: Session, import_id: int, dataset_id: int) -> None:
    """Forget staged images of an added folder that came into the dataset another way, labelled perhaps."""
    others = select(SampleRow.path).where(SampleRow.dataset_id == dataset_id, SampleRow.split != UNLABELLED_SPLIT)
    session.execute(delete(IncomingRow).where(IncomingRow.import_id == import_id, IncomingRow.path.in_(others)))


def count_images(session: Session, dataset_id: int) -> dict[str, Any]:
    """Count the images of a dataset by split, and those of them that have neither a label nor a mask."""
    present = (SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    bare = SampleRow.label.is_(None) & SampleRow.mask_hash.is_(None)
    splits = session.execute(
        select(SampleRow.split, func.count()).where(*present).group_by(SampleRow.split).order_by(SampleRow.split)
    )
    counted = {split: count for split, count in splits}  # noqa: C416  rows are not pairs to the type checker
    unlabelled = session.scalars(select(func.count()).select_from(SampleRow).where(*present, bare)).one()
    return {"images": sum(counted.values()), "splits": counted, "unlabelled": unlabelled}


def add_changes(session: Session, import_id: int, changes: Iterable[tuple[int, dict[str, Any]]]) -> None:
    """Store the changes of an import to images."""
    listed = list(changes)  # the statement they come from reads tables that are written next
    for start in range(0, len(listed), _ROWS):
        some = listed[start : start + _ROWS]
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
    """Return the columns of its dataset that an import wrote, as (before, after); None if not stored."""
    query = select(ImportRow.dataset_change).where(ImportRow.id == import_id)
    return session.scalar(query, execution_options=WITH_DELETED)


def added_ids(session: Session, import_id: int, dataset_id: int) -> list[int]:
    """Return the images that an import added and that are not removed."""
    query = select(SampleRow.id).where(SampleRow.dataset_id == dataset_id, SampleRow.import_id == import_id)
    return list(session.scalars(query.order_by(SampleRow.id)))


def write_changes(session: Session, changes: Sequence[ImportChange], now: datetime, *, forward: bool) -> list[int]:
    """Put the values back that were before an import, or `forward` those it wrote; return images whose split moved."""
    moved: list[int] = []
    for start in range(0, len(changes), _ROWS):
        some = changes[start : start + _ROWS]
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


def set_undone(session: Session, import_id: int, at: datetime | None) -> None:
    """Hide an import, or show it again."""
    session.execute(update(ImportRow).where(ImportRow.id == import_id).values(deleted_at=at))


def remove_changes(session: Session, import_id: int, limit: int) -> int:
    """Remove up to this number of stored changes of an import, and return their number."""
    some = select(ImportChangeRow.id).where(ImportChangeRow.import_id == import_id).limit(limit)
    found = list(session.scalars(some))
    session.execute(delete(ImportChangeRow).where(ImportChangeRow.id.in_(found)))
    return len(found)


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


def _added_folder(request: Mapping[str, Any]) -> PurePath | None:
    """Return the folder that an import added, None if it read the dataset's own source."""
    return PurePath(str(request["source"])) if request.get("unlabelled") else None


def _below(folder: str) -> ColumnElement[bool]:
    inside = folder.rstrip("/") + "/"
    return (SampleRow.split == UNLABELLED_SPLIT) & (func.substr(SampleRow.path, 1, len(inside)) == inside)
