"""Sources of imports on the server: folders to choose from, and archives that become folders.

Listings of folders are bounded, within the allowed roots, links followed. An archive, uploaded or on this machine, is
unpacked into a folder of the installation, named by its content.
"""

import os
import shutil
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO

from app.services.allowed import allowed_roots, refuse_outside
from app.services.app_context import AppContext
from app.services.imports.jobs import recent_imports
from core.data.formats.archive import unpack
from core.data.formats.source import is_storable, natural_order
from core.data.formats.walk import is_ignored, is_image_name
from core.data.storage import RESERVE, atomic_folder, is_within
from core.types import DatasetError

MOST_ENTRIES = 20_000  # entries of one folder that are read
MOST_FOLDERS = 200  # folders that are listed
MOST_COUNTED = 20_000  # entries read to count the images of a listing
MOST_RECENT = 5
_BLOCK = 1 << 20  # bytes
UPLOADED_FILES, UPLOADED_BYTES = 200_000, 4 << 30  # most in an uploaded archive, once unpacked
_MOST_FILES = 10_000_000


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """A folder with the number of images in and below it; `more` if counting stopped early."""

    path: Path
    images: int
    more: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """The subfolders of a folder; for None, the allowed roots.

    `has_up`: `parent` can be listed; `cut`: there are more folders than are listed.
    """

    path: Path | None
    parent: Path | None
    has_up: bool
    folders: tuple[FolderEntry, ...]
    cut: bool


def list_folder(app_context: AppContext, path: Path | None) -> Listing:
    """List the folders of `path` by name; None lists the allowed roots, or the home folder if any is allowed.

    Raises:
        DatasetError: it lies outside the allowed folders, is not a folder, or cannot be read.
    """
    named = [Path(os.path.realpath(root)) for root in app_context.settings.roots]
    if path is None and named:
        return Listing(None, None, has_up=False, folders=_counted(named), cut=False)
    path = path or Path.home()
    refuse_outside(app_context, path)
    real = Path(os.path.realpath(path.expanduser()))
    roots = allowed_roots(app_context)
    try:
        found, cut = _folders_in(real, roots)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be listed ({error.strerror or error})", "choose another folder") from error
    above = real.parent
    inside = above != real and (not roots or any(is_within(str(above), root) for root in roots))
    return Listing(real, above if inside else None, inside or bool(named), _counted(found), cut)


def recent_folders(app_context: AppContext) -> list[Path]:
    """Return the folders of the newest imports that are still there and allowed, newest first; no uploads."""
    roots = allowed_roots(app_context)
    uploads = os.path.realpath(app_context.files)
    found: dict[Path, None] = {}
    for info in recent_imports(app_context):
        source = os.path.realpath(str(info.request["source"]))
        allowed = not roots or any(is_within(source, root) for root in roots)
        if allowed and not is_within(source, uploads) and Path(source).is_dir():
            found.setdefault(Path(source))
    return list(found)[:MOST_RECENT]


def store_upload(app_context: AppContext, archive: IO[bytes], name: str) -> Path:
    """Unpack a zip file completely or not at all and return its folder; an equal file is unpacked once.

    Raises:
        DatasetError: it is not a safe zip file, see `core.data.formats.archive`.
    """
    return _store(app_context, archive, name, UPLOADED_FILES, UPLOADED_BYTES)


def store_archive(app_context: AppContext, path: Path) -> Path:
    """Unpack a local archive of any size that fits on the disk, and return its folder.

    Raises:
        DatasetError: it is not a safe zip or tar, cannot be read, or must not be.
    """
    refuse_outside(app_context, path)
    free = shutil.disk_usage(app_context.files).free
    try:
        with path.open("rb") as archive:
            return _store(app_context, archive, path.name, _MOST_FILES, max(free - RESERVE, 0))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})", "check its rights") from error


def _folders_in(folder: Path, roots: tuple[str, ...]) -> tuple[list[Path], bool]:
    """Return the visible folders of a folder in natural order, and whether there are more.

    A link to a folder counts if its target is allowed.
    """
    found: list[Path] = []
    with os.scandir(folder) as entries:
        for seen, entry in enumerate(entries):
            if seen == MOST_ENTRIES:
                return _ordered(found), True
            if is_ignored(entry.name) or not is_storable(entry.name) or not _is_folder(entry):
                continue
            if entry.is_symlink() and roots:
                target = os.path.realpath(entry.path)
                if not any(is_within(target, root) for root in roots):
                    continue
            found.append(Path(entry.path))
    return _ordered(found), len(found) > MOST_FOLDERS


def _ordered(found: list[Path]) -> list[Path]:
    return sorted(found, key=lambda path: natural_order(path.name))[:MOST_FOLDERS]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; a circular link is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _counted(folders: list[Path]) -> tuple[FolderEntry, ...]:
    """Count the images of folders, each with an equal share of the entries to read."""
    budget = MOST_COUNTED // max(len(folders), 1)
    return tuple(_count(folder, budget) for folder in folders)


def _count(folder: Path, budget: int) -> FolderEntry:
    """Count the images in and below a folder, without following links; 0 if it cannot be read."""
    images, waiting = 0, [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if budget == 0:
                        return FolderEntry(folder, images, more=True)
                    budget -= 1
                    if is_ignored(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif is_image_name(entry.name):
                        images += 1
        except OSError:
            continue  # another user's folder: the import names it, here it only counts nothing
    return FolderEntry(folder, images, more=False)


def _store(app_context: AppContext, archive: IO[bytes], name: str, most_files: int, most_bytes: int) -> Path:
    digest = blake2b(digest_size=8)
    archive.seek(0)
    while block := archive.read(_BLOCK):
        digest.update(block)
    safe = "".join(
        letter if letter.isalnum() or letter in "-_ " else "_" for letter in Path(name.removesuffix(".gz")).stem
    )[:60]
    folder = app_context.files / "uploads" / digest.hexdigest() / (safe or "images")
    if not folder.exists():
        archive.seek(0)
        with atomic_folder(folder) as partial:
            unpack(archive, partial, most_files, most_bytes)
    app_context.publish_tree(folder)
    return folder
