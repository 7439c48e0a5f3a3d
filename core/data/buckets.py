"""Images of a bucket, read in place: a folder that lists them, whose files are fetched when they are read.

The folder of a bucket lies at `files/buckets/<scheme>/<bucket>/<prefix>` and has one empty file an object, so whoever
walks through folders needs to know nothing of buckets. `original` exchanges an empty file for the object's bytes, and
`prune_originals` exchanges those read longest ago for empty files again. An object that changed is fetched anew, once
the folder is listed again. A home that has not listed a bucket itself reads paths of other homes all the same.
"""

import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from core.data.locks import try_lock
from core.data.remote import Remote, check_url
from core.data.storage import GRACE_SECONDS, atomic_path, note_use, write_atomically
from core.types import ConfigError, DatasetError

FOLDER = "buckets"
SCHEMES = ("s3", "gs", "abfs")  # of object stores: a folder of this machine or a web page is none
_LISTING = ".listing.json"  # version of each object, beside the budget of all copies
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+([^/].*)")
_BELOW = re.compile(rf"(.*/files/{FOLDER})/({'|'.join(SCHEMES)})/([^/]+)/(.+)")
_CHUNK = 1000  # copies made by a process between two looks at the budget

_made = 0  # copies since this process looked at the budget


@dataclass(frozen=True, slots=True)
class BucketFolder:
    """A folder that lists the objects below a URL."""

    folder: Path
    url: str


def bucket_of(files: Path, source: str) -> BucketFolder | None:
    """Return the folder below `files` that lists the objects of a URL, None where the source is no URL.

    The folder itself is taken for its URL, and so are URLs whose slashes a path has collapsed.

    Raises:
        DatasetError: the URL is of no object store, or its package is missing.
    """
    within = _BELOW.fullmatch(source)
    if within is not None and Path(within[1]) == files / FOLDER:
        return BucketFolder(Path(source), f"{within[2]}://{within[3]}/{_names(within[4])}")
    found = _URL.fullmatch(source.strip())
    if found is None:
        return None
    scheme, rest = found[1], found[2].strip("/")
    if scheme not in SCHEMES:
        raise DatasetError(
            f"{source}: images can be read from {', '.join(SCHEMES)}, not from {scheme}",
            "copy or mount them as a folder",
        )
    url = f"{scheme}://{rest}"
    try:
        check_url(url)
    except ConfigError as error:
        raise DatasetError(f"{url}: {error.message}", error.cure) from error
    bucket, _, prefix = rest.partition("/")
    if not prefix:
        raise DatasetError(f"{url}: it is a whole bucket", "name the folder in it that holds the images")
    return BucketFolder(files.joinpath(FOLDER, scheme, bucket, *map(_file_name, prefix.split("/"))), url)


def list_bucket(bucket: BucketFolder, budget: int) -> Path:
    """Bring a folder to what its bucket holds now, and return it; `budget` bytes of copies may lie in all of them.

    Raises:
        DatasetError: nothing is there.
        StorageError: the store cannot be used.
    """
    folder = bucket.folder
    listed = {key: one for key, one in Remote(bucket.url).list("").items() if key and not key.endswith("/")}
    if not listed:
        raise DatasetError(f"{bucket.url}: there is nothing below it", "check the address")
    known = _versions(folder)
    for key in known.keys() - listed.keys():
        _path(folder, key).unlink(missing_ok=True)
    for key, one in listed.items():
        path = _path(folder, key)
        if known.get(key) != one.version or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, b"", durable=False)
    _remove_empty_folders(folder)
    versions = {key: one.version for key, one in listed.items()}
    write_atomically(folder / _LISTING, json.dumps({"versions": versions, "budget": budget}).encode(), durable=False)
    return folder


def original(path: Path, files: Path | None = None) -> Path:
    """Return where the bytes of an image of a bucket lie, fetched if they are not here; any other path as it is.

    `files` is the folder of this home, where a path may be of another one.

    Raises:
        StorageError: the store cannot be used.
    """
    text = path.as_posix()
    found = _BELOW.fullmatch(text) if f"/files/{FOLDER}/" in text else None
    if found is None:
        return path
    if files is not None and found[1] != f"{files}/{FOLDER}":
        path = files.joinpath(FOLDER, found[2], found[3], found[4])
    with suppress(FileNotFoundError):
        if path.stat().st_size:
            with suppress(OSError):
                note_use(path)
            return path
    with suppress(FileNotFoundError), atomic_path(path, durable=False) as partial:
        Remote(f"{found[2]}://{found[3]}").get(_names(found[4]), partial)
    _count(Path(found[1]) if files is None else files / FOLDER, path)
    return path


def prune_originals(folder: Path, budget: int, *, grace_seconds: float = GRACE_SECONDS) -> int:
    """Empty the copies below the folder of all buckets, those used longest ago first, until the rest fits the budget.

    Returns the bytes freed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pruning = try_lock(folder / "pruning.lock")
    if pruning is None:
        return 0  # another process does it
    try:
        copies = []
        for parent, _, names in os.walk(folder):
            for path in (Path(parent, name) for name in names if not name.startswith(".")):
                with suppress(FileNotFoundError):
                    facts = path.stat()
                    copies.append((max(facts.st_atime, facts.st_mtime), facts.st_size, path))
        excess = before = sum(size for _, size, _ in copies) - budget
        for used_at, size, path in sorted(copies):
            if excess <= 0 or used_at >= time.time() - grace_seconds:
                break
            write_atomically(path, b"", durable=False)
            excess -= size
    finally:
        os.close(pruning)
    return before - excess


def _count(folder: Path, path: Path) -> None:
    """Look at the budget after every so many copies; its figure lies with the listing above the copy."""
    global _made  # noqa: PLW0603  # of this process, as its copies are
    _made += 1
    if _made % _CHUNK:
        return
    for above in path.parents:
        if above == folder:
            return
        if (above / _LISTING).exists():
            prune_originals(folder, json.loads((above / _LISTING).read_bytes())["budget"])
            return


def _versions(folder: Path) -> dict[str, str]:
    try:
        versions: dict[str, str] = json.loads((folder / _LISTING).read_bytes())["versions"]
    except (FileNotFoundError, ValueError):
        return {}
    return versions


def _path(folder: Path, key: str) -> Path:
    return folder.joinpath(*map(_file_name, key.split("/")))


def _file_name(part: str) -> str:
    """Return a part of a key as the name of a file: `.` and `..`, and what is empty, would lead elsewhere."""
    escaped = part.replace("%", "%25")
    return escaped if part.strip(".") else "".join(f"%{ord(letter):02X}" for letter in part) or "%"


def _names(path: str) -> str:
    """Return the key of a path of `_file_name`s."""
    return "/".join("" if part == "%" else unquote(part) for part in path.split("/"))


def _remove_empty_folders(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(parent).rmdir()
