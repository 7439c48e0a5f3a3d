"""Context of an installation: its settings, its database and the root of its files."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from app.services.faults import file_errors
from app.services.shared_files import claim, refuse_other_url
from app.settings import Settings, settings
from core.config import allow_weights_in
from core.data.shared_rounds import remove_round, round_bytes, sync_round
from core.data.storage import write_atomically
from core.data.store import SharedFiles, files_below, open_store
from core.types import ConfigError, StorageError
from db.engine import Database, migrate
from db.faults import file_of, name_of
from db.home_id import agree_on_home_id
from db.queries import rounds

RESTORING = ".restoring"  # folder in a home while a backup is restored into it
HOME_ID = "home_id"  # file among the files of an installation whose database has a place of its own
PROBE_BYTES = 4096  # one block: a full disk takes an empty file and refuses its first byte


@dataclass(frozen=True, slots=True)
class AppContext:
    """One installation, opened."""

    database: Database
    files: Path
    settings: Settings

    def __post_init__(self) -> None:
        """Let the database find the findings that lie in rounds' folders."""
        self.database.agreeing_files.folder_of = self.round_folder
        self.database.agreeing_files.own_folder_of = self.own_round_folder if self.settings.files_url else None

    @property
    def shared(self) -> SharedFiles | None:
        """Return the store that several homes share, None if the files are this home's alone."""
        url = self.settings.files_url
        return open_store(self.files, url, self.settings.cache_bytes) if url else None

    def round_folder(self, round_id: int, *, opening: bool = False) -> Path:
        """Return the folder of a round: its snapshot, checkpoints and arrays; fetched is what other homes published.

        With `opening` only what the round opened with is fetched.

        Raises:
            StorageError: the store of shared files cannot be used.
        """
        if (store := self.shared) is None:
            return self.own_round_folder(round_id)
        return sync_round(store, round_id, lambda: self._snapshot_hash(round_id), opening=opening)

    def own_round_folder(self, round_id: int) -> Path:
        """Return the folder of a round as far as it lies in this home."""
        return self.files / "rounds" / str(round_id)

    def round_bytes(self, round_id: int) -> int:
        """Return the size of a round's files; one that goes meanwhile counts nothing."""
        if (store := self.shared) is not None:
            return round_bytes(store, round_id)
        return sum(_size(path) for path in files_below(self.own_round_folder(round_id)))

    def remove_round(self, round_id: int) -> None:
        """Remove the folder of a round for good."""
        if (store := self.shared) is None:
            shutil.rmtree(self.own_round_folder(round_id), ignore_errors=True)
        else:
            remove_round(store, round_id)

    def publish(self, paths: Iterable[Path]) -> None:
        """Show files to the homes that share them, before a row names them; nothing to do without such homes."""
        if (store := self.shared) is not None:
            store.publish(paths)

    def publish_tree(self, folder: Path) -> None:
        """Show a folder of content, to which nothing is added any more, to the homes that share these files."""
        if (store := self.shared) is not None:
            store.publish_tree(folder)

    def fetch_tree(self, path: Path) -> Path:
        """Return where a folder of content lies here, fetched if another home has made it; any other path as it is."""
        store = self.shared
        return path if store is None else store.fetch_tree(path)

    def here(self, path: Path) -> Path:
        """Return the path in this home of content that another home names; any other path as it is."""
        store = self.shared
        return path if store is None else store.here(path)

    def remove(self, path: Path) -> None:
        """Remove a file of content, from the store that homes share too."""
        if (store := self.shared) is None:
            path.unlink(missing_ok=True)
        else:
            store.remove(path)

    @contextmanager
    def using_files(self) -> Iterator[None]:
        """Keep copies of shared files from being removed during the block."""
        if (store := self.shared) is None:
            yield
            return
        with store.using_content():
            yield

    def _snapshot_hash(self, round_id: int) -> str | None:
        with self.database.read() as session:
            return rounds.get_round(session, round_id).snapshot_hash

    @property
    def image_caches(self) -> Path:
        """Return the folder of decoded images, by content."""
        return self.files / "images"

    @property
    def thumbnails(self) -> Path:
        """Return the folder of thumbnails, by content hash."""
        return self.files / "thumbnails"

    @property
    def masks(self) -> Path:
        """Return the folder of masks, by content; see `core.data.masks.store`."""
        return self.files / "masks"

    @property
    def exports(self) -> Path:
        """Return the folder of exports without a target of their own."""
        return self.files / "exports"


def open_app(chosen: Settings) -> AppContext:
    """Create missing folders, migrate the database, return the installation's context.

    Raises:
        StorageError: the home cannot be written, or the database cannot be used or goes with another home or with
            other shared files.
        ConfigError: an allowed folder does not exist, or homes that share files would not share their jobs.
    """
    prepare_home(chosen)
    for root in chosen.roots:
        if not root.is_dir():
            raise ConfigError(f"OUTFOLD_ALLOWED_ROOTS: {root} is not a folder", "create or mount it, or leave it out")
    allow_weights_in(chosen.real_roots)
    migrate(chosen.app_url)
    database = Database(chosen.app_url)
    if chosen.files_url:
        claim(database, chosen)
    elif chosen.database_url:  # otherwise it lies in the home
        _refuse_other_home(database, chosen.files)
    return AppContext(database, chosen.files, chosen)


def prepare_home(chosen: Settings) -> None:
    """Create the home where it is missing, and write a block in it to find a full or read-only disk now.

    Raises:
        StorageError: it cannot be written, its database was emptied, a restoration into it is not finished, or its
            files are not those behind OUTFOLD_FILES_URL.
    """
    if (chosen.folder / RESTORING).exists():
        raise StorageError(
            f"{chosen.folder}: the restoration of a backup into it has not ended",
            "wait for it; if it was interrupted, restore the backup again",
        )
    with file_errors(str(chosen.home)):
        chosen.files.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen.files, buffering=0) as probe:
            probe.write(bytes(PROBE_BYTES))
    refuse_other_url(chosen)
    database = file_of(chosen.app_url)
    has_rounds = (chosen.files / "rounds").is_dir()
    if has_rounds and database is not None and database.is_file() and not database.stat().st_size:
        raise StorageError(
            f"{database}: it is empty, though this installation has rounds",
            "restore it from a backup, or move it away to begin anew",
        )


def _refuse_other_home(database: Database, files: Path) -> None:
    """Refuse a database whose rows speak of the files of another home; the first home to use it is its own."""
    path = files / HOME_ID
    noted, own = agree_on_home_id(database, partial(_read_home_id, path), partial(_write_home_id, path))
    if own != noted:
        raise StorageError(
            f"{name_of(database.url)}: its files are in another home, not in {files}",
            f"name the home that all its processes share in OUTFOLD_HOME, or a database of this home's own; "
            f"if these are its files, write {noted} into {path}",
        )


def _read_home_id(path: Path) -> int | None:
    with file_errors(str(path)):
        number = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    return int(number) if number.isdecimal() else None


def _write_home_id(path: Path, number: int) -> None:
    with file_errors(str(path)):
        write_atomically(path, f"{number}\n".encode())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@cache
def app_context() -> AppContext:
    """Return this process's context: one pool of connections, shared by all of its threads."""
    return open_app(settings())
