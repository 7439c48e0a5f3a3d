"""Files and folders that several processes use: written whole or not at all, and locked.

Everything is written beside its place as `*.partial`, flushed to the disk and then renamed, so a kill, a power cut or
a full disk leaves either the former file or the new one, never a part of it. Two writers of one path do not interfere:
each has its own partial, the last rename wins.

Locks, and the scratch folders held by them, end with their process, however it ends; so a later process removes the
scratch folders of killed ones and none in use. They are by `fcntl`, not `filelock`: an array that several processes map
needs a lock that readers share, and `is_held` must not keep its owner from taking it. Both lock the same way (`flock`),
so `is_held` also answers for a lock of `filelock`. The holder of an exclusive lock removes its file, so `try_lock`
checks that the locked file is still at its path.
"""

import fcntl
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from core.types import RoundCancelledError

PARTIAL = ".partial"
MANY_FILES = 200
KILO = 1000
GRACE_SECONDS = 300.0  # since the last use of a copy: its path may have been asked for and not be open yet
_NOTED_SECONDS = 60.0  # the time of a file's last use is noted no more exactly
RESERVE = 1 << 30  # bytes of the disk to keep free when unpacking: the database and rounds write there too
_POLL_SECONDS = 0.1  # between two tries to take a lock
CHECK = "check-"  # prefix of the folder of a check
TRIAL = "trial-"  # prefix of the folder of a trial round, which estimates times
_LOCK = ".lock"
_HEADER = 30  # bytes, of a member of a .npz file
_LENGTHS = slice(26, 30)  # in it: those of the member's name and of its extra field


def size_text(size: float) -> str:
    """Return a number of bytes as text, e.g. "1.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < KILO:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= KILO
    return f"{size:.1f} TB"


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path`; not `durable` skips the wait for the disk, for data that can be computed again."""
    with atomic_path(path, durable=durable) as partial:
        partial.write_bytes(data)


def save_array(path: Path, array: NDArray[Any], *, durable: bool = True) -> None:
    """Write an array to `path` as `.npy`, whole or not at all; without `durable` if it can be made again."""
    with atomic_path(path, durable=durable) as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def mapped_column(path: Path, name: str) -> NDArray[Any]:
    """Return one column of a file that `np.savez` wrote, read-only; an empty or compressed one is read.

    Raises:
        KeyError: the file has no such column.
    """
    with ZipFile(path) as archive, path.open("rb") as file:
        member = archive.getinfo(f"{name}.npy")
        file.seek(member.header_offset)
        lengths = np.frombuffer(file.read(_HEADER)[_LENGTHS], "<u2")
        file.seek(int(lengths.sum()), 1)
        npy.read_magic(file)  # version 1.0, since a column has a plain type
        shape, _, dtype = npy.read_array_header_1_0(file)
        offset = file.tell()
        if member.compress_type == ZIP_STORED and np.prod(shape):
            return np.memmap(path, dtype, "r", offset, shape)
        with archive.open(member) as stored:
            read: NDArray[Any] = npy.read_array(stored, allow_pickle=False)
            return read


def note_use(path: Path) -> None:
    """Note that a file was used now; its time of change stays.

    Raises:
        FileNotFoundError: there is none.
    """
    facts = path.stat()
    if time.time() - facts.st_atime > _NOTED_SECONDS:
        os.utime(path, ns=(time.time_ns(), facts.st_mtime_ns))


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a path for one new file; it becomes `path` if the block succeeds, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_of(path)
    try:
        yield partial
        if durable:
            flush(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    if durable:
        flush(path.parent)


@contextmanager
def atomic_folder(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a new folder to fill; it becomes `path` if the block succeeds, else it is removed.

    Not `durable` skips the wait for the disk, a few milliseconds per file.

    Raises:
        FileExistsError: `path` exists already (checked before anything is written).
    """
    if path.exists():
        msg = f"{path} exists already; choose another folder"
        raise FileExistsError(msg)
    partial = _partial_of(path)
    partial.mkdir(parents=True)
    try:
        yield partial
        if durable:
            flush_all(partial)
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if durable:
        flush(path.parent)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`, to fill and to rename; it is removed after the block unless it was renamed."""
    partial = _partial_of(path)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _partial_of(path: Path) -> Path:
    """Return a unique hidden path in the same folder, which readers ignore."""
    return path.with_name(f".{path.name[:80]}.{uuid4().hex[:12]}{PARTIAL}")


def is_partial_of(left: Path, path: Path) -> bool:
    """Return whether `left` is the partial of a writer of `path`, running or killed."""
    own = re.escape(f".{path.name[:80]}.") + "[0-9a-f]{12}" + re.escape(PARTIAL)
    return left.parent == path.parent and re.fullmatch(own, left.name) is not None


def flush_all(root: Path) -> None:
    """Flush everything below `root` to the disk: file by file, or the whole machine if there are many.

    `sync` on Linux waits for all writes; 70,000 single waits of 2 ms each would take minutes.
    """
    paths = [Path(folder, name) for folder, _, names in os.walk(root) for name in ("", *names)]
    if len(paths) > MANY_FILES and sys.platform == "linux":
        os.sync()
        return
    for path in paths:
        flush(path)


def flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if path.is_symlink():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
        RoundCancelledError: `should_stop` returned true.
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


def is_within(path: str, root: str) -> bool:
    """Return whether the real path `path` is `root` or lies below it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
