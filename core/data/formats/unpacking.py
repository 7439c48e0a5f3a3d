"""Files unpacked from the images embedded in a table, stored by content and named as in the table.

An image of the same content and name always has the same file: a repeated import finds it again, and no file changes
while a round reads it. Two images of one name are in separate folders.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from uuid import uuid4

from core.data.export.names import safe_name
from core.data.images import IMAGE_SUFFIXES
from core.data.storage import PARTIAL, RESERVE, size_text
from core.data.store import publish, store_of
from core.types import DatasetError

_MAGIC = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}
_FOLDERS = 8  # of a name that are kept


@dataclass(slots=True)
class FileStore:
    """A folder of files by content. `finish` flushes and publishes them, before anything refers to them."""

    folder: str
    _room: int = 0  # bytes that may be written before the disk is asked again
    _written: bool = False
    _used: set[Path] = field(default_factory=set)

    def put(self, data: bytes, name: str) -> Path:
        """Return the file with these bytes and this name, written if it does not exist.

        Raises:
            DatasetError: there is no room for it, or no folder.
        """
        if not self.folder:
            raise DatasetError("the images lie in a table, and there is no folder to unpack them into")
        digest = blake2b(data, digest_size=16).hexdigest()
        places = _places(Path(self.folder, digest[:3]), digest, _file_name(name, data))
        found = next(path for path in places if _holds(path, data) or self._write(path, data))
        if store_of(found) is not None:
            self._used.add(found)
        return found

    def finish(self) -> None:
        """Flush written files to the disk, and show all to the homes that share them: a killed import may not have."""
        if self._written:
            os.sync()
            self._written = False
        publish(self._used)
        self._used.clear()

    def _write(self, path: Path, data: bytes) -> bool:
        """Write a new file whole or not at all; return whether its path was free."""
        if path.exists():
            return False
        self._make_room(len(data))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{uuid4().hex}{PARTIAL}")
        try:
            partial.write_bytes(data)
            os.link(partial, path)  # unlike a rename it never replaces a file that another import wrote meanwhile
        except FileExistsError:
            return _holds(path, data)
        finally:
            partial.unlink(missing_ok=True)
        self._written = True
        return True

    def _make_room(self, size: int) -> None:
        if size > self._room:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
            if free - size < RESERVE:
                raise DatasetError(
                    f"{self.folder} has {size_text(free)} left, of which {size_text(RESERVE)} stay free for the "
                    "database and rounds, so the images cannot be unpacked",
                    "make room, or set OUTFOLD_HOME to a folder elsewhere",
                )
            self._room = min(free - RESERVE, RESERVE)
        self._room -= size


def shown_name(written: str | None, split: str, row: int) -> str:
    """Return the shown name of an image: the one in its cell, or its row number, below its split."""
    parts = [part for part in (written or "").replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if leads_out(written):
        parts = parts[-1:]
    name = "/".join(parts) or f"{row:06d}"
    return f"{split}/{name}" if split and parts[:1] != [split] else name


def leads_out(written: str | None) -> bool:
    """Return whether a path is absolute or contains `..`."""
    path = (written or "").replace("\\", "/")
    return path.startswith("/") or path[1:2] == ":" or ".." in path.split("/")


def _places(folder: Path, digest: str, name: str) -> Iterator[Path]:
    """Yield the possible paths of a file, in the order tried."""
    yield folder / name
    attempt = 0
    while True:
        yield folder / (f"{digest}-{attempt}" if attempt else digest) / name
        attempt += 1


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _file_name(name: str, data: bytes) -> str:
    """Return a name as a path valid on every disk, with the ending of its format."""
    path = PurePosixPath(name)
    suffix = path.suffix if path.suffix.lower() in IMAGE_SUFFIXES else _suffix(data)
    stem = path.name.removesuffix(suffix)
    return "/".join(map(safe_name, (*path.parts[:-1][-_FOLDERS:], stem))) + suffix


def _suffix(data: bytes) -> str:
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC.items() if data.startswith(magic)), "")
