"""Hugging Face's image folder with `metadata.csv`, `.jsonl` or `.parquet` and a `file_name` column.

The metadata lies beside the images, in the root or in each split's folder; it never leaves the root. The label is
the column with a usual name, or the only other one; without any, the images are unlabelled.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from core.data.formats.rows import GROUP_NAMES, SPLIT_NAMES, TAG_NAMES, Columns, RowReader, first_of
from core.data.formats.source import SPLITS, Problems, ReadOptions, SourceListing, refuse_leaving, split_name
from core.data.formats.table import Table, open_table
from core.data.formats.walk import folders_in
from core.types import DatasetError, SourceSample

_FILE_NAME = ("file_name",)
_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def recognise(source: Path) -> str:
    """Say why this is such a folder; empty: it is none."""
    found = _find_metadata(source)
    if not found:
        return ""
    try:
        tables = [open_table(path) for path in found]
        named = all(table.find("", _FILE_NAME) for table in tables)
    except DatasetError:
        return ""
    return f"{', '.join(_shown(path, source) for path in found)} names each file_name" if named else ""


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List the rows of all metadata files.

    Raises:
        DatasetError: there is none, or one lacks a column.
    """
    found = _find_metadata(source)
    if not found:
        raise DatasetError(f"{source}: has no metadata.csv or metadata.jsonl, nor have its train, val, test folders")
    root = source if source.is_dir() else source.parent
    tables = [open_table(refuse_leaving(path, source, options)) for path in found]
    chosen = [_columns(table, options) for table in tables]
    problems = Problems()
    return SourceListing(_samples(root, list(zip(tables, chosen, strict=True)), options, problems), problems)


def _samples(
    root: Path, tables: list[tuple[Table, Columns]], options: ReadOptions, problems: Problems
) -> Iterator[SourceSample]:
    reader = RowReader(root, options, problems, confined=True, listed={})
    for table, columns in tables:
        folder = table.path.parent.name
        split = split_name(folder) if table.path.parent != root and folder.lower() in SPLITS else ""
        for sample in reader.read(table, columns):
            yield sample if sample.split or not split else replace(sample, split=split)


def _columns(table: Table, options: ReadOptions) -> Columns:
    path = table.find(options.path_column, _FILE_NAME)
    if path is None:
        raise DatasetError(f"{table.path.name}: no column is called file_name; {table.described}")
    label, split, group = first_of(table.find, options)
    tags = table.find("", TAG_NAMES)
    known = {"", *SPLIT_NAMES, *GROUP_NAMES, *TAG_NAMES}
    others = [name for name in table.columns if name not in {path, split, group} and name.strip().lower() not in known]
    if label is None and len(others) > 1:
        raise DatasetError(
            f"{table.path.name}: which column is the label? {table.described}. Call it `label`, or choose it"
        )
    return Columns(path, label or next(iter(others), None), split, group, tags=tags)


def _find_metadata(source: Path) -> list[Path]:
    if source.is_file():
        return [source] if source.name in _NAMES else []
    folders = [source, *(source / name for name in folders_in(source) if name.lower() in SPLITS)]
    per_folder = [[folder / name for name in _NAMES if (folder / name).is_file()] for folder in folders]
    return [found[0] for found in per_folder if found]


def _shown(path: Path, source: Path) -> str:
    return str(path.relative_to(source)) if source.is_dir() else path.name
