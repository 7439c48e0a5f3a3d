"""Jobs: rounds, imports and exports, started and stopped by the job engine, and locks of running jobs.

The app holds one light client and never runs a job itself; the worker (`app.worker`) registers workflows under the
names given here. Outfold's own rows hold the results, the engine only who runs a job. A job's id follows from its
row's id, so that a job requested twice runs once.

A row marks a job as running, but not whether its process is alive: a command may run it itself. So the process that
runs an import or export holds its lock, a lock on a file that ends with the process; a worker that finds the lock free
may take the row for abandoned. Where several homes share their files, it is a lock that all on the database see: on
PostgreSQL an advisory one of a session, which the server gives back when the connection ends, within half a minute also
where a machine is gone without a word; on SQLite a file beside the database's.
"""

import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from app.services.app_context import AppContext
from app.services.faults import file_errors
from core.data.storage import exclusive_lock, is_held
from core.types import RoundCancelledError
from db.engine import connect_arguments
from db.faults import file_of, storage_errors

if TYPE_CHECKING:
    from dbos import DBOSClient, EnqueueOptions

APPLICATION = "outfold"
APPLICATION_VERSION = "1"  # version of the workflows' order of steps; jobs of another version are not resumed
ROUNDS, FOLDS, FILES = "rounds", "folds", "files"  # queues; folds have shards too, the last imports and exports
ROUND_WORKFLOW, SHARD_WORKFLOW, FOLD_WORKFLOW = "round_workflow", "shard_workflow", "fold_workflow"
IMPORT_WORKFLOW, EXPORT_WORKFLOW = "import_workflow", "export_workflow"
_ACTIVE = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
_RESUMED = "-after-"  # in the id of a resumed round's job, before the time of the round's former end
_POLL_SECONDS = 0.1  # between two tries to take a database's lock
_SERVER_ASKS = ("tcp_keepalives_idle = 10", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3")  # seconds, times
_opening = Lock()


def round_job(round_id: int, ended_at: datetime | None = None) -> str:
    """Return the id of a round's job; each resumption of a round has another one."""
    resumed = "" if ended_at is None else f"{_RESUMED}{ended_at.timestamp() * 1e6:.0f}"
    return f"round-{round_id}{resumed}"


def fold_job(job: str, fold: int) -> str:
    """Return the id of the job of one fold, by its round's job."""
    return f"{job}-fold-{fold}"


def shard_job(job: str, shard: int) -> str:
    """Return the id of the job of one shard, by its round's job."""
    return f"{job}-shard-{shard}"


def import_job(import_id: int) -> str:
    """Return the id of an import's job."""
    return f"import-{import_id}"


def export_job(export_id: int) -> str:
    """Return the id of an export's job."""
    return f"export-{export_id}"


def prepare_engine(url: str) -> None:
    """Create or upgrade the engine's own tables; in SQLite also switch the file to WAL, which it then keeps.

    Raises:
        StorageError: the database cannot be used.
    """
    from dbos import DBOS  # noqa: PLC0415 half a second, which commands that only read must not pay for

    file = file_of(url)
    with storage_errors(url):
        if file is not None:
            with file_errors(str(file)):
                file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(file, timeout=30)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        DBOS.migrate(url)


def enqueue_round(app_context: AppContext, round_id: int, folds: int, ended_at: datetime | None = None) -> None:
    """Hand a round over to the worker; `ended_at`: former end of a resumed one."""
    _enqueue(app_context, ROUNDS, ROUND_WORKFLOW, round_job(round_id, ended_at), round_id, folds)


def enqueue_import(app_context: AppContext, import_id: int) -> None:
    """Hand an import over to the worker."""
    _enqueue(app_context, FILES, IMPORT_WORKFLOW, import_job(import_id), import_id)


def enqueue_export(app_context: AppContext, export_id: int) -> None:
    """Hand an export over to the worker."""
    _enqueue(app_context, FILES, EXPORT_WORKFLOW, export_job(export_id), export_id)


def cancel_round(app_context: AppContext, round_id: int) -> None:
    """Stop a round, its shards and its folds; the worker's processes end within two seconds."""
    for job in _active_jobs_of(app_context, round_id):
        _cancel(app_context, job)


def cancel_import(app_context: AppContext, import_id: int) -> None:
    """Stop an import."""
    _cancel(app_context, import_job(import_id))


def cancel_export(app_context: AppContext, export_id: int) -> None:
    """Stop an export."""
    _cancel(app_context, export_job(export_id))


def is_active(app_context: AppContext, job: str) -> bool:
    """Return whether this job is queued or running in the engine."""
    with _engine(app_context) as client:
        found = client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)
    return any(status.status in _ACTIVE for status in found)


def round_is_active(app_context: AppContext, round_id: int) -> bool:
    """Return whether a job of this round is queued or running in the engine."""
    return bool(_active_jobs_of(app_context, round_id))


def release_slot(app_context: AppContext, slot: str) -> int:
    """Release the unfinished jobs of a lost worker to the others; return their number."""
    with _engine(app_context) as client:
        left = client.list_workflows(executor_id=slot, status="PENDING", load_input=False, load_output=False)
        for job in left:
            client.resume_workflow(job.workflow_id, queue_name=job.queue_name or ROUNDS)
    return len(left)


@contextmanager
def job_lock(
    app_context: AppContext, kind: str, row_id: int, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold a job's lock for the block; waits while another process holds it, so that no job runs twice concurrently.

    Raises:
        RoundCancelledError: `should_stop` returned true while waiting.
    """
    if app_context.settings.files_url:
        with database_lock(app_context.database.url, kind, row_id, should_stop):
            yield
        return
    path = _lock_path(app_context, kind, row_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(path, should_stop):
        yield


def is_job_running(app_context: AppContext, kind: str, row_id: int) -> bool:
    """Return whether some process runs this job now."""
    if app_context.settings.files_url:
        return is_locked(app_context.database.url, kind, row_id)
    return is_held(_lock_path(app_context, kind, row_id))


@contextmanager
def database_lock(url: str, kind: str, number: int, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock of this kind and number for the block, after waiting for another holder to release it.

    Raises:
        RoundCancelledError: `should_stop` returned true.
        StorageError: the database cannot be used.
    """
    if (file := file_of(url)) is not None:
        path = _lock_file(file, kind, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(path, should_stop):
            yield
        return
    with _session(url) as connection:
        with storage_errors(url):
            while not _try(connection, "pg_try_advisory_lock", kind, number):
                if should_stop():
                    raise RoundCancelledError(f"stopped while another process runs {kind} {number}")
                time.sleep(_POLL_SECONDS)
        yield


def is_locked(url: str, kind: str, number: int) -> bool:
    """Return whether some process holds the lock."""
    if (file := file_of(url)) is not None:
        return is_held(_lock_file(file, kind, number))
    with _session(url) as connection, storage_errors(url):
        return not _try(connection, "pg_try_advisory_lock_shared", kind, number)


def _active_jobs_of(app_context: AppContext, round_id: int) -> list[str]:
    first = round_job(round_id)
    with _engine(app_context) as client:
        found = client.list_workflows(
            name=ROUND_WORKFLOW, workflow_id_prefix=first, status=sorted(_ACTIVE), load_input=False, load_output=False
        )
    ids = [job.workflow_id for job in found]
    return [job for job in ids if job == first or job.startswith(f"{first}{_RESUMED}")]


def _enqueue(app_context: AppContext, queue: str, workflow: str, job: str, *arguments: int) -> None:
    options: EnqueueOptions = {
        "workflow_name": workflow,
        "queue_name": queue,
        "workflow_id": job,
        "app_version": APPLICATION_VERSION,
    }
    with _engine(app_context) as client:
        earlier = client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)
        if earlier and earlier[0].status not in _ACTIVE:
            # The database was restored or deleted, the engine's was not: this id's job belongs to a former row.
            client.delete_workflow(job, delete_children=True)
        client.enqueue(options, *arguments)


def _cancel(app_context: AppContext, job: str) -> None:
    with _engine(app_context) as client:
        client.cancel_workflow(job, cancel_children=True)


@contextmanager
def _engine(app_context: AppContext) -> Iterator["DBOSClient"]:
    """Yield the engine's client; faults of its database are raised as `StorageError`."""
    url = app_context.settings.dbos_url
    with storage_errors(url):
        with _opening:
            client = _open_client(url)
        yield client


@cache
def _open_client(url: str) -> "DBOSClient":
    from dbos import DBOSClient  # noqa: PLC0415 see prepare_engine

    prepare_engine(url)
    return DBOSClient(system_database_url=url, application_name=APPLICATION, retry_connection_errors=False)


def _lock_path(app_context: AppContext, kind: str, row_id: int) -> Path:
    return app_context.files / "jobs" / f"{kind}-{row_id}.lock"


def _lock_file(file: Path, kind: str, number: int) -> Path:
    return file.with_name(f"{file.name}.locks") / f"{kind}-{number}.lock"


@contextmanager
def _session(url: str) -> Iterator[Connection]:
    """Yield a connection of its own, at whose end the server takes its locks back."""
    engine = create_engine(
        url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=connect_arguments(url), hide_parameters=True
    )
    with storage_errors(url):
        connection = engine.connect()
        for setting in _SERVER_ASKS:
            connection.exec_driver_sql(f"SET {setting}")
    try:
        yield connection
    finally:
        with suppress(DBAPIError):  # it ended by itself, and its locks with it
            connection.close()


def _try(connection: Connection, function: str, kind: str, number: int) -> bool:
    query = f"SELECT {function}({zlib.crc32(kind.encode()) & 0x7FFFFFFF:d}, {number:d})"
    return bool(connection.exec_driver_sql(query).scalar_one())
