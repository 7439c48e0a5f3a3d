"""Files appear whole or not at all.

Everything is written beside its place as `*.partial`, flushed to the disk and then renamed, so a kill, a power cut or
a full disk leaves either what was there before or what was meant, never half of it. Two writers of one path do not
disturb each other: each has its own partial, the last rename wins.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

PARTIAL = ".partial"
MANY_FILES = 200
RESERVE = 1 << 30  # bytes of the disk that stay free of what is unpacked: the database and rounds write there too


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path`; not `durable` skips the wait for the disk, for what can be computed again."""
    with atomic_path(path, durable=durable) as partial:
        partial.write_bytes(data)


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a path to write one file at; it becomes `path` when the block ends well, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(path)
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
    """Yield a new folder to fill; it becomes `path` when the block ends well, else it is removed.

    Not `durable` skips the wait for the disk, a few milliseconds a file.

    Raises:
        FileExistsError: `path` exists already (checked first, so nothing is written in vain).
    """
    if path.exists():
        msg = f"{path} exists already; choose another folder"
        raise FileExistsError(msg)
    partial = _beside(path)
    partial.mkdir(parents=True)
    try:
        yield partial
        if durable:
            _flush_all(partial)
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if durable:
        flush(path.parent)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`, to fill and to rename; where it was not, it is removed when the block ends."""
    partial = _beside(path)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _beside(path: Path) -> Path:
    """Return a name of its own in the same folder; hidden, so that no reader takes it for data."""
    return path.with_name(f".{path.name[:80]}.{uuid4().hex[:12]}{PARTIAL}")


def is_partial_of(left: Path, path: Path) -> bool:
    """Whether `left` is what a writer of `path` writes, or was killed while writing."""
    own = re.escape(f".{path.name[:80]}.") + "[0-9a-f]{12}" + re.escape(PARTIAL)
    return left.parent == path.parent and re.fullmatch(own, left.name) is not None


def _flush_all(root: Path) -> None:
    """Wait until everything below `root` is on the disk: file by file, or for the whole machine when there are many.

    Linux waits in `sync` for all that was written; 70,000 single waits of 2 ms each would take minutes.
    """
    paths = [Path(folder, name) for folder, _, names in os.walk(root) for name in ("", *names)]
    if len(paths) > MANY_FILES and sys.platform == "linux":
        os.sync()
        return
    for path in paths:
        flush(path)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_symlink():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
