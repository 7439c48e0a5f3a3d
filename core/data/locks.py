"""Locks on files, and scratch folders held by them: both end with their process, however it ends.

By `fcntl`, not `filelock`: an array that several processes map needs a lock that they share, and `is_held` must not
keep its owner from taking it. Both lock the same way (`flock`), so `is_held` also answers for a lock of `filelock`.

Readers may share a lock. A scratch folder holds its lock as long as its process lives, so a later process removes the
folders of killed ones and none in use.

The holder of an exclusive lock removes its file, so `try_lock` checks that the locked file is still at its path.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.types import RoundCancelledError

_POLL_SECONDS = 0.1

CHECK = "check-"  # prefix of the folder of a check
TRIAL = "trial-"  # prefix of the folder of a trial round, which estimates times
_LOCK = ".lock"


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Return a handle that holds the lock until it is closed, None if another process holds it."""
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
def exclusive_lock(
    path: Path, should_stop: Callable[[], bool], needless: Callable[[], bool] = lambda: False
) -> Iterator[bool]:
    """Hold the lock and yield True, after waiting for others to release it; False without it once it is `needless`.

    Raises:
        RoundCancelledError: `should_stop` said so.
    """
    while (handle := try_lock(path)) is None:
        if should_stop():
            raise RoundCancelledError(f"stopped while another process holds {path.name}")
        time.sleep(_POLL_SECONDS)
        if needless():
            yield False
            return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def shared_lock(path: Path) -> Iterator[None]:
    """Share the lock with others, after waiting for an exclusive holder to release it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while (handle := try_lock(path, shared=True)) is None:
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock exclusively."""
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


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder below `parent` that is removed after the block."""
    while True:
        with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            handle = try_lock(folder / _LOCK)
            if handle is None:  # another process removes it as abandoned, before it was locked
                continue
            try:
                yield folder
            finally:
                os.close(handle)
            return


def remove_abandoned(parent: Path, prefix: str) -> int:
    """Remove the scratch folders of ended processes; return their number."""
    removed = 0
    for folder in parent.glob(f"{prefix}*"):
        if not (folder / _LOCK).exists():  # of a release without locks, or just being made
            continue
        handle = try_lock(folder / _LOCK)
        if handle is None:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)
        removed += 1
    return removed
