"""Locks of running jobs: a lock on a file that ends with the process, however it ends.

A row says that a job runs, but not whether anybody still does: a command may run it by itself, unknown to the engine.
Whoever runs an import or export holds its lock; a worker that finds the lock free may take the row for abandoned.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.services.workspace import Workspace
from core.data import locks


@contextmanager
def holding(
    workspace: Workspace, kind: str, row_id: int, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold a job's lock for the block; waits while another process holds it, so that no job is run twice at once.

    Raises:
        RoundCancelledError: `should_stop` said so while waiting.
    """
    path = _path(workspace, kind, row_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.alone(path, should_stop):
        yield


def is_held(workspace: Workspace, kind: str, row_id: int) -> bool:
    """Return whether some process runs this job now."""
    return locks.is_held(_path(workspace, kind, row_id))


def _path(workspace: Workspace, kind: str, row_id: int) -> Path:
    return workspace.files / "jobs" / f"{kind}-{row_id}.lock"
