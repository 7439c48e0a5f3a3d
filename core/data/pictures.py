"""Pictures kept so that they need not be drawn again; one that a power cut damaged is as good as none.

They are written without waiting for the disk, thousands on a first look through a dataset. So each has a checksum
behind its end, where programs that show pictures look no more.
"""

from pathlib import Path
from zlib import crc32

from core.data.storage import write_atomically

_SUM = 4  # bytes


def keep(path: Path, picture: bytes) -> None:
    """Write a picture with its checksum."""
    write_atomically(path, picture + _checksum(picture), durable=False)


def find(path: Path) -> bytes | None:
    """Return the picture as it was kept, None where there is none, or not all of it."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    picture = data[:-_SUM]
    return picture if picture and data[-_SUM:] == _checksum(picture) else None


def _checksum(picture: bytes) -> bytes:
    return crc32(picture).to_bytes(_SUM, "little")
