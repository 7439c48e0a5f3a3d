"""Alembic's entry: run the migrations over the URL that `db.engine.migrate` was given.

All of them are one transaction, so that a kill in their midst leaves the database as it was, and of two processes that
start at once the later one finds all done.
"""

from typing import Literal

from alembic import context
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from db.engine import WRITE_LOCK, connect_arguments
from db.models import Base, Code, UtcDateTime

LONGEST_WAIT_MS = 600_000  # for another process that migrates a million rows


def render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write our own column types as the plain ones they store, so that a migration needs nothing of the code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime()"
    if kind == "type" and isinstance(item, Code):
        return "sa.SmallInteger()"
    return False


def leave_begin_to_us(connection: DBAPIConnection, _record: object) -> None:
    """Keep SQLite's driver from its own BEGIN, which comes only after tables were made and dropped."""
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={LONGEST_WAIT_MS}")


def begin_at_once(connection: Connection) -> None:
    """Take SQLite's write lock before anything is read; foreign keys are off, for tables are dropped and renamed."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


url = context.config.get_main_option("sqlalchemy.url") or ""
engine = create_engine(url, connect_args=connect_arguments(url))
if engine.dialect.name == "sqlite":
    event.listen(engine, "connect", leave_begin_to_us)
    event.listen(engine, "begin", begin_at_once)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=render,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
        context.run_migrations()
engine.dispose()
