"""Faults of a database as sentences: the file or server, its fault, and a cure.

Only faults of the installation are translated (disk, permissions, damage, connection). A statement that is wrong is a
fault of the program and stays the exception that it is.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError as PoolTimeoutError

from core.types import StorageAwayError, StorageError

_PRIMARY = 0xFF  # of SQLite's extended result codes, the byte that names the kind
_SQLITE = {
    sqlite3.SQLITE_FULL: ("its disk is full", "free some space, then try again"),
    sqlite3.SQLITE_READONLY: (
        "it is read-only",
        "give this user the right to write it and its folder, or name another OUTFOLD_HOME",
    ),
    sqlite3.SQLITE_PERM: ("this user may not open it", "change its permissions, or name another OUTFOLD_HOME"),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        (
            "make sure that it is a file, that this user may write it, its -wal and -shm files and its folder, "
            "and that the disk has space"
        ),
    ),
    sqlite3.SQLITE_NOTADB: (
        "it is damaged or no SQLite database",
        "restore it from a backup, or move it away to begin anew",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "it is damaged",
        "stop Outfold and restore the file from a backup, or move it away to begin anew",
    ),
    sqlite3.SQLITE_IOERR: ("its disk cannot be read or written", "free some space, and check the disk"),
    sqlite3.SQLITE_BUSY: ("another process keeps it locked", "end that process, then try again"),
    sqlite3.SQLITE_LOCKED: ("another process keeps it locked", "end that process, then try again"),
}
_MOVED = ("its tables are gone, so it was moved or replaced meanwhile", "put the file back, then start Outfold again")
_POSTGRESQL = {  # by SQLSTATE, or its class
    "28": ("it refuses this user or password", "correct the URL"),
    "3D000": ("it has no such database", "create it with createdb, or correct the URL"),
    "53100": ("its disk is full", "free some space on the server"),
    "53": ("it has no room for another connection", "raise its max_connections or end other clients"),
    "57P": ("it is shutting down or starting", "wait, then try again"),
    "08": ("the connection broke", "start the server, or correct the URL"),
    "25006": ("it takes no writes (a standby, or default_transaction_read_only)", "name the primary in the URL"),
    "42501": ("this user lacks a privilege", "grant it, as the owner of the database"),
    "58": ("its disk cannot be read or written", "see the server's log"),
    "XX001": ("it is damaged", "see the server's log and restore a backup"),
}
_PASSING = ("08", "57P")  # of these, those that pass when the server is back
_AWAY = ("it does not answer ({reason})", "start the server, or correct the URL")


class DatabaseAwayError(StorageAwayError):
    """No answer from the database's server, or a broken connection; the request can be repeated later."""


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Raise faults of the database at `url` itself as `StorageError`; all other errors unchanged."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, QueueTimeoutError) as error:
        reason = _reason(error)
        if reason is None:
            raise
        cause, cure = reason
        kind = DatabaseAwayError if _is_away(error) else StorageError
        raise kind(f"{name_of(url)}: {cause}", cure) from error


def name_of(url: str) -> str:
    """Return a database's name for people: the path of a file, the URL of a server without its password."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return parsed.database or url
    return parsed.render_as_string(hide_password=True)


def file_of(url: str) -> Path | None:
    """Return the file of an SQLite database, None of a server."""
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _reason(error: Exception) -> tuple[str, str] | None:
    """Return cause and cure, None for a fault that is none of the installation."""
    if isinstance(error, PoolTimeoutError):
        return "all connections are in use", "wait, then try again"
    if isinstance(error, QueueTimeoutError):
        return "others of this process write for too long", "wait, then try again"
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _reason_of_sqlite(cause)
    if isinstance(error, DBAPIError):
        return _reason_of_postgresql(error)
    return None


def _reason_of_sqlite(error: sqlite3.Error) -> tuple[str, str] | None:
    code = getattr(error, "sqlite_errorcode", None)  # the driver's own complaints have none
    if code is None:
        return None
    if code & _PRIMARY == sqlite3.SQLITE_ERROR and str(error).startswith("no such table"):
        return _MOVED
    return _SQLITE.get(code & _PRIMARY)


def _is_away(error: Exception) -> bool:
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state is None or state.startswith(_PASSING)


def _reason_of_postgresql(error: DBAPIError) -> tuple[str, str] | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return next((text for start, text in _POSTGRESQL.items() if state.startswith(start)), None)
    if type(error.orig).__name__ not in {"OperationalError", "ConnectionTimeout"}:
        return None
    lines = str(error.orig).splitlines() or ["no reason given"]
    cause, cure = _AWAY
    return cause.format(reason=lines[0].strip().rpartition("failed: ")[2]), cure


class QueueTimeoutError(TimeoutError):
    """The turn did not come in time."""
