"""Making of a backup while people judge and workers work.

First the database's state, then the files: each file that a row names was written before the row, and is never changed
afterwards. What a running round still writes may come in an older or newer state; its row says that it is not finished.
"""

import json
import os
import sqlite3
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO

from app import __version__
from app.services.app_context import HOME_ID, AppContext
from app.services.backups import DATABASE, FILES, MANIFEST, Manifest
from app.services.faults import file_errors
from core.data.storage import atomic_path
from core.data.store import COMPUTED, CONTENT, STATE, files_below, prune_copies
from core.types import StorageError
from db.copying import copy_database
from db.faults import file_of, storage_errors

_COPIES = 2_000  # of shared files, after which those beyond their budget go
_OWNER_ONLY = 0o600  # it holds hashes of passwords, and the key that signs sessions


def make(
    app_context: AppContext, target: Path, on_file: Callable[[int, str], None] = lambda _done, _name: None
) -> Manifest:
    """Write a backup to `target`, which appears whole or not at all; `on_file` gets bytes done and the next name.

    Raises:
        StorageError: `target` exists, the disk is full, or the database cannot be read.
    """
    target = target.absolute()
    if target.exists():
        raise StorageError(f"{target}: it exists", "name a new file")
    manifest = Manifest(
        outfold=__version__, made_at=datetime.now(UTC).isoformat(), home=str(app_context.settings.folder)
    )
    done = 0
    with (
        file_errors(str(target)),
        atomic_path(target) as partial,
        _opened(partial) as handle,
        tarfile.open(fileobj=handle, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, path in _members(app_context, target.parent):
            on_file(done, name)
            facts = _add(archive, name, path)
            if facts is not None:
                manifest.files[name] = facts
                done += facts[0]
        data = json.dumps(asdict(manifest), indent=1).encode()
        archive.addfile(_entry(MANIFEST, len(data)), BytesIO(data))
    return manifest


def _opened(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb")


def _members(app_context: AppContext, folder_of_copy: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of everything that goes into a backup, the database first."""
    with tempfile.TemporaryDirectory(prefix=".outfold-backup-", dir=folder_of_copy) as folder:
        copied = Path(folder) / DATABASE
        copy_to_file(app_context.database.url, copied)
        yield DATABASE, copied
        rounds = _round_ids(copied)
    root = app_context.files
    if (root / HOME_ID).exists():
        yield f"{FILES}/{HOME_ID}", root / HOME_ID
    for part in CONTENT:
        for path in _content(app_context, part):
            inner = path.relative_to(root)
            if inner.parts[:2] not in COMPUTED:
                yield f"{FILES}/{inner.as_posix()}", path
    for number in rounds:
        for path in files_below(app_context.round_folder(number)):
            if path.name != STATE:
                yield f"{FILES}/{path.relative_to(root).as_posix()}", path


def _content(app_context: AppContext, part: str) -> Iterator[Path]:
    """Yield the files of one kind of content, fetched one by one where they are shared and missing here."""
    store = app_context.shared
    if store is None:
        yield from files_below(app_context.files / part)
        return
    for count, key in enumerate(sorted(store.remote.list(part)), start=1):
        yield store.local(app_context.files / key)
        if count % _COPIES == 0:
            prune_copies(store)


def copy_to_file(url: str, target: Path) -> None:
    """Write one consistent state of a database to a new SQLite file, without a log beside it.

    Raises:
        StorageError: the database cannot be read, or is damaged.
    """
    source = file_of(url)
    if source is None:
        copy_database(url, f"sqlite:///{target}")
    with storage_errors(url), closing(sqlite3.connect(target)) as copied:
        if source is not None:
            with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as reading:
                reading.backup(copied)  # all pages in one step: writers go on, and do not make it begin again
        copied.execute("PRAGMA journal_mode=DELETE")
        complaint = copied.execute("PRAGMA quick_check(1)").fetchone()[0]
    if complaint != "ok":
        raise StorageError(f"{url}: it is damaged ({complaint})", "restore it from an earlier backup")


def _round_ids(database: Path) -> list[int]:
    with closing(sqlite3.connect(database)) as connection:
        return [number for (number,) in connection.execute("SELECT id FROM round ORDER BY id")]


def _add(archive: tarfile.TarFile, name: str, path: Path) -> tuple[int, str] | None:
    """Add a file; return its size and hash, None if it was removed meanwhile or is not a regular file.

    Raises:
        StorageError: it became shorter while it was read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError:
        if path.is_symlink():
            return None
        raise
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            return None
        reading = _HashingReader(file, facts.st_size, path)
        archive.addfile(_entry(name, facts.st_size, facts.st_mtime), reading)  # type: ignore[arg-type]  # it needs `read` alone
    return facts.st_size, reading.digest.hexdigest()


def _entry(name: str, size: int, changed_at: float = 0.0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, int(changed_at), _OWNER_ONLY
    return entry


class _HashingReader:
    """The first `size` bytes of a file, hashed as they are read."""

    def __init__(self, file: IO[bytes], size: int, path: Path) -> None:
        self._file, self._left, self._path = file, size, path
        self.digest = sha256()

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end."""
        wanted = min(size, self._left)
        data = self._file.read(wanted)
        if len(data) < wanted:
            raise StorageError(f"{self._path}: it became shorter while it was read", "make the backup again")
        self.digest.update(data)
        self._left -= wanted
        return data
