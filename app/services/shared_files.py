"""Files that several homes share behind a URL: their database, and the check of each home.

The store has the number of its database (`home_id`), as the database does (`db.home_id`). A home stores the URL of
the files that it copies (`shared.json`), so that it is never taken for a home with all files.
"""

import json
from functools import partial
from pathlib import Path

from app.services.faults import file_errors
from app.settings import Settings
from core.data.storage import write_atomically
from core.data.store import CONTENT, SharedFiles, files_below, open_store
from core.types import ConfigError, StorageError
from db.engine import Database
from db.faults import name_of
from db.home_id import agree_on_home_id

NOTE = "shared.json"  # file of a home whose files are copies
_NUMBER = "home_id"  # the object
_PUBLISH = "python -m app files publish"


def refuse_other_url(chosen: Settings) -> None:
    """Refuse a home with copies of another URL's files, or with files of its own.

    Raises:
        ConfigError: homes that share a database would have separate job engines and fail each other's jobs,
            or the folder of files is a link.
        StorageError: the text says which, and the cure.
    """
    if chosen.files_url and chosen.database_url and not chosen.engine_url:
        raise ConfigError(
            "OUTFOLD_ENGINE_URL is empty, so the homes that share this database would not share its jobs",
            "set it to one URL for all of them, on PostgreSQL that of OUTFOLD_DATABASE_URL",
        )
    if chosen.files_url and chosen.files.is_symlink():
        raise ConfigError(
            f"{chosen.files} is a link, and paths of shared files lead to the folder itself",
            "set OUTFOLD_HOME to a folder on that disk",
        )
    noted = _noted_url(chosen.files)
    if noted is not None and noted != chosen.files_url:
        raise StorageError(
            f"{chosen.files}: its files are copies of those behind {noted}",
            f"set OUTFOLD_FILES_URL to {noted}, or OUTFOLD_HOME to a new folder",
        )
    if noted is None and chosen.files_url and _has_own_files(chosen.files):
        raise StorageError(
            f"{chosen.files}: its files are not behind {chosen.files_url} yet",
            f"publish them once: {_PUBLISH}; or set OUTFOLD_HOME to a new folder",
        )


def claim(database: Database, chosen: Settings) -> None:
    """Check that the store's files belong to this database; bind both if neither has been used.

    Raises:
        StorageError: they belong to another one, or the store cannot be used.
    """
    store = open_store(chosen.files, chosen.files_url, chosen.cache_bytes)
    noted, known = agree_on_home_id(
        database, partial(number_of, store), partial(write_number, store), partial(_refuse_used, store, database)
    )
    if known is None:
        raise StorageError(
            f"{store.remote.name}: it does not hold the files of {name_of(database.url)}",
            f"publish them from the home that has them: {_PUBLISH}; or correct OUTFOLD_FILES_URL",
        )
    if known != noted:
        raise StorageError(
            f"{store.remote.name}: its files go with another database than {name_of(database.url)}",
            "name a prefix of its own in OUTFOLD_FILES_URL, or the database that goes with these files",
        )
    note_url(chosen)


def _refuse_used(store: SharedFiles, database: Database, known: int | None) -> None:
    """Refuse a store with files for a database that was never used with a store."""
    if known is not None and any(store.remote.list(part) for part in ("rounds", *CONTENT)):
        raise StorageError(
            f"{store.remote.name}: it holds the files of another database than {name_of(database.url)}",
            "name a prefix of its own in OUTFOLD_FILES_URL, or the database that goes with these files",
        )


def number_of(store: SharedFiles) -> int | None:
    """Return the number of the database of the store's files, None without one."""
    try:
        number = store.remote.read(_NUMBER).decode().strip()
    except FileNotFoundError:
        return None
    return int(number) if number.isdecimal() else None


def write_number(store: SharedFiles, number: int) -> None:
    """Write the number of the database of the store's files."""
    store.remote.write(_NUMBER, f"{number}\n".encode())


def _noted_url(files: Path) -> str | None:
    path = files / NOTE
    with file_errors(str(path)):
        return str(json.loads(path.read_bytes())["url"]) if path.exists() else None


def note_url(chosen: Settings) -> None:
    """Store in a home that its files are copies of those behind the URL."""
    path = chosen.files / NOTE
    if not path.exists():
        with file_errors(str(path)):
            write_atomically(path, json.dumps({"url": chosen.files_url}).encode())


def _has_own_files(files: Path) -> bool:
    return any(next(files_below(files / part), None) is not None for part in ("rounds", *CONTENT))
