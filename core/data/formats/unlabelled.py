"""A folder of images nobody labelled; folders named as splits give the split."""

from collections.abc import Iterator
from pathlib import Path

from core.data.formats.source import SPLITS, Problems, ReadOptions, SourceListing, split_name
from core.data.formats.walk import holds_image, walk
from core.types import DatasetError, SourceSample


def recognise(source: Path) -> str:
    """Say why this is a folder of images; empty: it is none."""
    return "it holds images" if source.is_dir() and holds_image(source) else ""


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every image, however deep, without a label.

    Raises:
        DatasetError: this is no folder.
    """
    if not source.is_dir():
        raise DatasetError(f"{source}: is a file; name the folder that holds the images")
    problems = Problems()
    return SourceListing(_samples(source, options, problems), problems)


def _samples(source: Path, options: ReadOptions, problems: Problems) -> Iterator[SourceSample]:
    for name in walk(source, options, problems):
        top = name.split("/", 1)[0]
        yield SourceSample(f"{source}/{name}", name, None, split_name(top) if top.lower() in SPLITS else "")
