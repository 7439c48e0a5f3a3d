"""Publication of a home's files behind a URL, by a process of its own while no worker writes."""

from collections.abc import Callable

from app.services.app_context import AppContext
from app.services.shared_files import note_url, number_of, write_number
from app.services.workers import settled_worker_state
from app.settings import Settings
from core.data.shared_rounds import publish_done, publish_opening, unit_of
from core.data.snapshot import SNAPSHOT
from core.data.store import CONTENT, files_below, open_store
from core.types import ConfigError, JobStatus, StorageError
from db.engine import Database, migrate
from db.faults import name_of
from db.home_id import find_home_id, new_home_id, note_home_id
from db.queries import deletions

_CHUNK = 256  # files between two reports


def publish_files(chosen: Settings, on_file: Callable[[int, str], None]) -> int:
    """Publish all files of a home behind its URL; return their number. Safe to repeat.

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
        return _publish_home(database, chosen, on_file)
    finally:
        database.close()


def _publish_home(database: Database, chosen: Settings, on_file: Callable[[int, str], None]) -> int:
    store = open_store(chosen.files, chosen.files_url, chosen.cache_bytes)
    with database.read() as session:
        noted = find_home_id(session)
        opened = deletions.opened_rounds(session)
    known = number_of(store)
    if known is not None and known != noted:
        raise StorageError(
            f"{store.remote.name}: its files go with another database than {name_of(database.url)}",
            "name a prefix of its own in OUTFOLD_FILES_URL",
        )
    done = 0
    for part in CONTENT:
        paths = [path for path in files_below(chosen.files / part) if store.key(path) is not None]
        for start in range(0, len(paths), _CHUNK):
            on_file(done, paths[start].name)
            store.publish(paths[start : start + _CHUNK])
            done += len(paths[start : start + _CHUNK])
    for number, status, digest in opened:
        folder = chosen.files / unit_of(number)
        if not (folder / SNAPSHOT).exists():
            continue
        on_file(done, f"round {number}")
        if status is JobStatus.DONE:
            publish_done(store, number)
        else:
            publish_opening(store, number, digest, folder)
        done += sum(1 for _ in files_below(folder))
    with database.write() as session:
        own = find_home_id(session) or new_home_id()
        write_number(store, own)
        note_home_id(session, own)
    note_url(chosen)
    return done
