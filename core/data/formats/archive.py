"""Unpack a zip or tar archive nobody has vetted: no member leaves the folder, no link, no bomb."""

import lzma
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from core.types import DatasetError

_BLOCK = 1 << 20  # bytes
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # how a zip begins, and one without members
_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """How much an archive may hold once unpacked."""

    files: int = 200_000
    bytes: int = 4 << 30


def unpack(archive: IO[bytes], folder: Path, limits: ArchiveLimits) -> int:
    """Unpack into an existing folder and return the number of files; on an error the folder is the caller's to drop.

    Raises:
        DatasetError: it is no zip file, is damaged or encrypted, holds too much, or a member wants to go elsewhere.
    """
    try:
        is_zip = archive.read(len(_ZIP[0])) in _ZIP  # by its beginning: the end of a tar may be a zip within it
        archive.seek(0)
        return _unpack_zip(archive, folder, limits) if is_zip else _unpack_tar(archive, folder, limits)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise DatasetError(f"the archive is damaged or no zip file and no tar ({error}); make it again") from error
    except (NotImplementedError, RuntimeError) as error:
        raise DatasetError(f"the archive cannot be unpacked ({error}); make a plain zip without a password") from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"the archive cannot be stored ({error}); check names and free space") from error


def is_archive(path: Path) -> bool:
    """Whether this is a file that is called as archives are."""
    return path.name.lower().endswith(_ENDINGS) and path.is_file()


def _unpack_zip(archive: IO[bytes], folder: Path, limits: ArchiveLimits) -> int:
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not member.is_dir()]
        _check_count(len(members), limits)
        left = limits.bytes
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DatasetError(f"{member.filename}: is a link; put the file itself into the archive")
            with opened.open(member) as source:
                left -= _write(source, member.filename, folder, left)
        return len(members)


def _unpack_tar(archive: IO[bytes], folder: Path, limits: ArchiveLimits) -> int:
    left, count = limits.bytes, 0
    with tarfile.open(fileobj=archive) as opened:
        for member in opened:
            if member.isdir():
                continue
            source = opened.extractfile(member) if member.isreg() else None
            if source is None:
                raise DatasetError(f"{member.name}: is a link or a device; put the file itself into the archive")
            count += 1
            _check_count(count, limits)
            left -= _write(source, member.name, folder, left)
    return count


def _check_count(count: int, limits: ArchiveLimits) -> None:
    if count > limits.files:
        raise DatasetError(f"the archive holds {count:,} files or more, at most {limits.files:,} are allowed")


def _write(source: IO[bytes], name: str, folder: Path, allowed: int) -> int:
    """Write one member and return its bytes; what the archive says of its size is not believed."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]:
        raise DatasetError(f"{name}: leads out of the archive's folder; make the archive again without it")
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("xb") as file:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > allowed:
                raise DatasetError(
                    "the archive holds too much once unpacked; copy it to this machine and import it there"
                )
            file.write(block)
    return written
