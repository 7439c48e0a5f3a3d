"""Sources in a bucket: objects are listed, label files fetched, images and masks read in place."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.services.app_context import AppContext
from app.services.imports.request import ImportRequest
from core.data.buckets import BucketFolder, bucket_of, fetch_labels, list_bucket, reading_labels, shared_path
from core.data.formats.archive import is_archive_name
from core.data.remote import Remote
from core.data.storage import RESERVE, scratch_folder, size_text
from core.types import DatasetError
from db.queries import datasets, imports
from db.queries.rounds import RoundInfo

_FIELDS = ("source", "image_root", "class_names", "colour_map")  # of a request that name files or folders
_rounds_listed: dict[Path, int] = {}  # home -> the latest round for which this process listed the buckets


def with_listed_buckets(app_context: AppContext, request: ImportRequest) -> ImportRequest:
    """Return the request with each URL replaced by a folder or file of this home, updated to the bucket's content.

    Raises:
        DatasetError: a URL cannot be read, holds nothing or an archive, or only folders may be read.
        StorageError: the store cannot be used.
    """
    return _with_paths(app_context, request, _listed(app_context, request))


@contextmanager
def reading_buckets(
    app_context: AppContext,
    request: ImportRequest,
    note: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[ImportRequest]:
    """Yield the request for readers: as `with_listed_buckets`, with label files available during the block.

    `note` is called with the number of label files fetched and to fetch, and may raise to end it.

    Raises:
        DatasetError: as above, or the label files cannot be fetched.
        StorageError: the store cannot be used.
    """
    if not _buckets(app_context, request):
        yield _with_paths(app_context, request, {})
        return
    with reading_labels(app_context.files):
        listed = _listed(app_context, request)
        for bucket, path in listed.values():
            fetch_labels(bucket, path, note)
        yield _with_paths(app_context, request, listed)


def list_again(app_context: AppContext, dataset_id: int) -> None:
    """Update the listings of a dataset's buckets, since another home may have imported it last.

    Images missing in an emptied bucket are named when they are read.

    Raises:
        StorageError: the store cannot be used.
    """
    if app_context.shared is None:
        return
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
    for place in (info.root, info.options.get("image_root", ""), *imports.added_folders(info.options)):
        bucket = find_bucket(app_context, place)
        if bucket is not None:
            with suppress(DatasetError):
                list_bucket(bucket, app_context.settings.cache_bytes)


def list_once(app_context: AppContext, info: RoundInfo) -> None:
    """Do as `list_again` for the dataset of a round, in each process before its first piece of the round.

    So no copy is used whose object had changed before that. What changes or goes later counts as it is when it is
    fetched, which another listing would not prevent.

    Raises:
        StorageError: the store cannot be used.
    """
    if _rounds_listed.get(app_context.files) != info.id:
        list_again(app_context, info.dataset_id)
        _rounds_listed[app_context.files] = info.id


def as_in_rows(app_context: AppContext, request: ImportRequest) -> ImportRequest:
    """Return a request with the paths of buckets as `path_in_rows` gives them."""
    paths: dict[str, Any] = {name: path_in_rows(app_context, getattr(request, name)) for name in _FIELDS}
    return replace(request, **paths)


def path_in_rows(app_context: AppContext, path: str) -> str:
    """Return a path as rows name it: homes that share files use one name for a bucket's listing."""
    return path if app_context.shared is None else shared_path(app_context.files, path)


def find_bucket(app_context: AppContext, source: str) -> BucketFolder | None:
    """Return the bucket that a source is or lists, None for a folder or file of this machine."""
    return bucket_of(app_context.files, source)


@contextmanager
def fetched_archive(app_context: AppContext, bucket: BucketFolder) -> Iterator[Path]:
    """Yield a copy of the archive at a URL, removed after the block.

    Raises:
        DatasetError: there is none, there is no room for it, or no bucket may be read.
        StorageError: the store cannot be used.
    """
    _refuse_closed(app_context, bucket)
    remote = Remote(bucket.url)
    found = remote.list("").get("")
    if found is None:
        raise DatasetError(f"{bucket.url}: there is no such archive", "check the address")
    free = max(shutil.disk_usage(app_context.files).free - RESERVE, 0)
    if found.size > free:
        raise DatasetError(
            f"{bucket.url}: it has {size_text(found.size)}, there is room for {size_text(free)}",
            "make room, or unpack it in the bucket and import that folder",
        )
    with scratch_folder(app_context.files, "archive-") as folder:
        path = folder / bucket.folder.name
        remote.get("", path)
        yield path


def _buckets(app_context: AppContext, request: ImportRequest) -> dict[str, BucketFolder]:
    named = ((name, find_bucket(app_context, getattr(request, name))) for name in _FIELDS)
    return {name: bucket for name, bucket in named if bucket is not None}


def _listed(app_context: AppContext, request: ImportRequest) -> dict[str, tuple[BucketFolder, Path]]:
    """Return the bucket and the listing of each field that names one."""
    listed = {}
    for name, bucket in _buckets(app_context, request).items():
        _refuse_closed(app_context, bucket)
        if is_archive_name(bucket.url):
            raise DatasetError(f"{bucket.url}: is an archive", "unpack it in the bucket, or upload it here")
        listed[name] = bucket, list_bucket(bucket, app_context.settings.cache_bytes)
    return listed


def _with_paths(
    app_context: AppContext, request: ImportRequest, listed: Mapping[str, tuple[BucketFolder, Path]]
) -> ImportRequest:
    paths: dict[str, Any] = {name: str(path) for name, (_, path) in listed.items()}
    if "source" not in paths:
        paths["source"] = str(app_context.fetch_tree(Path(request.source)))
    return replace(request, **paths)


def _refuse_closed(app_context: AppContext, bucket: BucketFolder) -> None:
    if app_context.settings.roots:
        raise DatasetError(
            f"{bucket.url}: OUTFOLD_ALLOWED_ROOTS names the folders that may be read, and a bucket is none",
            "mount it below one of them",
        )
