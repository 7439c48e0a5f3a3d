"""Rows by the hundred thousand into one table, as the database stores them: by COPY on PostgreSQL, else by INSERT.

Both bypass what SQLAlchemy does for each row: values are those that the driver takes, enumerations as their stored
value and JSON as its text.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

POSTGRESQL = "postgresql"
ROOMY_CACHE_KB = 512 * 1024  # SQLite's pages of one connection while it loads
_BATCH = 5_000  # rows handed to SQLite's driver at once


def load_rows(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Collection[Any]]) -> None:
    """Add rows, each with a value for every column named; the others have the database's own default.

    Raises:
        sqlalchemy.exc.DBAPIError: a row does not fit, or the database cannot be written.
    """
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(map(quote, columns))
    if connection.dialect.name == POSTGRESQL:
        _copy(connection, f"COPY {quote(table)} ({names}) FROM STDIN", rows)
        return
    places = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {quote(table)} ({names}) VALUES ({places})"  # noqa: S608  # names of our own tables
    remaining = iter(rows)
    while batch := [tuple(row) for row in islice(remaining, _BATCH)]:
        connection.exec_driver_sql(statement, batch)


@contextmanager
def roomy_cache(session: Session) -> Iterator[None]:
    """Let SQLite keep up to 512 MB of pages within: what an index takes in random order is then read and written once.

    Without effect on PostgreSQL, which has one cache for all.
    """
    connection = session.connection()
    if connection.dialect.name == POSTGRESQL:
        yield
        return
    former = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql(f"PRAGMA cache_size = -{ROOMY_CACHE_KB}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size = {former}")  # changed pages stay until they are written


def _copy(connection: Connection, statement: str, rows: Iterable[Collection[Any]]) -> None:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        msg = f"{type(driver).__name__} is no connection of psycopg"
        raise TypeError(msg)
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copying:
            for row in rows:
                copying.write_row(tuple(row))
    except psycopg.Error as error:  # as SQLAlchemy's own statements raise it, so that it is told as theirs are
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error
