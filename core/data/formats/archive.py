"""Unpack an uploaded zip file nobody has vetted: no member leaves the folder, no link, no bomb."""

import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from core.types import DatasetError

_BLOCK = 1 << 20  # bytes


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
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            if len(members) > limits.files:
                raise DatasetError(f"the archive holds {len(members):,} files, at most {limits.files:,} are allowed")
            left = limits.bytes
            for member in members:
                left -= _unpack_one(opened, member, folder, left)
            return len(members)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DatasetError(f"the archive is damaged or no zip file ({error}); make it again") from error
    except (NotImplementedError, RuntimeError) as error:
        raise DatasetError(f"the archive cannot be unpacked ({error}); make a plain zip without a password") from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"the archive cannot be stored ({error}); check names and free space") from error


def _unpack_one(opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, allowed: int) -> int:
    """Write one member and return its bytes; what the archive says of its size is not believed."""
    parts = PurePosixPath(member.filename.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]:
        raise DatasetError(f"{member.filename}: leads out of the archive's folder; make the archive again without it")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DatasetError(f"{member.filename}: is a link; put the file itself into the archive")
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(member) as source, target.open("xb") as file:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > allowed:
                raise DatasetError(
                    "the archive holds too much once unpacked; copy it to this machine and import it there"
                )
            file.write(block)
    return written
