"""Atomic writes of files and folders: they appear whole or not at all.

Everything is written beside its place as `*.partial`, flushed to the disk and then renamed, so a kill, a power cut or
a full disk leaves either the former file or the new one, never a part of it. Two writers of one path do not interfere:
each has its own partial, the last rename wins.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

PARTIAL = ".partial"
MANY_FILES = 200
KILO = 1000
GRACE_SECONDS = 300.0  # since the last use of a copy: its path may have been asked for and not be open yet
_NOTED_SECONDS = 60.0  # the time of a file's last use is noted no more exactly
RESERVE = 1 << 30  # bytes of the disk to keep free when unpacking: the database and rounds write there too


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
    """Write an array to `path` as `.npy`, whole or not at all; not `durable` is for what can be made again."""
    with atomic_path(path, durable=durable) as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


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
