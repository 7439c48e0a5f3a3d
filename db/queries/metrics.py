"""Numbers for monitoring: jobs by state, waiting jobs, decisions by act."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.types import JobStatus
from db.models import ChangesetRow, ExportRow, FoldRunRow, ImportRow, RoundRow, ShardRunRow


def jobs_by_state(session: Session) -> dict[tuple[str, str], int]:
    """Return the number of rounds, imports and exports in each state, by (kind, state); absent: none."""
    found: dict[tuple[str, str], int] = {}
    for kind, row in (("round", RoundRow), ("import", ImportRow), ("export", ExportRow)):
        for status, count in session.execute(select(row.status, func.count()).group_by(row.status)):
            found[kind, status.value] = count
    return found


def waiting_pieces(session: Session) -> dict[str, int]:
    """Return the numbers of queued folds and shards of running rounds."""
    found: dict[str, int] = {}
    for name, row in (("folds", FoldRunRow), ("shards", ShardRunRow)):
        query = select(func.count()).select_from(row).join(RoundRow, RoundRow.id == row.round_id)
        waiting = query.where(row.status == JobStatus.QUEUED, RoundRow.status == JobStatus.RUNNING)
        found[name] = session.scalar(waiting) or 0
    return found


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
