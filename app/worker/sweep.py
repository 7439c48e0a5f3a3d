"""Periodic clean-up by a worker: takes over jobs of lost workers, settles rows without a job.

A failure of one part (a full disk, an unmounted share) is logged and leaves the other parts running: a worker without
a heartbeat would count as lost while it works.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy.orm import Session

from app.services import deletions, jobs
from app.services.app_context import AppContext
from app.services.exports.run import take_back
from app.services.workers import silent_workers
from core.types import JobStatus, StorageError
from db.queries import exports, imports, rounds, workers
from db.queries.rounds import RoundInfo

log = logging.getLogger("outfold.worker")

LOST_SECONDS = 30.0  # seconds of silence after which another worker takes over, starting within a minute
FRESH_SECONDS = 10.0  # a row this young may not have reached the engine yet
LOST_MESSAGE = "the work was interrupted again and again, or its job was lost; start it again"


def sweep(app_context: AppContext) -> None:
    """Purge old deletions, settle unfinished rows without a job; raises nothing."""
    now = datetime.now(UTC)
    try_and_log("the removal of what was deleted a week ago", lambda: deletions.purge(app_context))
    try_and_log("the search for lost jobs", lambda: settle_orphans(app_context, now - timedelta(seconds=FRESH_SECONDS)))


def take_over(app_context: AppContext) -> None:
    """Release the jobs of lost workers to others; raises nothing."""
    try_and_log("the search for lost workers", lambda: release_lost(app_context, LOST_SECONDS))


def try_and_log(what: str, act: Callable[[], object]) -> None:
    """Run a periodic task; a failure is logged, and the next run may succeed."""
    try:
        act()
    except StorageError as error:
        log.warning("%s failed and is tried again: %s", what, error)
    except Exception:
        log.exception("%s failed and is tried again", what)


def release_lost(app_context: AppContext, silent_seconds: float) -> None:
    """Release the jobs of workers silent for this long to other workers."""
    for lost in silent_workers(app_context, silent_seconds):
        with app_context.database.write() as session:
            if workers.lock_silent(session, lost):
                count = jobs.release_slot(app_context, lost.slot)
                workers.forget(session, lost.slot)
                log.warning("worker %s never came back; %d of its jobs go to others", lost.slot, count)


def settle_orphans(app_context: AppContext, before: datetime) -> None:
    """Enqueue rows that never reached the engine (a crash between row and job); fail running ones that it has lost."""
    with app_context.database.read() as session:
        open_rounds = rounds.unfinished_rounds(session)
        open_imports = imports.unfinished_imports(session)
        open_exports = exports.unfinished_exports(session)
    found = [
        *((row.finished_at or row.created_at, row.status, _round(app_context, row)) for row in open_rounds),
        *((row.created_at, row.status, _import(app_context, row.id)) for row in open_imports),
        *((row.created_at, row.status, _export(app_context, row.id)) for row in open_exports),
    ]
    for created_at, status, orphan in found:
        if created_at <= before:
            try_and_log(f"settling {orphan.job}", partial(_settle, app_context, orphan, status))


@dataclass(frozen=True, slots=True)
class _Orphan:
    kind: str
    row_id: int
    job: str
    is_active: Callable[[], bool]
    enqueue: Callable[[], None]
    fail: Callable[[Session], object]
    take_back: Callable[[], None] = lambda: None  # its unconfirmed export


def _settle(app_context: AppContext, orphan: _Orphan, status: JobStatus) -> None:
    if orphan.is_active():
        return
    if jobs.is_job_running(app_context, orphan.kind, orphan.row_id):
        return  # a command runs it itself
    if status is JobStatus.QUEUED:
        orphan.enqueue()
    else:
        log.warning("%s is not known to the engine any more", orphan.job)
        orphan.take_back()
        with app_context.database.write() as session:
            orphan.fail(session)


def _round(app_context: AppContext, row: RoundInfo) -> _Orphan:
    pieces = rounds.pieces(row.recipe, row.config)
    return _Orphan(
        "round",
        row.id,
        jobs.round_job(row.id, row.finished_at),
        lambda: jobs.round_is_active(app_context, row.id),
        lambda: jobs.enqueue_round(app_context, row.id, pieces, row.finished_at),
        lambda session: rounds.end_round(session, row.id, JobStatus.FAILED, LOST_MESSAGE, datetime.now(UTC)),
    )


def _import(app_context: AppContext, row_id: int) -> _Orphan:
    return _Orphan(
        "import",
        row_id,
        jobs.import_job(row_id),
        lambda: jobs.is_active(app_context, jobs.import_job(row_id)),
        lambda: jobs.enqueue_import(app_context, row_id),
        lambda session: imports.finish_import(session, row_id, JobStatus.FAILED, LOST_MESSAGE),
    )


def _export(app_context: AppContext, row_id: int) -> _Orphan:
    return _Orphan(
        "export",
        row_id,
        jobs.export_job(row_id),
        lambda: jobs.is_active(app_context, jobs.export_job(row_id)),
        lambda: jobs.enqueue_export(app_context, row_id),
        lambda session: exports.finish_export(session, row_id, JobStatus.FAILED, LOST_MESSAGE),
        lambda: take_back(app_context, row_id),
    )
