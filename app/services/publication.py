"""Publication of a home's files behind a URL, by a process of its own while no worker writes."""

from collections.abc import Callable

from app.services.app_context import AppContext
from app.services.shared_files import publish_home
from app.services.workers import settled_worker_state
from app.settings import Settings
from core.types import ConfigError, StorageError
from db.engine import Database, migrate


def publish_files(chosen: Settings, on_file: Callable[[int, str], None]) -> int:
    """Publish all files of a home behind its URL; return their number. Safe to be run again.

    Raises:
        ConfigError: no URL is set.
        StorageError: a worker is alive, the store goes with another database, or it cannot be used.
    """
    if not chosen.files_url:
        raise ConfigError("OUTFOLD_FILES_URL is empty", "set it, as to s3://bucket/prefix")
    migrate(chosen.app_url)
    database = Database(chosen.app_url)
    try:
        state = settled_worker_state(AppContext(database, chosen.files, chosen))
        if state.is_alive:
            raise StorageError(
                f"worker {state.alive[0].slot} is alive, and what it writes would be missed",
                "stop Outfold and its workers, then publish",
            )
        return publish_home(database, chosen, on_file)
    finally:
        database.close()
