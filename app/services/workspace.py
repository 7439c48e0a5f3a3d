"""Workspace of the services: the database and the root of the files."""

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.services.faults import file_errors
from app.settings import Settings, settings
from core.types import ConfigError, StorageError
from db.engine import Database, migrate
from db.faults import file_of

PROBE_BYTES = 4096  # one block: a full disk takes an empty file and refuses its first byte


@dataclass(frozen=True, slots=True)
class Workspace:
    """One installation, opened."""

    database: Database
    files: Path
    settings: Settings

    def round_folder(self, round_id: int) -> Path:
        """Return the folder of a round: its snapshot, checkpoints and arrays."""
        return self.files / "rounds" / str(round_id)

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
        """Where exports go that were given no folder."""
        return self.files / "exports"


def open_workspace(chosen: Settings) -> Workspace:
    """Create what is missing, migrate the database, return the workspace.

    Raises:
        StorageError: the home cannot be written, or the database cannot be used.
        ConfigError: an allowed folder does not exist.
    """
    prepare_home(chosen)
    for root in chosen.roots:
        if not root.is_dir():
            raise ConfigError(f"OUTFOLD_ALLOWED_ROOTS: {root} is no folder; create or mount it, or leave it out")
    migrate(chosen.app_url)
    return Workspace(Database(chosen.app_url), chosen.files, chosen)


def prepare_home(chosen: Settings) -> None:
    """Create the home where it is missing, and write a block in it to find a full or read-only disk now.

    Raises:
        StorageError: it cannot be written, or its database was emptied.
    """
    with file_errors(str(chosen.home)):
        chosen.files.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen.files, buffering=0) as probe:
            probe.write(bytes(PROBE_BYTES))
    database = file_of(chosen.app_url)
    has_rounds = (chosen.files / "rounds").is_dir()
    if has_rounds and database is not None and database.is_file() and not database.stat().st_size:
        raise StorageError(
            f"{database}: it is empty, though this installation has rounds; restore it from a backup, "
            "or move it away to begin anew"
        )


@cache
def workspace() -> Workspace:
    """Return this process's workspace: one pool of connections, shared by all of its threads."""
    return open_workspace(settings())
