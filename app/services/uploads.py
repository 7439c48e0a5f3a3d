"""Archives, uploaded or on this machine: each becomes a folder of our own, named by its content."""

import shutil
from hashlib import blake2b
from pathlib import Path
from typing import IO

from app.services.allowed import refuse_outside
from app.services.workspace import Workspace
from core.data.formats.archive import ArchiveLimits, unpack
from core.data.storage import RESERVE, atomic_folder
from core.types import DatasetError

_BLOCK = 1 << 20  # bytes
LIMITS = ArchiveLimits()
_MOST_FILES = 10_000_000


def store_upload(workspace: Workspace, archive: IO[bytes], name: str) -> Path:
    """Unpack a zip file whole or not at all and return its folder; the same one twice is unpacked once.

    Raises:
        DatasetError: it is no safe zip file, see `core.data.formats.archive`.
    """
    return _store(workspace, archive, name, LIMITS)


def store_archive(workspace: Workspace, path: Path) -> Path:
    """Unpack an archive of this machine, as large as there is room for, and return its folder.

    Raises:
        DatasetError: it is no safe zip or tar, cannot be read, or must not be.
    """
    refuse_outside(workspace, path)
    free = shutil.disk_usage(workspace.files).free
    room = ArchiveLimits(files=_MOST_FILES, bytes=max(free - RESERVE, 0))
    try:
        with path.open("rb") as archive:
            return _store(workspace, archive, path.name, room)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}); check its rights") from error


def _store(workspace: Workspace, archive: IO[bytes], name: str, limits: ArchiveLimits) -> Path:
    digest = blake2b(digest_size=8)
    archive.seek(0)
    while block := archive.read(_BLOCK):
        digest.update(block)
    safe = "".join(
        letter if letter.isalnum() or letter in "-_ " else "_" for letter in Path(name.removesuffix(".gz")).stem
    )[:60]
    folder = workspace.files / "uploads" / digest.hexdigest() / (safe or "images")
    if not folder.exists():
        archive.seek(0)
        with atomic_folder(folder) as partial:
            unpack(archive, partial, limits)
    return folder
