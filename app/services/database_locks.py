"""Locks that all processes on one database see, whichever home and machine they are of; each ends with its process.

On PostgreSQL a lock is an advisory one of a session: the server gives it back when the connection ends, within half a
minute also where a machine is gone without a word. On SQLite it is a file beside the database's, locked as others are.
"""

import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from core.data.locks import exclusive_lock, is_held
from core.types import RoundCancelledError
from db.engine import connect_arguments
from db.faults import file_of, storage_errors

_POLL_SECONDS = 0.1
_SERVER_ASKS = ("tcp_keepalives_idle = 10", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3")  # seconds, times


@contextmanager
def database_lock(url: str, kind: str, number: int, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock of this kind and number for the block, after waiting for another holder to release it.

    Raises:
        RoundCancelledError: `should_stop` said so.
        StorageError: the database cannot be used.
    """
    if (file := file_of(url)) is not None:
        path = _lock_file(file, kind, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(path, should_stop):
            yield
        return
    with _session(url) as connection:
        with storage_errors(url):
            while not _try(connection, "pg_try_advisory_lock", kind, number):
                if should_stop():
                    raise RoundCancelledError(f"stopped while another process runs {kind} {number}")
                time.sleep(_POLL_SECONDS)
        yield


def is_locked(url: str, kind: str, number: int) -> bool:
    """Return whether some process holds the lock."""
    if (file := file_of(url)) is not None:
        return is_held(_lock_file(file, kind, number))
    with _session(url) as connection, storage_errors(url):
        return not _try(connection, "pg_try_advisory_lock_shared", kind, number)


@contextmanager
def _session(url: str) -> Iterator[Connection]:
    """Yield a connection of its own, at whose end the server takes its locks back."""
    engine = create_engine(
        url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=connect_arguments(url), hide_parameters=True
    )
    with storage_errors(url):
        connection = engine.connect()
        for setting in _SERVER_ASKS:
            connection.exec_driver_sql(f"SET {setting}")
    try:
        yield connection
    finally:
        with suppress(DBAPIError):  # it ended by itself, and its locks with it
            connection.close()


def _try(connection: Connection, function: str, kind: str, number: int) -> bool:
    query = f"SELECT {function}({zlib.crc32(kind.encode()) & 0x7FFFFFFF:d}, {number:d})"
    return bool(connection.exec_driver_sql(query).scalar_one())


def _lock_file(file: Path, kind: str, number: int) -> Path:
    return file.with_name(f"{file.name}.locks") / f"{kind}-{number}.lock"
