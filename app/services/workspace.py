"""What every service is given: the database and the root of the files."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.settings import Settings, settings
from db.engine import Database, migrate


@dataclass(frozen=True, slots=True)
class Workspace:
    """One installation, opened."""

    database: Database
    files: Path
    settings: Settings

    def round_folder(self, round_id: int) -> Path:
        """Where a round keeps its snapshot, checkpoints and arrays."""
        return self.files / "rounds" / str(round_id)

    @property
    def image_caches(self) -> Path:
        """Where decoded images are kept, by content."""
        return self.files / "images"

    @property
    def thumbnails(self) -> Path:
        """Where thumbnails are kept, by content hash."""
        return self.files / "thumbnails"

    @property
    def masks(self) -> Path:
        """Where masks are kept, by content; see `core.data.masks.store`."""
        return self.files / "masks"

    @property
    def exports(self) -> Path:
        """Where exports go that were given no folder."""
        return self.files / "exports"


def open_workspace(chosen: Settings) -> Workspace:
    """Create what is missing, migrate the database, return the workspace."""
    chosen.files.mkdir(parents=True, exist_ok=True)
    migrate(chosen.app_url)
    return Workspace(Database(chosen.app_url), chosen.files, chosen)


@cache
def workspace() -> Workspace:
    """Return this process's workspace: one pool of connections, shared by all of its threads."""
    return open_workspace(settings())
