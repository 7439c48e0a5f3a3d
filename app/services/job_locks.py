"""Who runs a job now, wherever it runs: a lock on a file that ends with the process, however it ends.

A row says that a job runs, but not whether anybody still does: a command may run it by itself, unknown to the engine.
Whoever runs an import or export holds its lock; a worker that finds the lock free may take the row for abandoned.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.services.workspace import Workspace
from core.types import RoundCancelledError

LOOK_SECONDS = 0.1


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
    while (handle := _take(path)) is None:
        if should_stop():
            raise RoundCancelledError(f"{kind} {row_id} was asked to stop")
        time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # still locked: who opened it meanwhile sees in `_take` that it is gone
        os.close(handle)


def is_held(workspace: Workspace, kind: str, row_id: int) -> bool:
    """Return whether some process runs this job now."""
    try:
        handle = os.open(_path(workspace, kind, row_id), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _path(workspace: Workspace, kind: str, row_id: int) -> Path:
    return workspace.files / "jobs" / f"{kind}-{row_id}.lock"


def _take(path: Path) -> int | None:
    """Return the handle that holds the lock, None while another holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None
