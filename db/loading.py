"""Bulk loading of rows into one table: by COPY on PostgreSQL, otherwise by INSERT.

Both bypass SQLAlchemy's work for each row: values are those of the driver, enumerations as their stored
value and JSON as text.

The largest of these tables is that of findings, which a round makes as `NewFinding`s. Their ids are dealt by
`reserve_ids` alone, so that a large round may keep a block of ids for findings that have no row yet. A row has the
whole percents of its confidence too: by them findings are counted, and bounds of filters compared.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import psycopg
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core.types import FindingKind, FloatArray, IntArray, Status
from db.models import FindingRow, RoundRow
from db.visibility import WITH_DELETED

POSTGRESQL = "postgresql"
ROOMY_CACHE_KB = 512 * 1024  # SQLite's pages of one connection while it loads
_BATCH = 5_000  # rows handed to SQLite's driver at once
_SLACK = 1e-9  # 0.29 has 29 percent although 100 * 0.29 is a little less
_SEQUENCE = f"pg_get_serial_sequence('{FindingRow.__tablename__}', 'id')"


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
    """Let SQLite cache up to 512 MB of pages in the block, so that index pages filled in random order are written once.

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
        msg = f"{type(driver).__name__} is not a connection of psycopg"
        raise TypeError(msg)
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copying:
            for row in rows:
                copying.write_row(tuple(row))
    except psycopg.Error as error:  # as raised by SQLAlchemy's own statements, so that it is reported like theirs
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


class NewFinding(NamedTuple):
    """One finding as a round makes it; plain Python numbers, `rank` counts from 0 and is unique in the round.

    `x` to `region` belong to a region of a mask: the box around it and its size in pixels, and `Region.to_bytes`.
    `own_given` and `own_pseudo` are the round's classes if `given` and `pseudo` are the targets of their merge.
    """

    sample_id: int
    row: int
    rank: int
    kind: FindingKind
    given: int
    pseudo: int
    confidence: float
    self_confidence: float
    margin: float
    fold: int
    split: str
    top: list[list[float]]
    similarity_rank: int | None
    x: int | None = None
    y: int | None = None
    width: int | None = None
    height: int | None = None
    area: int | None = None
    region: bytes | None = None
    contradicting: int | None = None  # networks that contradict the given label, where the round has several
    own_given: int | None = None
    own_pseudo: int | None = None


_LOADED = ("id", "round_id", "percent", "status", "painted", *NewFinding._fields)


def reserve_ids(session: Session, count: int) -> int:
    """Return the first of `count` ids in a row that no finding has and that no other will be given."""
    own, round_ = FindingRow.__table__, RoundRow.__table__
    block_end = select(func.max(round_.c.first_finding_id + round_.c.reserved_ids))
    beyond = session.scalar(block_end, execution_options=WITH_DELETED) or 1
    if session.get_bind().dialect.name != POSTGRESQL:
        return max(beyond, 1 + (session.scalar(select(func.max(own.c.id))) or 0))
    connection = session.connection()
    first = max(beyond, int(connection.exec_driver_sql(f"SELECT nextval({_SEQUENCE})").scalar_one()))
    connection.exec_driver_sql(f"SELECT setval({_SEQUENCE}, {first + max(count, 1) - 1})")
    return first


def load_findings(session: Session, round_id: int, rows: Iterable[tuple[int, NewFinding]]) -> None:
    """Store findings, each with its id, as rows of a round."""
    session.flush()
    with roomy_cache(session):
        loaded = (_loaded(round_id, id_, row) for id_, row in rows)
        load_rows(session.connection(), FindingRow.__tablename__, _LOADED, loaded)


def _loaded(round_id: int, id_: int, row: NewFinding) -> tuple[Any, ...]:
    """Return the values of `_LOADED` as a driver takes them."""
    stored = row._replace(kind=row.kind.value, top=json.dumps(row.top))  # type: ignore[arg-type]  # as stored
    return (id_, round_id, percent_of(row.confidence), Status.OPEN.value, False, *stored)


def percent_of(confidence: float) -> int:
    """Return the whole percents in a confidence; 0.29 has 29 although 100 * 0.29 is a little less."""
    return int(100 * confidence + _SLACK)


def percents_of(confidence: FloatArray) -> IntArray:
    """Return the whole percents in each confidence, (N,)."""
    return (100 * confidence + _SLACK).astype(np.int64)


def whole_percent(confidence: float) -> int | None:
    """Return the confidence in percent, None if that is not a whole number."""
    percent = round(100 * confidence)
    return percent if abs(100 * confidence - percent) < _SLACK else None
