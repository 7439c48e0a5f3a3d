"""Files of an installation that several homes share behind a URL; each home's folder is a cache of them.

The URL holds the truth, the folder only files that were made here or fetched. Writers call `publish`
before any row names the files; readers call `local` for a path, which fetches a missing file beside its place and
renames it. Without a URL none of this happens: `local` returns the given path.

Two kinds of files are shared. *Content*, below `CONTENT`, is never changed once written, and its key is its path. The
folders of rounds grow piece by piece; `core.data.shared_rounds` knows how. All else is computed again in each home.

Content as another home names it (`/its/home/files/uploads/...`) is read at the same place below this one, so rows may
name absolute paths. Processes that this one starts know the stores that it has opened.

Copies are bounded: those used longest ago go until the rest fits the budget. None goes that is in use, and none that
the store does not hold, so nothing is ever lost by it.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from core.data.buckets import original
from core.data.remote import Remote
from core.data.storage import GRACE_SECONDS, PARTIAL, atomic_path, note_use, shared_lock, try_lock
from core.types import StorageError

CONTENT = ("masks", "unpacked", "uploads", "demo", "predictions", "exports")
COMPUTED = (("masks", "resolved"), ("exports", "downloads"))  # below them, and yet computed again in each home
LOCKS = "in_use"  # folder of the locks on copies
AT_ONCE = 16  # transfers
_TREES = "trees"  # objects that mark completely published folders
_VARIABLE = "_OUTFOLD_SHARED_FILES"  # passed on to child processes
_FOREIGN = re.compile(r"/files/((?:unpacked|uploads|demo|exports)/.+)$")
ROUNDS = "rounds"
STATE = ".shared.json"  # in a round's folder: state of its files, and whether all of it is behind the URL
_GONE = ".gone"  # ending of a folder that is being removed
_ASKED = 64  # files for which the store is queried at once
_PART = 0.05  # share of the budget that a process fetches between two checks

_fetched: dict[Path, int] = {}  # bytes since the last look, by root
_stores: dict[Path, "SharedFiles"] = {}


@dataclass(frozen=True, slots=True, eq=False)
class SharedFiles:
    """Files below `root` that are shared behind a URL; copies of `budget` bytes may lie here."""

    root: Path
    remote: Remote
    budget: int

    def key(self, path: Path) -> str | None:
        """Return the key of a file of content, None for any other path."""
        try:
            parts = path.relative_to(self.root).parts
        except ValueError:
            return None
        is_content = len(parts) > 1 and parts[0] in CONTENT and parts[:2] not in COMPUTED
        return "/".join(parts) if is_content else None

    def local(self, path: Path) -> Path:
        """Return where a file of content can be read, fetched if it is missing here; any other path as it is.

        Raises:
            StorageError: the store cannot be used.
        """
        own = self._own(path)
        key = None if own is None else self.key(own)
        if own is None or key is None:
            return path
        try:
            note_use(own)
        except FileNotFoundError:
            self._fetch(key, own)
        return own

    def fetch(self, paths: Iterable[Path]) -> None:
        """Fetch the content files that are missing here, in parallel; others are ignored."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for _ in threads.map(self.local, paths):
                pass

    def publish(self, paths: Iterable[Path]) -> None:
        """Show files of content to the other homes; one that is there already costs a question.

        Raises:
            StorageError: the store cannot be used.
        """
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for _ in threads.map(self.publish_one, paths):
                pass

    def publish_one(self, path: Path, *, is_new: bool = False) -> None:
        """Publish a content file for the other homes; `is_new` if it cannot be published yet."""
        key = self.key(path)
        if key is not None and (is_new or not self.remote.has(key)):
            self.remote.put(key, path)

    def publish_tree(self, folder: Path) -> None:
        """Show all files of a folder of content, to which nothing is added any more."""
        key = self.key(folder)
        if key is not None and not self.remote.has(f"{_TREES}/{key}"):
            self.publish(files_below(folder))
            self.remote.write(f"{_TREES}/{key}", b"whole\n")

    def fetch_tree(self, path: Path) -> Path:
        """Fetch a folder of content completely, and return its local path; any other path unchanged."""
        own = self._own(path)
        key = None if own is None else self.key(own)
        if own is None or key is None:
            return path
        self.fetch(self.root / one for one in self.remote.list(key))
        return own

    def remove(self, path: Path) -> None:
        """Remove a file of content here and behind the URL."""
        key = self.key(path)
        if key is not None:
            path.unlink(missing_ok=True)
            self.remote.remove(key)

    def here(self, path: Path) -> Path:
        """Return the path in this home of content that another home names; any other path as it is."""
        return self._own(path) or path

    @contextmanager
    def using_content(self) -> Iterator[None]:
        """Hold all copies of content for the block: none of them is removed to make room."""
        with shared_lock(content_lock(self.root)):
            yield

    def _own(self, path: Path) -> Path | None:
        """Return the path in this home of a file of content, None for a file of no home."""
        if path.is_relative_to(self.root):
            return path
        found = _FOREIGN.search(path.as_posix())
        return None if found is None or path.exists() else self.root / found[1]

    def _fetch(self, key: str, path: Path) -> None:
        with suppress(FileNotFoundError):
            with atomic_path(path, durable=False) as partial:
                self.remote.get(key, partial)
            note_fetched(self, path.stat().st_size)


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file of content, or the folder of a round; `used_at` in seconds since the epoch."""

    path: Path
    size: int
    used_at: float
    is_folder: bool


def open_store(root: Path, url: str, budget: int) -> SharedFiles:
    """Return the store of the files below `root`; `local` asks it from now on, in this process and its children."""
    root = Path(os.path.realpath(root))
    store = _stores.get(root)
    if store is None or store.remote.url != url or store.budget != budget:
        store = _stores[root] = SharedFiles(root, Remote(url), budget)
        _export_stores()
    return store


def close_store(root: Path) -> None:
    """Forget a store: `root` is a plain folder again."""
    _stores.pop(Path(os.path.realpath(root)), None)
    _export_stores()


def store_of(path: Path) -> SharedFiles | None:
    """Return the store of a path, None outside folders of shared files."""
    return next((store for root, store in _registered_stores().items() if path.is_relative_to(root)), None)


def local(path: Path) -> Path:
    """Return where a file can be read in this home: fetched first if it is shared or of a bucket, else as it is.

    Raises:
        StorageError: the store of shared files cannot be used.
    """
    for store in _registered_stores().values():
        found = store.local(path)
        if found is not path or store.key(path) is not None:
            return found
    return original(path, next(iter(_registered_stores()), None))


def publish(paths: Iterable[Path]) -> None:
    """Show files of content to other homes, before a row names them; does nothing without a URL."""
    by_store: dict[Path, list[Path]] = {}
    for path in paths if _registered_stores() else ():
        store = store_of(path)
        if store is not None:
            by_store.setdefault(store.root, []).append(path)
    for root, some in by_store.items():
        _registered_stores()[root].publish(some)


def note_fetched(store: SharedFiles, size: int) -> None:
    """Count the bytes that this process fetched; after a part of the budget make room."""
    _fetched[store.root] = _fetched.get(store.root, 0) + size
    if _fetched[store.root] > store.budget * _PART:
        _fetched[store.root] = 0
        with suppress(StorageError):  # the next time does it
            prune_copies(store)


def prune_copies(store: SharedFiles, *, grace_seconds: float = GRACE_SECONDS) -> int:
    """Remove copies until the rest fits the store's budget; return the bytes freed.

    Raises:
        StorageError: the store cannot be queried.
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


def is_whole(folder: Path) -> bool:
    """Return whether all of a round's folder is behind the URL, as `core.data.shared_rounds` has noted."""
    try:
        state = json.loads((folder / STATE).read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return bool(state["whole"])


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, by name, without those being written and without locks."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.endswith(PARTIAL))
        yield from (Path(parent, name) for name in sorted(names) if not name.endswith((PARTIAL, ".lock")))


def content_lock(root: Path) -> Path:
    """Return the lock that users of content share."""
    return root / LOCKS / "content.lock"


def variables_of_stores() -> dict[str, str]:
    """Return the variables by which a process that another program starts knows the stores of this one."""
    return {_VARIABLE: os.environ[_VARIABLE]} if _VARIABLE in os.environ else {}


def _export_stores() -> None:
    """Let the processes that this one starts know its stores."""
    os.environ[_VARIABLE] = json.dumps([[str(one.root), one.remote.url, one.budget] for one in _stores.values()])


def _registered_stores() -> dict[Path, SharedFiles]:
    if not _stores and (told := os.environ.get(_VARIABLE)):
        for root, url, budget in json.loads(told):
            _stores[Path(root)] = SharedFiles(Path(root), Remote(url), budget)
    return _stores


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
            continue  # of a round that has only started
        sizes = [path.stat().st_size for path in files_below(folder)]
        yield _Copy(folder, sum(sizes), used_at, is_folder=True)
