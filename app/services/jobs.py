"""What the rest of the app asks of the job engine: do this round, this import, this export; stop it.

The app holds one light client and never runs a job itself; the worker (`app.worker`) registers workflows under the
names given here. Our own rows say what is done, the engine only says who runs what. Every job's id follows from its
row's id, so that asking twice is asking once.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from app.services.faults import file_errors
from app.services.workspace import Workspace
from db.faults import file_of, storage_errors

if TYPE_CHECKING:
    from dbos import DBOSClient, EnqueueOptions

APPLICATION = "outfold"
APPLICATION_VERSION = "1"  # of the workflows' order of steps; jobs of another version are not resumed

ROUNDS, FOLDS, FILES = "rounds", "folds", "files"  # queues; imports and exports share the last
ROUND_WORKFLOW, FOLD_WORKFLOW = "round_workflow", "fold_workflow"
IMPORT_WORKFLOW, EXPORT_WORKFLOW = "import_workflow", "export_workflow"

_ACTIVE = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
_opening = Lock()


def round_job(round_id: int) -> str:
    """Return the id of a round's job."""
    return f"round-{round_id}"


def fold_job(round_id: int, fold: int) -> str:
    """Return the id of the job of one fold of a round."""
    return f"round-{round_id}-fold-{fold}"


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


def enqueue_round(workspace: Workspace, round_id: int, folds: int) -> None:
    """Hand a round over to the worker."""
    _enqueue(workspace, ROUNDS, ROUND_WORKFLOW, round_job(round_id), round_id, folds)


def enqueue_import(workspace: Workspace, import_id: int) -> None:
    """Hand an import over to the worker."""
    _enqueue(workspace, FILES, IMPORT_WORKFLOW, import_job(import_id), import_id)


def enqueue_export(workspace: Workspace, export_id: int) -> None:
    """Hand an export over to the worker."""
    _enqueue(workspace, FILES, EXPORT_WORKFLOW, export_job(export_id), export_id)


def cancel_round(workspace: Workspace, round_id: int) -> None:
    """Stop a round and its folds; the worker's processes end within two seconds."""
    _cancel(workspace, round_job(round_id))


def cancel_import(workspace: Workspace, import_id: int) -> None:
    """Stop an import."""
    _cancel(workspace, import_job(import_id))


def cancel_export(workspace: Workspace, export_id: int) -> None:
    """Stop an export."""
    _cancel(workspace, export_job(export_id))


def is_active(workspace: Workspace, job: str) -> bool:
    """Return whether the engine still holds this job, waiting or running."""
    with _engine(workspace) as client:
        found = client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)
    return any(status.status in _ACTIVE for status in found)


def release_slot(workspace: Workspace, slot: str) -> int:
    """Give the unfinished jobs of a worker that never came back to the others; return how many."""
    with _engine(workspace) as client:
        left = client.list_workflows(executor_id=slot, status="PENDING", load_input=False, load_output=False)
        for job in left:
            client.resume_workflow(job.workflow_id, queue_name=job.queue_name or ROUNDS)
    return len(left)


def _enqueue(workspace: Workspace, queue: str, workflow: str, job: str, *arguments: int) -> None:
    options: EnqueueOptions = {
        "workflow_name": workflow,
        "queue_name": queue,
        "workflow_id": job,
        "app_version": APPLICATION_VERSION,
    }
    with _engine(workspace) as client:
        earlier = client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)
        if earlier and earlier[0].status not in _ACTIVE:
            # The database was restored or deleted, the engine's was not: this id's job belongs to a row of the past.
            client.delete_workflow(job, delete_children=True)
        client.enqueue(options, *arguments)


def _cancel(workspace: Workspace, job: str) -> None:
    with _engine(workspace) as client:
        client.cancel_workflow(job, cancel_children=True)


@contextmanager
def _engine(workspace: Workspace) -> Iterator["DBOSClient"]:
    """Yield the engine's client; faults of its database are raised as `StorageError`."""
    url = workspace.settings.dbos_url
    with storage_errors(url):
        with _opening:
            client = _open_client(url)
        yield client


@cache
def _open_client(url: str) -> "DBOSClient":
    from dbos import DBOSClient  # noqa: PLC0415 see prepare_engine

    prepare_engine(url)
    return DBOSClient(system_database_url=url, application_name=APPLICATION, retry_connection_errors=False)
