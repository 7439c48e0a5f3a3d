"""Locks on files: held by a process, gone with it however it ends. Readers may share one.

A lock's file is removed by whoever holds it alone, so `take` makes sure that what it locked is still the file of that
name.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.types import RoundCancelledError

_POLL_SECONDS = 0.1


def take(path: Path, *, shared: bool = False) -> int | None:
    """Return a handle that holds the lock until it is closed, None while another holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


@contextmanager
def alone(path: Path, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock; whoever wants it too waits, and stops waiting when told to.

    Raises:
        RoundCancelledError: `should_stop` said so.
    """
    while (handle := take(path)) is None:
        if should_stop():
            raise RoundCancelledError(f"stopped while another process holds {path.name}")
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def is_held(path: Path) -> bool:
    """Return whether some process holds the lock alone."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
