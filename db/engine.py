"""Open the database: one engine a process, SQLite by default, made for many readers and one short writer at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session, sessionmaker

from core.types import StorageError
from db.faults import file_of, name_of, storage_errors

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 30_000
VERSION_TABLE = "alembic_version"
WRITE_LOCK = 7_305_112  # PostgreSQL knows advisory locks by a number, of one's own choice, in each database


class Database:
    """A pool of connections to one database, handed out as transactions.

    `read()` sees one consistent state; `write()` takes the one write lock at once (in SQLite BEGIN IMMEDIATE, in
    PostgreSQL an advisory lock), so that a transaction never fails half-way because somebody else wrote first, and what
    follows from decisions is never computed from half of them. Both commit at their end or roll back whole.

    A full disk, a damaged file, a server that is away: both raise `StorageError`, whose text names the cure.
    """

    def __init__(self, url: str) -> None:
        """Open `url`; nothing is created before `migrate`."""
        self.url = url
        self.engine = _create(url)
        isolation = {"isolation_level": "REPEATABLE READ"} if self.engine.dialect.name == "postgresql" else {}
        self._reader = sessionmaker(self.engine.execution_options(**isolation), expire_on_commit=False)
        self._writer = sessionmaker(self.engine.execution_options(begin_immediate=True), expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session for reading."""
        with storage_errors(self.url), self._reader.begin() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session that holds the write lock until it ends; keep it short."""
        with storage_errors(self.url), self._writer.begin() as session:
            yield session

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema; the only way tables are ever made.

    Raises:
        StorageError: it cannot be reached, read or written, it is damaged, or its tables are not this release's.
    """
    from alembic import command  # noqa: PLC0415  # half a second, which a job's process must not pay for

    with storage_errors(url):
        refuse_foreign(url)
        command.upgrade(alembic_config(url), "head")


def refuse_foreign(url: str) -> None:
    """Check that a database holds tables of this release, of an older one, or none.

    Raises:
        StorageError: a newer release or another program made it, or its file is a folder.
    """
    file = file_of(url)
    if file is not None and not file.exists():
        return
    if file is not None and file.is_dir():
        raise StorageError(f"{file}: it is a folder, and a database is a file; move it away or name another database")
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            tables = set(inspect(connection).get_table_names())
            revision = revision_of(connection) if VERSION_TABLE in tables else None
    finally:
        engine.dispose()
    if (
        revision is None and tables - {VERSION_TABLE} and file is not None
    ):  # a server's database may be shared with others
        raise StorageError(f"{file}: it holds tables of another program; move the file away or name another database")
    if revision is not None and revision not in known_revisions(url):
        raise StorageError(
            f"{name_of(url)}: it was made by a newer Outfold (its schema is {revision}); "
            "update Outfold, or name another OUTFOLD_HOME or database"
        )


def revision_of(connection: Connection) -> str | None:
    """Return the schema's revision, None before the first migration."""
    return connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()  # noqa: S608  # a constant


def known_revisions(url: str) -> list[str]:
    """Return the revisions that this release knows, the newest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415  # as above

    return [script.revision for script in ScriptDirectory.from_config(alembic_config(url)).walk_revisions()]


def alembic_config(url: str) -> "Config":
    """Return the migrations' configuration for `url`."""
    from alembic.config import Config  # noqa: PLC0415  # as above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))  # to the parser of the option a % is its own
    return config


def _create(url: str) -> Engine:
    engine = create_engine(url, pool_size=20, max_overflow=20)
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
