"""Restoration of a backup into an empty home: checked as a whole before anything takes its place.

All is unpacked into a folder within the home (`RESTORING`), so no other disk is needed and nothing is copied twice. As
long as that folder is there, no process opens the home, and another restoration begins anew. The database takes its
place last.
"""

import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from hashlib import file_digest
from pathlib import Path

from app.services.app_context import RESTORING
from app.services.backups import DATABASE, FILES, FORMAT, MANIFEST, Manifest
from app.services.faults import file_errors
from app.settings import Settings
from core.data.storage import flush, flush_all
from core.types import StorageError
from db.copying import copy_database, refuse_filled
from db.engine import Database, migrate, revision_of

_OF_THE_DISK = frozenset({"lost+found"})
_PATHS = (("dataset", "root"), ("sample", "path"), ("incoming_sample", "path"), ("problem", "path"), ("export", "path"))
_PATHS_IN_JSON = (("import", "request"), ("export", "request"), ("dataset", "options"), ("import_change", "changed"))
_ANOTHER = "restore another backup"


def restore(
    chosen: Settings, source: Path, on_file: Callable[[int, str], None] = lambda _done, _name: None
) -> Manifest:
    """Restore a backup into the home of these settings and into their database; return its manifest.

    Rows that name files of the home are changed to this home's place.

    Raises:
        StorageError: the home or the database is not empty, the file is damaged or no backup, or the disk is full; the
            home is then as empty as before.
    """
    home = chosen.folder
    if not source.is_file():
        raise StorageError(f"{source}: there is no such file", "name a file that `backup` wrote")
    with file_errors(str(source)):
        _refuse_filled_home(home)
        _refuse_filled_database(chosen)
        unpacked = home / RESTORING
        try:
            _remove_leftovers(home)
            unpacked.mkdir(parents=True)
            manifest = _unpack(source, unpacked, on_file)
            _prepare_database(unpacked / DATABASE, manifest, chosen)
            _take_place(unpacked, chosen)
        except BaseException:
            _remove_leftovers(home)
            raise
        shutil.rmtree(unpacked)
    return manifest


def _refuse_filled_home(home: Path) -> None:
    if not home.exists() or (home / RESTORING).exists():
        return
    found = sorted({path.name for path in home.iterdir()} - _OF_THE_DISK)
    if found:
        raise StorageError(
            f"{home}: it is not empty ({', '.join(found[:3])})", "name a new folder in OUTFOLD_HOME, or move it away"
        )


def _refuse_filled_database(chosen: Settings) -> None:
    if not chosen.database_url or revision_of(chosen.app_url) is None:
        return
    migrate(chosen.app_url)
    database = Database(chosen.app_url)
    try:
        with database.read() as session:
            refuse_filled(session.connection(), chosen.app_url)
    finally:
        database.close()


def _remove_leftovers(home: Path) -> None:
    """Remove what an interrupted restoration left; `RESTORING` goes last, for it says whose the rest is."""
    unpacked = home / RESTORING
    if not unpacked.exists():
        return
    for path in home.iterdir():
        if path != unpacked and path.name not in _OF_THE_DISK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree(unpacked)


def _unpack(source: Path, folder: Path, on_file: Callable[[int, str], None]) -> Manifest:
    """Unpack a backup into a folder; return its manifest, which all files agree with."""
    found: dict[str, tuple[int, str]] = {}
    done = 0
    try:
        with tarfile.open(source, "r:") as archive:
            for member in archive:
                on_file(done, member.name)
                path = _place_of(member, folder)
                if path.exists():
                    raise StorageError(f"{source}: it holds {member.name} twice", _ANOTHER)
                archive.extract(member, folder, filter="data")
                with path.open("rb") as file:
                    found[member.name] = (member.size, file_digest(file, "sha256").hexdigest())
                done += member.size
    except (tarfile.TarError, EOFError, NotADirectoryError, IsADirectoryError, ValueError) as error:
        raise StorageError(f"{source}: it is damaged or no backup ({error})", _ANOTHER) from error
    found.pop(MANIFEST, None)
    manifest = _read_manifest(folder / MANIFEST, source)
    for name in sorted(found.keys() | manifest.files.keys()):
        if found.get(name) != manifest.files.get(name):
            cause = "is missing" if name not in found else "is not as it was when the backup was made"
            raise StorageError(f"{source}: {name} {cause}", _ANOTHER)
    return manifest


def _place_of(member: tarfile.TarInfo, folder: Path) -> Path:
    """Return the target of a member; refuse one that is not a plain file of a backup or leads out of the folder."""
    inside = member.name in {DATABASE, MANIFEST} or member.name.startswith(f"{FILES}/")
    if not inside or not member.isreg() or member.issparse():
        raise StorageError(f"{member.name[:200]!r} is not a file of a backup", _ANOTHER)
    try:
        kept = tarfile.data_filter(member, str(folder))
    except tarfile.FilterError as error:
        raise StorageError(f"{member.name[:200]!r} leads out of the backup ({error})", _ANOTHER) from error
    if kept is None or kept.name != member.name or ".." in Path(member.name).parts:
        raise StorageError(f"{member.name[:200]!r} is not a file of a backup", _ANOTHER)
    return folder / member.name


def _read_manifest(path: Path, source: Path) -> Manifest:
    cause = "it holds no manifest of a backup"
    try:
        values = json.loads(path.read_text("utf-8"))
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in values.pop("files").items()}
        manifest = Manifest(**values, files=files)
        if manifest.format == FORMAT and DATABASE in files and manifest.home.startswith("/"):
            return manifest
        cause = f"it is a backup of format {manifest.format} by Outfold {manifest.outfold}"
    except FileNotFoundError:
        cause = "it is cut off, or no backup"
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise StorageError(f"{source}: {cause}", _ANOTHER)


def _prepare_database(path: Path, manifest: Manifest, chosen: Settings) -> None:
    """Bring the unpacked database to this release, and its paths to this home."""
    url = f"sqlite:///{path}"
    if revision_of(url) is None:
        raise StorageError(f"{path.name}: it holds no tables of Outfold", _ANOTHER)
    migrate(url)
    old, new = manifest.home, str(chosen.folder)
    with closing(sqlite3.connect(path)) as connection:
        complaint = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if complaint != "ok":
            raise StorageError(f"{path.name}: it is damaged ({complaint})", _ANOTHER)
        with connection:
            connection.execute("DELETE FROM worker")  # of the processes that ran then
            if old != new:
                _move_paths(connection, f"{old}/{FILES}/", f"{new}/{FILES}/")
        connection.execute("PRAGMA journal_mode=DELETE")


def _move_paths(connection: sqlite3.Connection, old: str, new: str) -> None:
    for table, column in _PATHS:
        connection.execute(
            f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) WHERE substr("{column}", 1, ?) = ?',  # noqa: S608  # names of our own tables
            (new, len(old) + 1, len(old), old),
        )
    before, after = json.dumps(old)[:-1], json.dumps(new)[:-1]  # the beginning of a text in JSON
    for table, column in _PATHS_IN_JSON:
        connection.execute(
            f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE instr("{column}", ?)',  # noqa: S608  # as above
            (before, after, before),
        )


def _take_place(unpacked: Path, chosen: Settings) -> None:
    """Move the unpacked files into the home, the database last."""
    home = chosen.folder
    flush_all(unpacked)
    (unpacked / FILES).mkdir(exist_ok=True)
    (unpacked / FILES).rename(home / FILES)
    if chosen.database_url:
        copy_database(f"sqlite:///{unpacked / DATABASE}", chosen.app_url)
    else:
        (unpacked / DATABASE).rename(home / DATABASE)
    flush(home)
