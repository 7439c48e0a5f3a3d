"""Copy of a whole database into an empty one, SQLite or PostgreSQL either way, and proof that both hold the same.

Rows travel as they are stored: enumerations by their values, JSON as its text, so that NULL and the JSON `null` stay
two things. Tables go one after another, those that others refer to first, each by ascending id, since rows only refer
to earlier ones of their own table. The source is one consistent state; later writes are not in it. In the target all is
one transaction, which ends with a comparison of every table's count and hash.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    Enum,
    Select,
    String,
    Table,
    Text,
    cast,
    column,
    insert,
    select,
    table as plain_table,
    text,
)
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.types import SmallInteger, TypeEngine

from core.types import StorageError
from db.engine import Database, migrate, revision_of
from db.faults import name_of
from db.home_id import find_home_id, note_home_id
from db.loading import POSTGRESQL, load_rows
from db.models import Base, Code, UtcDateTime

BATCH = 5_000  # rows held in memory
Rows = Iterator[list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class TableCopy:
    """One table's number of rows, and the BLAKE2b hash of their contents in the order of their ids."""

    table: str
    rows: int
    hash: str


def copy_database(
    source_url: str, target_url: str, on_table: Callable[[TableCopy], None] = lambda _copied: None
) -> list[TableCopy]:
    """Copy every row of a database into an empty one, both in this release's schema; return counts and hashes by table.

    Raises:
        StorageError: the source holds no tables, the target holds rows, a row does not fit, or a table differs after
            the copy; the target then has empty tables and no row.
    """
    if source_url == target_url:
        raise StorageError(f"{name_of(target_url)}: it is the source itself", "name another database as target")
    if revision_of(source_url) is None:
        raise StorageError(f"{name_of(source_url)}: it holds no tables of Outfold", "correct the source's URL")
    migrate(source_url)
    migrate(target_url)
    source, target = Database(source_url), Database(target_url)
    try:
        with source.read() as reading, target.write() as writing:
            refuse_filled(writing.connection(), target_url)
            done = [
                _copy_table(table, reading.connection(), writing.connection(), target_url, on_table)
                for table in Base.metadata.sorted_tables
            ]
            number = find_home_id(reading)
            if number is not None:
                note_home_id(writing, number)
        return done
    finally:
        source.close()
        target.close()


def hash_tables(url: str) -> list[TableCopy]:
    """Return row count and hash of each table of a database with this release's schema, in one consistent state."""
    database = Database(url)
    try:
        with database.read() as session:
            connection = session.connection()
            return [_hash_table(table, connection) for table in Base.metadata.sorted_tables]
    finally:
        database.close()


def refuse_filled(connection: Connection, url: str) -> None:
    """Raise `StorageError` where a table holds a row."""
    for table in Base.metadata.sorted_tables:
        if connection.execute(select(*table.primary_key).limit(1)).first() is not None:
            raise StorageError(
                f"{name_of(url)}: it holds rows already ({table.name})",
                "name an empty database; nothing is added to what is there",
            )


def _copy_table(
    table: Table, source: Connection, target: Connection, target_url: str, on_table: Callable[[TableCopy], None]
) -> TableCopy:
    digest = _Digest()
    _write(table, target, digest.watched(_read(table, source)), target_url)
    copied = digest.result(table.name)
    found = _hash_table(table, target)
    if found != copied:
        raise StorageError(
            f"{name_of(target_url)}: {table.name} has {found.rows:,} rows of hash {found.hash[:12]} after the copy, "
            f"the source {copied.rows:,} of {copied.hash[:12]}",
            "nothing was stored; report this with both databases' versions",
        )
    on_table(copied)
    return copied


def _hash_table(table: Table, connection: Connection) -> TableCopy:
    digest = _Digest()
    for _ in digest.watched(_read(table, connection)):
        pass
    return digest.result(table.name)


class _Digest:
    """Count and hash of rows that pass by."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=32)
        self._rows = 0

    def watched(self, batches: Rows) -> Rows:
        """Yield the batches, each counted and hashed before."""
        for batch in batches:
            self._rows += len(batch)
            self._digest.update(repr(batch)[1:-1].encode("utf-8", "surrogatepass"))
            self._digest.update(b", ")  # as between two rows of a batch
            yield batch

    def result(self, name: str) -> TableCopy:
        """Return count and hash of the rows so far."""
        return TableCopy(name, self._rows, self._digest.hexdigest())


def _read(table: Table, connection: Connection) -> Rows:
    """Yield all rows by ascending primary key, in batches that the server hands out one by one."""
    query = _select(table, connection.dialect.name)
    found = connection.execute(query, execution_options={"yield_per": BATCH})
    for batch in found.partitions():
        yield [tuple(row) for row in batch]


def _select(table: Table, dialect: str) -> Select[Any]:
    plain = _plain(table)
    as_text = {one.name for one in table.columns if isinstance(one.type, JSON)} if dialect == POSTGRESQL else set()
    shown = (cast(one, Text) if one.name in as_text else one for one in plain.columns)
    return select(*shown).order_by(*(plain.c[one.name] for one in table.primary_key))


def _plain(table: Table) -> TableClause:
    """Return the table with the types that are stored, without those of the code above them."""
    return plain_table(table.name, *(column(one.name, _stored_type(one.type)) for one in table.columns))


def _stored_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(kind, JSON):
        return Text()
    if isinstance(kind, Enum):
        return String()
    if isinstance(kind, UtcDateTime):
        return DateTime()
    return SmallInteger() if isinstance(kind, Code) else kind


def _write(table: Table, connection: Connection, batches: Rows, url: str) -> None:
    try:
        if connection.dialect.name == POSTGRESQL:
            load_rows(connection, table.name, [one.name for one in table.columns], chain.from_iterable(batches))
            _set_sequence(table, connection)
        else:
            _write_by_insert(table, connection, batches)
    except (DataError, IntegrityError) as error:
        reason = str(error.orig).splitlines()[0]
        raise StorageError(
            f"{name_of(url)}: a row of {table.name} does not fit ({reason})",
            "nothing was stored; correct that row in the source, then copy again",
        ) from error


def _set_sequence(table: Table, connection: Connection) -> None:
    """Make the next row's id follow the largest existing one."""
    if table.autoincrement_column is None:
        return  # its key is of other tables
    quote = connection.dialect.identifier_preparer.quote
    sequence = f"pg_get_serial_sequence('{quote(table.name)}', 'id')"
    newest = f"(SELECT max(id) FROM {quote(table.name)})"  # noqa: S608  # names of our own tables
    connection.execute(text(f"SELECT setval({sequence}, {newest}) WHERE {newest} IS NOT NULL"))


def _write_by_insert(table: Table, connection: Connection, batches: Rows) -> None:
    plain = _plain(table)
    names = [one.name for one in table.columns]
    for batch in batches:
        connection.execute(insert(plain), [dict(zip(names, row, strict=True)) for row in batch])
