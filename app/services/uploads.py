"""Small sets that come through the browser: a zip file becomes a folder of our own, named by its content."""

from hashlib import blake2b
from pathlib import Path
from typing import IO

from app.services.workspace import Workspace
from core.data.formats.archive import ArchiveLimits, unpack
from core.data.storage import atomic_folder

_BLOCK = 1 << 20  # bytes
LIMITS = ArchiveLimits()


def store_upload(workspace: Workspace, archive: IO[bytes], name: str) -> Path:
    """Unpack a zip file whole or not at all and return its folder; the same one twice is unpacked once.

    Raises:
        DatasetError: it is no safe zip file, see `core.data.formats.archive`.
    """
    digest = blake2b(digest_size=8)
    archive.seek(0)
    while block := archive.read(_BLOCK):
        digest.update(block)
    safe = "".join(letter if letter.isalnum() or letter in "-_ " else "_" for letter in Path(name).stem)[:60]
    folder = workspace.files / "uploads" / digest.hexdigest() / (safe or "images")
    if not folder.exists():
        archive.seek(0)
        with atomic_folder(folder) as partial:
            unpack(archive, partial, LIMITS)
    return folder
