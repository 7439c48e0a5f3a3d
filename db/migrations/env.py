"""Alembic's entry: run the migrations over the URL that `db.engine.migrate` was given."""

from typing import Literal

from alembic import context
from sqlalchemy import create_engine

from db.engine import WRITE_LOCK
from db.models import Base, Code, UtcDateTime


def render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write our own column types as the plain ones they store, so that a migration needs nothing of the code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime()"
    if kind == "type" and isinstance(item, Code):
        return "sa.SmallInteger()"
    return False


url = context.config.get_main_option("sqlalchemy.url") or ""
engine = create_engine(url)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, render_item=render)
    with context.begin_transaction():
        if engine.dialect.name == "postgresql":  # of two processes that start at once the later one finds all done
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
        context.run_migrations()
engine.dispose()
