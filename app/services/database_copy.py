"""Copy of an installation's database to another place, as when a laptop's SQLite moves to a PostgreSQL server."""

from collections.abc import Callable

from app.services.app_context import AppContext
from app.services.workers import settled_worker_state
from app.settings import Settings, check_database_url
from core.types import ConfigError, StorageError
from db.copying import TableCopy, copy_database
from db.engine import Database, migrate, revision_of
from db.faults import name_of


def copy(
    chosen: Settings, source: str, target: str, on_table: Callable[[TableCopy], None] = lambda _copied: None
) -> list[TableCopy]:
    """Copy the database at one URL into the empty one at another; return what each table holds.

    Raises:
        ConfigError: one of them is no URL of a supported database.
        StorageError: a worker is alive in the source, the target holds rows, or one of them cannot be used.
    """
    for url in (source, target):
        try:
            check_database_url(url)
        except ConfigError as error:
            raise ConfigError(f"{url.partition('://')[0]}: {error.message}", error.cure) from None
    _refuse_worker(chosen, source)
    return copy_database(source, target, on_table)


def _refuse_worker(chosen: Settings, url: str) -> None:
    """Refuse a source in which a worker writes, for what it writes from now on would not be in the copy."""
    if revision_of(url) is None:
        return  # refused by the copy itself
    migrate(url)
    database = Database(url)
    try:
        state = settled_worker_state(AppContext(database, chosen.files, chosen))
    finally:
        database.close()
    if state.is_alive:
        raise StorageError(
            f"{name_of(url)}: worker {state.alive[0].slot} writes there, and its later work would be lost",
            "stop Outfold and its workers, then copy",
        )
