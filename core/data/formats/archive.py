"""Unpack an untrusted zip or tar archive: no links, no members outside of the folder, limited size."""

import lzma
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from core.types import DatasetError

_BLOCK = 1 << 20  # bytes
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # first bytes of a zip, and of an empty one
_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def unpack(archive: IO[bytes], folder: Path, most_files: int, most_bytes: int) -> int:
    """Unpack into an existing folder and return the number of files; on an error the caller removes the folder.

    Raises:
        DatasetError: it is not an archive, is damaged, encrypted or too large, or a member leads out of the folder.
    """
    try:
        is_zip = archive.read(len(_ZIP[0])) in _ZIP  # by its first bytes: the end of a tar may be a zip within it
        archive.seek(0)
        return (_unpack_zip if is_zip else _unpack_tar)(archive, folder, most_files, most_bytes)
    except tarfile.ReadError as error:  # its text names each kind of tar that was tried, a line each
        raise DatasetError("the archive is neither zip nor tar, or is damaged", "make it again") from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise DatasetError(f"the archive is damaged or no zip file and no tar ({error})", "make it again") from error
    except (NotImplementedError, RuntimeError) as error:
        raise DatasetError(
            f"the archive cannot be unpacked ({error})", "make a plain zip without a password"
        ) from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"the archive cannot be stored ({error})", "check names and free space") from error


def is_archive(path: Path) -> bool:
    """Return whether this is a file with the ending of an archive."""
    return is_archive_name(path.name) and path.is_file()


def is_archive_name(name: str) -> bool:
    """Return whether a name has the ending of an archive."""
    return name.lower().endswith(_ENDINGS)


def _unpack_zip(archive: IO[bytes], folder: Path, most_files: int, most_bytes: int) -> int:
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not member.is_dir()]
        _check_count(len(members), most_files)
        left = most_bytes
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DatasetError(f"{member.filename}: is a link", "put the file itself into the archive")
            with opened.open(member) as source:
                left -= _write(source, member.filename, folder, left)
        return len(members)


def _unpack_tar(archive: IO[bytes], folder: Path, most_files: int, most_bytes: int) -> int:
    left, count = most_bytes, 0
    with tarfile.open(fileobj=archive) as opened:
        for member in opened:
            if member.isdir():
                continue
            source = opened.extractfile(member) if member.isreg() else None
            if source is None:
                raise DatasetError(f"{member.name}: is a link or a device", "put the file itself into the archive")
            count += 1
            _check_count(count, most_files)
            left -= _write(source, member.name, folder, left)
    return count


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise DatasetError(f"the archive holds {count:,} files or more, at most {most:,} are allowed")


def _write(source: IO[bytes], name: str, folder: Path, allowed: int) -> int:
    """Write one member and return its size; the size stated in the archive is not trusted."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]:
        raise DatasetError(f"{name}: leads out of the archive's folder", "make the archive again without it")
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    if target.exists():
        raise DatasetError(f"the archive holds {name} twice", "make it again with each file once")
    with target.open("xb") as file:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > allowed:
                raise DatasetError(
                    "the archive holds too much once unpacked", "copy it to this machine and import it there"
                )
            file.write(block)
    return written
