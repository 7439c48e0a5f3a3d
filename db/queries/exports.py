"""Exports, and the decisions and rounds that an export reads, as plain values."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.types import ExportError, JobStatus
from db.models import (
    AuditRow,
    ChangesetRow,
    DatasetRow,
    DecisionRow,
    DeletionRow,
    ExportRow,
    FindingRow,
    ImportRow,
    RoundRow,
)
from db.queries.evaluation import splits_of_dataset
from db.queries.imports import added_folders
from db.visibility import WITH_DELETED

_UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class ExportInfo:
    """One export; `path` is its target, `manifest` its content once it is done."""

    id: int
    dataset_id: int
    dataset: str
    request: dict[str, Any]
    status: JobStatus
    done: int
    total: int
    path: str
    message: str
    manifest: dict[str, Any] | None
    created_by: str
    created_at: datetime
    finished_at: datetime | None


def add_export(session: Session, dataset_id: int, request: dict[str, Any], path: str, by: str) -> int:
    """Queue an export and return its id."""
    row = ExportRow(
        dataset_id=dataset_id,
        request=request,
        status=JobStatus.QUEUED,
        done=0,
        total=0,
        path=path,
        message="waiting for the worker",
        created_by=by,
        created_at=datetime.now(UTC),
    )
    session.add(row)
    session.flush()
    return row.id


def set_path(session: Session, export_id: int, path: str) -> None:
    """Store the target of an export."""
    session.execute(update(ExportRow).where(ExportRow.id == export_id).values(path=path))


def get_export(session: Session, export_id: int) -> ExportInfo:
    """Return one export.

    Raises:
        ExportError: there is none with this id.
    """
    found = session.execute(_exports().where(ExportRow.id == export_id)).one_or_none()
    if found is None:
        raise ExportError(f"there is no export {export_id}", "the Export page lists them all")
    return ExportInfo(*found)


def list_exports(session: Session, dataset_id: int | None = None, limit: int = 50) -> list[ExportInfo]:
    """Return the exports of one dataset, or of all, newest first."""
    query = _exports().order_by(ExportRow.id.desc()).limit(limit)
    if dataset_id is not None:
        query = query.where(ExportRow.dataset_id == dataset_id)
    return [ExportInfo(*found) for found in session.execute(query)]


def unfinished_exports(session: Session) -> list[ExportInfo]:
    """Return the exports that wait or run, oldest first."""
    query = _exports().where(ExportRow.status.in_(_UNFINISHED)).order_by(ExportRow.id)
    return [ExportInfo(*found) for found in session.execute(query)]


def find_unfinished(session: Session, path: str) -> int | None:
    """Return the export that is on its way to this path."""
    query = select(ExportRow.id).where(ExportRow.path == path, ExportRow.status.in_(_UNFINISHED))
    return session.scalar(query.limit(1))


def note_progress(session: Session, export_id: int, done: int, total: int, message: str) -> bool:
    """Write how far an export is; False when it was ended meanwhile."""
    values = {"status": JobStatus.RUNNING, "done": done, "total": total, "message": message}
    return _change(session, export_id, values)


def finish_export(
    session: Session, export_id: int, status: JobStatus, message: str, manifest: dict[str, Any] | None = None
) -> bool:
    """Write how an export ended; False: it had ended already and stays as it is."""
    values = {"status": status, "message": message, "manifest": manifest, "finished_at": datetime.now(UTC)}
    return _change(session, export_id, values)


def decision_confidences(session: Session, dataset_id: int) -> dict[int, float]:
    """Return the confidence of the suggestion that each live decision was made on, by the decision's number."""
    query = (
        select(DecisionRow.id, FindingRow.confidence)
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .join(FindingRow, FindingRow.id == DecisionRow.finding_id)
        .where(ChangesetRow.dataset_id == dataset_id, ChangesetRow.live)
    )
    return {key: value for key, value in session.execute(query)}  # noqa: C416 typed as it reads


def round_numbers(session: Session, dataset_id: int) -> dict[int, int]:
    """Return the number of each of a dataset's rounds, by its id."""
    query = select(RoundRow.id, RoundRow.number).where(RoundRow.dataset_id == dataset_id)
    found = session.execute(query, execution_options=WITH_DELETED)  # verdicts of a deleted round still count
    return {key: value for key, value in found}  # noqa: C416 typed as it reads


def finished_rounds(session: Session, dataset_id: int) -> list[dict[str, Any]]:
    """Return the records from which finished rounds can be repeated, oldest first."""
    columns = (
        RoundRow.number, RoundRow.snapshot_hash, RoundRow.recipe, RoundRow.recipe_config, RoundRow.config,
        RoundRow.versions, RoundRow.metrics["networks"],
    )  # fmt: skip
    query = select(*columns).where(RoundRow.dataset_id == dataset_id, RoundRow.status == JobStatus.DONE)
    return [
        {
            "number": number,
            "snapshot_hash": digest,
            "recipe": recipe.value,
            "recipe_config": own,
            "config": config,
            "versions": versions,
            **({"networks": networks} if networks else {}),  # of a mix: each one's weight and agreement
        }
        for number, digest, recipe, own, config, versions, networks in session.execute(query.order_by(RoundRow.number))
    ]


def label_state(session: Session, dataset_id: int) -> str:
    """Name the moment of a dataset's last act, import and deletion, its evaluation splits and closed audits."""
    acts = select(func.max(ChangesetRow.id)).where(ChangesetRow.dataset_id == dataset_id)
    imports = select(func.max(ImportRow.id)).where(
        ImportRow.dataset_id == dataset_id, ImportRow.status == JobStatus.DONE
    )
    closed = select(func.count(AuditRow.closed_at)).where(AuditRow.dataset_id == dataset_id)
    deletion = DeletionRow
    deleted = select(func.count(deletion.id) + func.count(deletion.restored_at)).where(
        deletion.dataset_id == dataset_id
    )
    numbers = [session.scalar(one) or 0 for one in (acts, imports, closed, deleted)]
    protected = splits_of_dataset(session, dataset_id)
    return f"{'-'.join(map(str, numbers))}-{'/'.join(protected)}"


def dataset_roots(session: Session) -> list[str]:
    """Return the folders of every dataset's originals: its source, and folders that were added to it."""
    known = session.execute(select(DatasetRow.root, DatasetRow.options))
    return [folder for root, options in known for folder in (root, *added_folders(options))]


def _exports() -> Any:  # noqa: ANN401 a select of many columns
    columns = [
        DatasetRow.name if name == "dataset" else getattr(ExportRow, name) for name in ExportInfo.__dataclass_fields__
    ]
    return select(*columns).join(DatasetRow, DatasetRow.id == ExportRow.dataset_id)


def _change(session: Session, export_id: int, values: dict[str, Any]) -> bool:
    changed = session.execute(
        update(ExportRow)
        .where(ExportRow.id == export_id, ExportRow.status.in_(_UNFINISHED))
        .values(**values)
        .returning(ExportRow.id)
    )
    return changed.first() is not None
