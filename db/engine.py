"""Open the database: one engine a process, SQLite by default, made for many readers and one short writer at a time.

The writers of a process wait in one queue (`db.fair_lock`), the processes for the database's own lock; readers do not
wait.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session, sessionmaker

from core.types import StorageError
from db.agreeing_file import FILES, WRITES, AgreeingFiles, FindingsAwayError
from db.fair_lock import FairLock
from db.faults import file_of, name_of, storage_errors
from db.visibility import hide_deleted, hide_restricted, note_hidden

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 30_000
CONNECT_SECONDS = 10
VERSION_TABLE = "alembic_version"
WRITE_LOCK = 7_305_112  # PostgreSQL knows advisory locks by a number, of one's own choice, in each database


class Database:
    """A pool of connections to one database, handed out as transactions.

    `read()` sees one consistent state; `write()` takes the one write lock at once (in SQLite BEGIN IMMEDIATE, in
    PostgreSQL an advisory lock), so that a transaction never fails half-way because another one wrote first, and what
    follows from decisions is never computed from half of them. Both commit at their end or roll back completely.

    Writers of this process take turns in order of arrival, whatever their object and thread. A
    second `write()` of a thread within its first is a programming error, and raises `RuntimeError`.

    A full disk, a damaged file, a server that is away: both raise `StorageError`, whose text names the cure.
    """

    def __init__(self, url: str) -> None:
        """Open `url`; nothing is created before `migrate`."""
        self.url = url
        self.engine = _create(url)
        self.writers = _writers(url)
        self.agreeing_files = AgreeingFiles()
        isolation = {"isolation_level": "REPEATABLE READ"} if self.engine.dialect.name == "postgresql" else {}
        self._reader = sessionmaker(self.engine.execution_options(**isolation), expire_on_commit=False)
        self._writer = sessionmaker(self.engine.execution_options(begin_immediate=True), expire_on_commit=False)
        for maker in (self._reader, self._writer):
            event.listen(maker, "do_orm_execute", hide_deleted)
            event.listen(maker, "do_orm_execute", hide_restricted)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session for reading."""
        with storage_errors(self.url), self._reader.begin() as session:
            session.info[FILES] = self.agreeing_files
            note_hidden(session)
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session that holds the write lock until it ends; keep it short.

        Raises:
            FindingsAwayError: files of a round had to be fetched, which was done after the lock was given back; run the
                transaction again (`db.agreeing_file.again_once_fetched`).
        """
        waiting = self.writers.held(BUSY_TIMEOUT_MS / 1000)
        try:
            with storage_errors(self.url), waiting, self._writer.begin() as session:
                session.info |= {FILES: self.agreeing_files, WRITES: True}
                note_hidden(session)
                yield session
        except FindingsAwayError as away:
            self.agreeing_files.open(*away.file)
            raise

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema; the only way tables are ever made.

    Raises:
        StorageError: it cannot be reached, read or written, it is damaged, or its tables are not this release's.
    """
    with storage_errors(url):
        if revision_of(url) == known_revisions()[-1]:
            return
        from alembic import command  # noqa: PLC0415  # half a second, which most starts need not pay

        command.upgrade(alembic_config(url), "head")


def revision_of(url: str) -> str | None:
    """Return the revision of the schema, None without tables of Outfold.

    Raises:
        StorageError: a newer release or another program made the tables, or the file is a folder or not writable.
    """
    file = file_of(url)
    if file is not None and not file.exists():
        return None
    if file is not None and file.is_dir():
        raise StorageError(f"{file}: it is a folder, and a database is a file", "move it away or name another database")
    if file is not None and not os.access(file, os.R_OK | os.W_OK):
        raise StorageError(f"{file}: this user may not read and write it", "change its permissions")
    engine = create_engine(url, connect_args=connect_arguments(url))
    try:
        with engine.connect() as connection:
            tables = set(inspect(connection).get_table_names())
            query = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608  # a constant
            found = connection.exec_driver_sql(query).scalar() if VERSION_TABLE in tables else None
    finally:
        engine.dispose()
    # a server's database may be shared with others
    if found is None and tables - {VERSION_TABLE} and file is not None:
        raise StorageError(f"{file}: it holds tables of another program", "move the file away or name another database")
    if found is not None and found not in known_revisions():
        raise StorageError(
            f"{name_of(url)}: it was made by a newer Outfold (its schema is {found})",
            "update Outfold, or name another OUTFOLD_HOME or database",
        )
    return None if found is None else str(found)


def known_revisions() -> list[str]:
    """Return the revisions that this release knows, the newest last: a migration's file begins with its revision."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def connect_arguments(url: str) -> dict[str, int]:
    """Return the arguments of every connection: a server that drops packets must not block a page for minutes."""
    parsed = make_url(url)
    is_ours = parsed.get_backend_name() == "postgresql" and "connect_timeout" not in parsed.query
    return {"connect_timeout": CONNECT_SECONDS} if is_ours else {}


def alembic_config(url: str) -> "Config":
    """Return the migrations' configuration for `url`."""
    from alembic.config import Config  # noqa: PLC0415  # as above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))  # to the parser of the option a % is its own
    return config


@cache
def _writers(_url: str) -> FairLock:
    return FairLock()  # one per database, even if it is opened twice


def _create(url: str) -> Engine:
    # without parameters in errors, which may be password hashes, so that none is logged
    engine = create_engine(
        url, pool_size=20, max_overflow=20, connect_args=connect_arguments(url), hide_parameters=True
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "begin", _on_postgresql_begin)
    return engine


def _on_sqlite_connect(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late and is never IMMEDIATE
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a saved verdict survives a power cut too; one fsync a commit
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        "cache_size=-65536",
        "temp_store=MEMORY",
        "mmap_size=1073741824",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("begin_immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _on_postgresql_begin(connection: Connection) -> None:
    if connection.get_execution_options().get("begin_immediate", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
