"""Locks of running jobs: a lock on a file that ends with the process, however it ends.

A row marks a job as running, but not whether its process is alive: a command may run it by itself.
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
        RoundCancelledError: `should_stop` returned true while waiting.
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
