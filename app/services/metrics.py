"""Numbers for monitoring, gathered on request.

Decisions are counted once, then only new ones, since an installation may hold millions: changesets are only
added, and writers take turns, so that a changeset with a larger id was stored later.
"""

from dataclasses import dataclass
from threading import Lock

from sqlalchemy import text

from app.services.app_context import RESTORING, AppContext
from app.services.workers import heartbeat_ages
from core.types import JobStatus, StorageError
from db.engine import VERSION_TABLE, known_revisions
from db.faults import name_of
from db.queries import metrics


@dataclass(frozen=True, slots=True)
class Numbers:
    """Counts of one moment: `jobs` by (kind, state), `waiting` by queue, `decisions` by act.

    `heartbeat_seconds` is the time since this process saw each worker's heartbeat change.
    """

    jobs: dict[tuple[str, str], int]
    waiting: dict[str, int]
    decisions: dict[str, int]
    heartbeat_seconds: dict[str, float]


_counted: dict[str, tuple[int, dict[str, int]]] = {}  # by database: the newest changeset, and decisions by act up to it
_counting = Lock()


def gather(app_context: AppContext) -> Numbers:
    """Return the current numbers.

    Raises:
        StorageError: the database cannot be used.
    """
    with _counting, app_context.database.read() as session:
        last, decisions = _counted.get(app_context.database.url, (0, {}))
        newest, more = metrics.decisions_after(session, last)
        decisions = {act: decisions.get(act, 0) + more.get(act, 0) for act in decisions | more}
        _counted[app_context.database.url] = newest, decisions
        jobs = metrics.jobs_by_state(session)
        pieces = metrics.waiting_pieces(session)
    queued = {kind: jobs.get((kind, JobStatus.QUEUED.value), 0) for kind in ("round", "import", "export")}
    waiting = {"rounds": queued["round"], **pieces, "files": queued["import"] + queued["export"]}
    return Numbers(jobs, waiting, decisions, heartbeat_ages(app_context))


def check_ready(app_context: AppContext) -> None:
    """Raise `StorageError` if the database does not answer, has another release's schema, or is being restored."""
    with app_context.database.read() as session:
        found = session.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608  # a constant
    if found != known_revisions()[-1]:
        cause = f"{name_of(app_context.database.url)}: it has the schema of another release"
        raise StorageError(cause, "start this process again")
    if (app_context.settings.folder / RESTORING).exists():
        raise StorageError(f"{app_context.settings.folder}: a backup is being restored into it", "wait for it")
