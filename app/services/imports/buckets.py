"""Sources in a bucket: images are listed, and read in place."""

from pathlib import Path

from app.services.app_context import AppContext
from core.data.buckets import BucketFolder, bucket_of, list_bucket
from core.data.formats.source import SourceFormat
from core.types import DatasetError

_READ = (SourceFormat.IMAGEFOLDER, SourceFormat.UNLABELLED)


def folder_of(app_context: AppContext, source: str) -> Path:
    """Return the folder of a source: of a URL the one that lists it, listed now, of anything else its path.

    Raises:
        DatasetError: the URL cannot be read, holds nothing, or only folders may be read.
        StorageError: the store cannot be used.
    """
    bucket = find_bucket(app_context, source)
    if bucket is None:
        return app_context.fetch_tree(Path(source))
    if app_context.settings.roots:
        raise DatasetError(
            f"{bucket.url}: OUTFOLD_ALLOWED_ROOTS names the folders that may be read, and a bucket is none",
            "mount it below one of them",
        )
    return list_bucket(bucket, app_context.settings.cache_bytes)


def find_bucket(app_context: AppContext, source: str) -> BucketFolder | None:
    """Return the bucket that a source is or lists, None for a folder or file of this machine."""
    return bucket_of(app_context.files, source)


def refuse_format(app_context: AppContext, source: str, chosen: SourceFormat) -> None:
    """Raise `DatasetError` for labels that lie in files of a bucket: only names and images are read from there."""
    bucket = find_bucket(app_context, source)
    if bucket is not None and chosen not in _READ:
        raise DatasetError(
            f"{bucket.url}: from a bucket class folders and images without labels are read, not {chosen}",
            "mount the bucket as a folder, or copy its files, and import that folder",
        )
