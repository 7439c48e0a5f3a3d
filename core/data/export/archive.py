"""A finished export as one zip file, for small ones to be downloaded."""

import zipfile
from pathlib import Path

from core.data.storage import atomic_path
from core.types import ExportError

LARGEST_BYTES = 200_000_000  # of images; larger exports are fetched as the folder they are
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can say: the same export is the same archive


def write_archive(folder: Path, archive: Path) -> Path:
    """Write the files of an export into `archive`, below a folder of its name, unless it is there already.

    Raises:
        ExportError: the export was moved away.
    """
    if archive.is_file():
        return archive
    if not folder.is_dir():
        raise ExportError(f"{folder} is not there any more; export again")
    with atomic_path(archive, durable=False) as partial, zipfile.ZipFile(partial, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
                packed = zipfile.ZIP_DEFLATED if path.suffix in {".csv", ".json", ".jsonl"} else zipfile.ZIP_STORED
                entry = zipfile.ZipInfo(name, EPOCH)
                entry.external_attr = 0o644 << 16
                file.writestr(entry, path.read_bytes(), compress_type=packed)
    return archive
