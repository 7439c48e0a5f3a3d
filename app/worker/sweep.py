"""What a worker does for others now and then: take over from those that never came back, settle rows without a job.

Whatever one part of it runs into (a full disk, a share that went away) is logged and concerns no other part: a worker
that stopped looking after others, or beating, would count as lost while it works.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy.orm import Session

from app.services import job_locks, jobs
from app.services.export_run import take_back
from app.services.workers import silent_workers
from app.services.workspace import Workspace
from core.types import RoundStatus, StorageError
from db.queries import exports, imports, rounds, workers

log = logging.getLogger("outfold.worker")

LOST_SECONDS = 60.0  # silent for so long: another worker may take its work
FRESH_SECONDS = 10.0  # a row this young may not have reached the engine yet
LOST_MESSAGE = "the work was interrupted again and again, or its job was lost; start it again"


def sweep(workspace: Workspace) -> None:
    """Hand on what lost workers left, and settle every unfinished row without a job; raises nothing."""
    now = datetime.now(UTC)
    carefully("the look for lost workers", lambda: release_lost(workspace, LOST_SECONDS))
    carefully("the look for lost jobs", lambda: settle_orphans(workspace, now - timedelta(seconds=FRESH_SECONDS)))


def carefully(what: str, act: Callable[[], None]) -> None:
    """Do something that is done again before long; what goes wrong is logged, and a later time may get through."""
    try:
        act()
    except StorageError as error:
        log.warning("%s failed and is tried again: %s", what, error)
    except Exception:
        log.exception("%s failed and is tried again", what)


def release_lost(workspace: Workspace, silent_seconds: float) -> None:
    """Give the jobs of workers whose heartbeat stood still for so long to the others."""
    for lost in silent_workers(workspace, silent_seconds):
        with workspace.database.write() as session:
            if workers.lock_silent(session, lost):
                count = jobs.release_slot(workspace, lost.slot)
                workers.forget(session, lost.slot)
                log.warning("worker %s never came back; %d of its jobs go to others", lost.slot, count)


def settle_orphans(workspace: Workspace, before: datetime) -> None:
    """Enqueue what never reached the engine (a crash between row and job); end what nobody works on any more."""
    with workspace.database.read() as session:
        open_rounds = rounds.unfinished_rounds(session)
        open_imports = imports.unfinished_imports(session)
        open_exports = exports.unfinished_exports(session)
    found = [
        *(
            (row.created_at, row.status, _round(workspace, row.id, rounds.pieces(row.recipe, row.config)))
            for row in open_rounds
        ),
        *((row.created_at, row.status, _import(workspace, row.id)) for row in open_imports),
        *((row.created_at, row.status, _export(workspace, row.id)) for row in open_exports),
    ]
    for created_at, status, orphan in found:
        if created_at <= before:
            carefully(f"settling {orphan.job}", partial(_settle, workspace, orphan, status))


@dataclass(frozen=True, slots=True)
class _Orphan:
    kind: str
    row_id: int
    job: str
    enqueue: Callable[[], None]
    fail: Callable[[Session], object]
    take_back: Callable[[], None] = lambda: None  # what it left unconfirmed


def _settle(workspace: Workspace, orphan: _Orphan, status: RoundStatus) -> None:
    if jobs.is_active(workspace, orphan.job):
        return
    if job_locks.is_held(workspace, orphan.kind, orphan.row_id):
        return  # a command runs it by itself
    if status is RoundStatus.QUEUED:
        orphan.enqueue()
    else:
        log.warning("%s is not known to the engine any more", orphan.job)
        orphan.take_back()
        with workspace.database.write() as session:
            orphan.fail(session)


def _round(workspace: Workspace, row_id: int, pieces: int) -> _Orphan:
    return _Orphan(
        "round",
        row_id,
        jobs.round_job(row_id),
        lambda: jobs.enqueue_round(workspace, row_id, pieces),
        lambda session: rounds.end_round(session, row_id, RoundStatus.FAILED, LOST_MESSAGE, datetime.now(UTC)),
    )


def _import(workspace: Workspace, row_id: int) -> _Orphan:
    return _Orphan(
        "import",
        row_id,
        jobs.import_job(row_id),
        lambda: jobs.enqueue_import(workspace, row_id),
        lambda session: imports.finish_import(session, row_id, RoundStatus.FAILED, LOST_MESSAGE),
    )


def _export(workspace: Workspace, row_id: int) -> _Orphan:
    return _Orphan(
        "export",
        row_id,
        jobs.export_job(row_id),
        lambda: jobs.enqueue_export(workspace, row_id),
        lambda session: exports.finish_export(session, row_id, RoundStatus.FAILED, LOST_MESSAGE),
        lambda: take_back(workspace, row_id),
    )
