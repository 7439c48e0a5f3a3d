"""Large arrays kept by their content, one row for each thing of a list: found again, grown from one another, pruned.

An array `{list}-{kind}.npy` has beside it `{list}-{kind}.rows`, what each row is of (16 bytes a row), so that a list
that only grew or shrank takes most of its rows from the array it had before. Whoever uses an array shares its lock;
whoever makes or removes it holds the lock alone. When an array was used last is the time of its file.
"""

import os
import weakref
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.data.locks import take
from core.data.storage import PARTIAL, write_atomically
from core.types import IntArray

Rows = NDArray[Any]

_DIGEST = 16  # bytes
_LOOKED_AT = 8  # arrays of one kind, those used last
_COPIED = 32 << 20  # bytes at once


def kept_path(folder: Path, keys: Sequence[str], kind: str) -> Path:
    """Return where the array of these things lies."""
    return folder / f"{blake2b(chr(10).join(keys).encode(), digest_size=12).hexdigest()}-{kind}.npy"


def lock_of(path: Path) -> Path:
    """Return the lock of an array."""
    return path.with_suffix(".lock")


def opened(path: Path) -> Rows | None:
    """Return the array as a read-only memory map, in use as long as it lives; None: it is missing or being made."""
    array = _mapped(path)
    if array is not None:
        os.utime(path)
    return array


def note_rows(path: Path, keys: Sequence[str]) -> None:
    """Write down what each row of the array is of."""
    write_atomically(_rows_file(path), b"".join(map(_digest, keys)), durable=False)


class Earlier(NamedTuple):
    """An array that holds some of the rows wanted."""

    array: Rows
    rows: IntArray  # for each row wanted which of `array` it is, -1 where it has none

    @property
    def missing(self) -> IntArray:
        """Return the rows wanted that it does not have."""
        return np.flatnonzero(self.rows < 0)

    def copy_to(self, array: Rows) -> None:
        """Copy what it has into the array wanted."""
        to = np.flatnonzero(self.rows >= 0)
        step = max(1, _COPIED // max(1, array[:1].nbytes))
        for start in range(0, len(to), step):
            part = to[start : start + step]
            array[part] = self.array[self.rows[part]]


def find_earlier(path: Path, keys: Sequence[str], fits: Callable[[Rows], bool]) -> Earlier | None:
    """Return the array of the same kind as `path` that holds most of these rows, if any does."""
    best, most = None, 0
    wanted = [_digest(key) for key in keys]
    for other in _of_same_kind(path):
        array = _mapped(other)
        if array is None or not fits(array):
            continue
        known = _known_rows(other)
        rows = np.array([known.get(digest, -1) for digest in wanted])
        if (count := int(np.count_nonzero(rows >= 0))) > most:
            best, most = Earlier(array, rows), count
    return best


def prune(folder: Path, budget_bytes: int) -> int:
    """Remove what was used longest ago, but nothing in use, until the folder's arrays fit; return the bytes freed.

    What killed processes left half made goes in any case.
    """
    for left in folder.glob(f".*{PARTIAL}"):
        _remove(folder / left.name[1:].rsplit(".", 2)[0], [left])
    arrays = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in folder.glob("*.npy"))
    total = before = sum(size for _, size, _ in arrays)
    for _, size, path in arrays:
        if total > budget_bytes and _remove(path, [path, _rows_file(path)]):
            total -= size
    return before - total


def _remove(path: Path, files: list[Path]) -> bool:
    """Remove files of an array nobody uses or makes; false: somebody does."""
    handle = take(lock_of(path))
    if handle is None:
        return False
    for file in files:
        file.unlink(missing_ok=True)
    lock_of(path).unlink(missing_ok=True)
    os.close(handle)
    return True


def _mapped(path: Path) -> Rows | None:
    if not path.exists():
        return None
    handle = take(lock_of(path), shared=True)
    if handle is None:
        return None
    try:
        array: Rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:  # removed in between
        os.close(handle)
        return None
    weakref.finalize(array.base, os.close, handle)  # the map itself, which every view of the array keeps alive
    return array


def _rows_file(path: Path) -> Path:
    return path.with_suffix(".rows")


def _digest(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=_DIGEST).digest()


def _of_same_kind(path: Path) -> list[Path]:
    """Return other arrays of the same kind whose rows are known, those used last first."""
    kind = path.name.partition("-")[2]
    found = [other for other in path.parent.glob(f"*-{kind}") if other.name.partition("-")[2] == kind]
    return sorted(filter(_has_rows, found), key=_used_at, reverse=True)[:_LOOKED_AT]


def _has_rows(path: Path) -> bool:
    return _rows_file(path).exists()


def _used_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # pruned meanwhile
        return 0


def _known_rows(path: Path) -> dict[bytes, int]:
    try:
        data = _rows_file(path).read_bytes()
    except FileNotFoundError:
        return {}
    return {data[start : start + _DIGEST]: row for row, start in enumerate(range(0, len(data), _DIGEST))}
