"""Worker processes: one row a slot, with the heartbeat it wrote last."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from db.models import WorkerRow


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker as it last wrote of itself."""

    slot: str
    pid: int
    device: str
    doing: str
    started_at: datetime
    heartbeat_at: datetime


def beat(session: Session, worker: WorkerInfo) -> None:
    """Write a worker's heartbeat; a slot's new worker takes its row over."""
    values = {name: getattr(worker, name) for name in WorkerInfo.__dataclass_fields__}
    changed = session.execute(update(WorkerRow).where(WorkerRow.slot == worker.slot).values(**values))
    if not changed.rowcount:  # type: ignore[attr-defined]  # an update's result is a CursorResult
        session.add(WorkerRow(**values))


def list_workers(session: Session) -> list[WorkerInfo]:
    """Return every worker that has not signed off, youngest heartbeat first."""
    columns = [getattr(WorkerRow, name) for name in WorkerInfo.__dataclass_fields__]
    return [WorkerInfo(*found) for found in session.execute(select(*columns).order_by(WorkerRow.heartbeat_at.desc()))]


def lock_silent(session: Session, worker: WorkerInfo) -> bool:
    """Lock a worker's row until the transaction ends; return False if it has beaten since, or is locked already."""
    query = select(WorkerRow.slot).where(
        WorkerRow.slot == worker.slot, WorkerRow.pid == worker.pid, WorkerRow.heartbeat_at == worker.heartbeat_at
    )
    return session.scalar(query.with_for_update(skip_locked=True)) is not None


def forget(session: Session, slot: str) -> None:
    """Delete a worker's row."""
    session.execute(delete(WorkerRow).where(WorkerRow.slot == slot))
