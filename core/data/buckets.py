"""Sources in a bucket, read in place: a folder that lists them, whose files are fetched when they are read.

The folder of a bucket lies at `files/buckets/<scheme>/<bucket>/<prefix>` and has one empty file an object, so whoever
walks through folders needs to know nothing of buckets. `original` exchanges an empty file for the object's bytes:
images and masks are opened through it. Readers of formats open label files by themselves, so `fetch_labels` fetches
these before, and they stay while the block of `reading_labels` runs. `prune_originals` exchanges the files used longest
ago for empty ones again. An object that changed is fetched anew, once the folder is listed again. A home that has not
listed a bucket itself reads paths of other homes all the same.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.data.remote import Remote, check_url
from core.data.storage import (
    GRACE_SECONDS,
    PARTIAL,
    RESERVE,
    atomic_path,
    note_use,
    shared_lock,
    size_text,
    try_lock,
    write_atomically,
)
from core.types import ConfigError, DatasetError

FOLDER = "buckets"
SCHEMES = ("s3", "gs", "abfs", "az")  # of object stores: a folder of this machine or a web page is none
LABELS = frozenset(  # endings of the files that readers of formats open by themselves
    {".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv", ".txt", ".xml", ".yaml", ".yml"}
)
_LISTING = ".listing"  # size and version of each object, beside the budget of all copies; JSON
_IN_USE, _PRUNING = "labels_in_use.lock", "pruning.lock"
_OWN = frozenset({_LISTING, _IN_USE, _PRUNING})
_IN_FOLDER = 3  # slashes in the URL of a folder in a bucket
_AT_ONCE = 16  # transfers
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+([^/].*)")
_BELOW = re.compile(rf"(.*/files/{FOLDER})/({'|'.join(SCHEMES)})/([^/]+)/(.+)")
_ESCAPED = re.compile(r"%(?:25)*(?:2E(?:%2E)*)?")  # parts of keys that an escaped one could be taken for
_CHUNK = 1000  # copies made by a process between two checks of the budget

_made = 0  # copies since this process last checked the budget


@dataclass(frozen=True, slots=True)
class BucketFolder:
    """A folder that lists the objects below a URL, or the file of the one object that it names."""

    folder: Path
    url: str


def bucket_of(files: Path, source: str) -> BucketFolder | None:
    """Return the folder below `files` that lists the objects of a URL, None if the source is not a URL.

    The folder itself, also of another home, stands for its URL, and so do URLs whose slashes a path has collapsed.

    Raises:
        DatasetError: the URL is of no object store, or its package is missing.
    """
    within = _BELOW.fullmatch(source)
    if within is not None and (not Path(within[1]).exists() or _is_same(within[1], files / FOLDER)):
        folder = files.joinpath(FOLDER, *within.groups()[1:])
        return BucketFolder(folder, f"{within[2]}://{within[3]}/{_names(within[4])}")
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


def shared_path(files: Path, path: str) -> str:
    """Return a listed path below `files` as rows of all homes name it; any other path unchanged.

    Another home has no such file, so it reads the path below its own folder, as `original` and `bucket_of` do.
    """
    for own in (files, Path(os.path.realpath(files))):
        if path.startswith(f"{own}/{FOLDER}/"):
            return f"/files/{path.removeprefix(f'{own}/')}"
    return path


def own_path(files: Path, path: Path) -> Path:
    """Return the path of a bucket's file in this home; any other path unchanged."""
    found = _BELOW.fullmatch(path.as_posix())
    return path if found is None else files.joinpath(FOLDER, *found.groups()[1:])


def list_bucket(bucket: BucketFolder, budget: int) -> Path:
    """Update a folder to the content of its bucket, and return it; `budget` is the limit in bytes of all copies.

    If the URL names one object, the folder lists all objects beside it, and its file is returned.

    Raises:
        DatasetError: there is nothing, only one object in a whole bucket, or an object named like a folder of others.
        StorageError: the store cannot be used.
    """
    folder = bucket.folder
    listed = {key: one for key, one in Remote(bucket.url).list("").items() if not key.endswith("/")}
    if not listed:
        raise DatasetError(f"{bucket.url}: there is nothing below it", "check the address")
    if listed.keys() == {""}:
        above = bucket.url.rpartition("/")[0]
        if above.count("/") < _IN_FOLDER:
            raise DatasetError(f"{bucket.url}: it lies in no folder of its bucket", "put it into one, with its images")
        return list_bucket(BucketFolder(folder.parent, above), budget) / folder.name
    listed.pop("", None)  # an object of the folder's own name
    if both := sorted(listed.keys() & {above for key in listed for above in _folders_above(key)}):
        raise DatasetError(f"{bucket.url}/{both[0]}: it is an object, and a folder of others", "rename the object")
    known = _versions(folder)
    for key in known.keys() - listed.keys():
        _path(folder, key).unlink(missing_ok=True)
    for key, one in listed.items():
        path = _path(folder, key)
        if known.get(key) != one.version or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, b"", durable=False)
    _remove_empty_folders(folder)
    facts = {
        "versions": {key: one.version for key, one in listed.items()},
        "sizes": {key: one.size for key, one in listed.items() if _is_labels(key)},
        "budget": budget,
    }
    write_atomically(folder / _LISTING, json.dumps(facts).encode(), durable=False)
    return folder


def displayed_path(path: str) -> str:
    """Return the URL of a path in a bucket's listing; any other path unchanged."""
    found = _BELOW.fullmatch(path)
    return path if found is None else f"{found[2]}://{found[3]}/{_names(found[4])}"


def is_bucket_copy(path: Path) -> bool:
    """Return whether a file is the copy of an object, which may be removed to make room."""
    return _BELOW.fullmatch(path.as_posix()) is not None


@contextmanager
def reading_labels(files: Path) -> Iterator[None]:
    """Keep the label files of all buckets from being emptied during the block."""
    with shared_lock(files / FOLDER / _IN_USE):
        yield


def fetch_labels(
    bucket: BucketFolder, listed: Path, note: Callable[[int, int], None] = lambda _done, _total: None
) -> None:
    """Fetch the label files in a folder that `list_bucket` returned, or beside the file that it returned.

    `note` is called with the number fetched and to fetch; if it raises, fetching stops.

    Raises:
        DatasetError: they need more space than there is, or one was changed or deleted since the listing.
        StorageError: the store cannot be used.
    """
    folder = listed if listed.is_dir() else listed.parent
    facts = json.loads((folder / _LISTING).read_bytes())
    sizes: dict[Path, int] = {_path(folder, key): size for key, size in facts["sizes"].items()}
    missing = [path for path, size in sizes.items() if _size(path) != size]
    free = shutil.disk_usage(folder).free - RESERVE + sum(sizes.values()) - sum(sizes[path] for path in missing)
    if (total := sum(sizes.values())) > (most := max(min(facts["budget"], free), 0)):
        largest = max(sizes, key=sizes.__getitem__)
        raise DatasetError(
            f"{bucket.url}: its label files have {size_text(total)} together, {size_text(most)} may be fetched; the "
            f"largest is {largest.relative_to(folder)}, {size_text(sizes[largest])}",
            "make room or raise OUTFOLD_CACHE_GIGABYTES, or mount the bucket as a folder and import that",
        )
    threads = ThreadPoolExecutor(_AT_ONCE)
    try:
        for done, path in enumerate(threads.map(original, missing), start=1):
            if _size(path) != sizes[path]:
                what = "has gone" if not path.exists() else "has changed"
                raise DatasetError(f"{bucket.url}: {path.relative_to(folder)} {what} since it was listed", "try again")
            note(done, len(missing))
    finally:
        threads.shutdown(cancel_futures=True)


def original(path: Path, files: Path | None = None) -> Path:
    """Return the local path of a bucket's file, fetched if necessary; any other path unchanged.

    If the object was deleted, there is no file. `files` is the folder of this home, for a path that may be of
    another one.

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
    try:
        with atomic_path(path, durable=False) as partial:
            Remote(f"{found[2]}://{found[3]}").get(_names(found[4]), partial)
    except FileNotFoundError:
        path.unlink(missing_ok=True)
    _count(Path(found[1]) if files is None else files / FOLDER, path)
    return path


def forget_copy(path: Path) -> bool:
    """Remove the copy of an object, so that it is fetched anew; return False if the path is not in a bucket."""
    if not is_bucket_copy(path):
        return False
    path.unlink(missing_ok=True)
    return True


def prune_originals(folder: Path, budget: int, *, grace_seconds: float = GRACE_SECONDS) -> int:
    """Empty the copies below the folder of all buckets, those used longest ago first, until the rest fits the budget.

    Label files stay while an import reads any. Returns the bytes freed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pruning = try_lock(folder / _PRUNING)
    if pruning is None:
        return 0  # another process does it
    unread = try_lock(folder / _IN_USE)
    try:
        copies = []
        for parent, _, names in os.walk(folder):
            for path in (Path(parent, name) for name in names if name not in _OWN and not name.endswith(PARTIAL)):
                if unread is None and _is_labels(path.name):
                    continue
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
        if unread is not None:
            os.close(unread)
    return before - excess


def _count(folder: Path, path: Path) -> None:
    """Check the budget at intervals of copies; it is stored with the listing above the copy."""
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


def _folders_above(key: str) -> Iterator[str]:
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key


def _path(folder: Path, key: str) -> Path:
    return folder.joinpath(*map(_file_name, key.split("/")))


def _is_same(one: str, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _is_labels(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in LABELS  # noqa: PTH122 of each object of a bucket


def _size(path: Path) -> int:
    """Return the size of a file in bytes, -1 if it is missing."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _file_name(part: str) -> str:
    """Return a part of a key as a file name, escaping `.`, `..` and empty parts, which would lead elsewhere."""
    if not part.strip("."):
        return "%2E" * len(part) or "%"
    return f"%25{part[1:]}" if _ESCAPED.fullmatch(part) else part


def _names(path: str) -> str:
    """Return the key of a path of `_file_name`s."""
    return "/".join(map(_part, path.split("/")))


def _part(name: str) -> str:
    if name == "%":
        return ""
    if _ESCAPED.fullmatch(name):
        return "." * name.count("2E") if name.startswith("%2E") else f"%{name.removeprefix('%25')}"
    return name


def _remove_empty_folders(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(parent).rmdir()
