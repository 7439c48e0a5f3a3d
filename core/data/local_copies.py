"""Bound on the copies of shared files in a home: those used longest ago go until the rest fits the budget.

None goes that is in use, and none that the store does not hold, so nothing is ever lost by it.
"""

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from core.data.locks import try_lock
from core.data.shared_folders import STATE, is_whole
from core.data.storage import GRACE_SECONDS
from core.data.store import AT_ONCE, CONTENT, LOCKS, SharedFiles, content_lock, files_below

ROUNDS = "rounds"
_GONE = ".gone"  # ending of a folder that is being removed
_ASKED = 64  # files of which the store is asked at once


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file of content, or the folder of a round; `used_at` in seconds since the epoch."""

    path: Path
    size: int
    used_at: float
    is_folder: bool


def prune_copies(store: SharedFiles, *, grace_seconds: float = GRACE_SECONDS) -> int:
    """Remove copies until the rest fits the store's budget; return the bytes freed.

    Raises:
        StorageError: the store cannot be asked what it holds.
    """
    (store.root / LOCKS).mkdir(parents=True, exist_ok=True)
    pruning = try_lock(store.root / LOCKS / "pruning.lock")
    if pruning is None:
        return 0  # another process does it
    try:
        for left in (store.root / ROUNDS).glob(f".*{_GONE}"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        copies = sorted(_copies(store.root), key=lambda one: one.used_at)
        excess = sum(one.size for one in copies) - store.budget
        old = [one for one in copies if one.used_at < time.time() - grace_seconds]
        return _remove_some(store, old, excess) if excess > 0 else 0
    finally:
        os.close(pruning)


def _remove_some(store: SharedFiles, copies: list[_Copy], excess: int) -> int:
    freed = 0
    content = try_lock(content_lock(store.root))  # None: in use
    try:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for start in range(0, len(copies), _ASKED):
                some = copies[start : start + _ASKED]
                may_go = threads.map(lambda one: _may_go(store, one, holds_content=content is not None), some)
                for one, goes in zip(some, may_go, strict=True):
                    if freed >= excess:
                        return freed
                    if goes:
                        _remove_folder(one.path) if one.is_folder else one.path.unlink(missing_ok=True)
                        freed += one.size
    finally:
        if content is not None:
            os.close(content)
    return freed


def _remove_folder(folder: Path) -> None:
    """Remove a round's folder, which others see whole or not at all."""
    gone = folder.with_name(f".{folder.name}.{uuid4().hex[:12]}{_GONE}")
    folder.rename(gone)
    shutil.rmtree(gone)


def _may_go(store: SharedFiles, copy: _Copy, *, holds_content: bool) -> bool:
    """Return whether a copy is not in use and behind the URL."""
    if copy.is_folder:
        return is_whole(copy.path)
    key = store.key(copy.path)
    return holds_content and key is not None and store.remote.has(key)


def _copies(root: Path) -> Iterator[_Copy]:
    for part in CONTENT:
        for path in files_below(root / part):
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            yield _Copy(path, facts.st_size, max(facts.st_atime, facts.st_mtime), is_folder=False)
    for folder in sorted((root / ROUNDS).glob("[0-9]*")):
        try:
            used_at = (folder / STATE).stat().st_atime
        except FileNotFoundError:
            continue  # of a round that has only begun
        sizes = [path.stat().st_size for path in files_below(folder)]
        yield _Copy(folder, sum(sizes), used_at, is_folder=True)
