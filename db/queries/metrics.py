"""Numbers for monitoring: jobs by state, waiting jobs, decisions by act."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.types import JobStatus
from db.models import ChangesetRow, ExportRow, FoldRunRow, ImportRow, RoundRow


def jobs_by_state(session: Session) -> dict[tuple[str, str], int]:
    """Return the number of rounds, imports and exports in each state, by (kind, state); absent: none."""
    found: dict[tuple[str, str], int] = {}
    for kind, row in (("round", RoundRow), ("import", ImportRow), ("export", ExportRow)):
        for status, count in session.execute(select(row.status, func.count()).group_by(row.status)):
            found[kind, status.value] = count
    return found


def waiting_folds(session: Session) -> int:
    """Return the number of folds of running rounds that no worker has begun."""
    waiting = FoldRunRow.status == JobStatus.QUEUED
    running = RoundRow.status == JobStatus.RUNNING
    query = select(func.count()).select_from(FoldRunRow).join(RoundRow, RoundRow.id == FoldRunRow.round_id)
    return session.scalar(query.where(waiting, running)) or 0


def decisions_after(session: Session, changeset_id: int) -> tuple[int, dict[str, int]]:
    """Return the newest changeset's id, and the number of decisions of the later ones by act."""
    later = ChangesetRow.id > changeset_id
    query = (
        select(ChangesetRow.act, func.sum(ChangesetRow.size))
        .where(later, ChangesetRow.size > 0)
        .group_by(ChangesetRow.act)
    )
    found = {act.value: int(size) for act, size in session.execute(query)}
    return session.scalar(select(func.max(ChangesetRow.id)).where(later)) or changeset_id, found
