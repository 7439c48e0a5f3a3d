"""Backups of an installation, made while it runs, and their restoration into an empty home.

A backup is one uncompressed tar file: `outfold.sqlite`, then files of the home as `files/...`, then `manifest.json`
with the size and SHA-256 of each. The database is always written as SQLite, also from PostgreSQL (`db.copying`, one
consistent state): so no program of the server is needed, versions of server and client may differ, every table is
compared by its hash, and a backup goes back into either kind of database.

`make` makes one, `restore` restores it. Left out is what can be computed again (decoded images, thumbnails, caches) and
the job engine's tables: the worker queues waiting jobs anew, and fails running ones, which can be resumed.
"""

from dataclasses import dataclass, field

DATABASE, FILES, MANIFEST = "outfold.sqlite", "files", "manifest.json"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Contents of a backup: `files` has size in bytes and SHA-256 of each member but the manifest itself."""

    format: int = FORMAT
    outfold: str  # version
    made_at: str  # ISO 8601, UTC
    home: str  # whose paths the rows name
    files: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Return the sum of all sizes."""
        return sum(size for size, _ in self.files.values())
