"""Hugging Face's image folder with `metadata.csv`, `.jsonl` or `.parquet` and a `file_name` column.

The metadata lies beside the images, in the root or in each split's folder; it never leaves the root. The label is
the column with a usual name, or the only other one; without any, the images are unlabelled. Roboflow's `_classes.csv`,
with a column of zeros and ones for each class, lies the same way.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from core.data.export.provenance import find_manifest
from core.data.formats.rows import Columns, RowReader, find_columns
from core.data.formats.source import SPLITS, Problems, ReadOptions, SourceListing, refuse_leaving, split_name
from core.data.formats.table import Table, open_table
from core.data.formats.walk import folders_in
from core.types import DatasetError, SourceSample

_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "_classes.csv")


def recognise(source: Path) -> str:
    """Say why this is such a folder; empty: it is none."""
    found = _find_metadata(source)
    if not found:
        return ""
    try:
        tables = [open_table(path) for path in found]
        columns = [find_columns(table, ReadOptions(literal_labels=False), only_other=True) for table in tables]
    except DatasetError:
        return ""
    return f"{', '.join(_shown(path, source) for path in found)} names each {columns[0].path.strip()}"


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List the rows of all metadata files.

    Raises:
        DatasetError: there is none, or one lacks a column.
    """
    found = _find_metadata(source)
    if not found:
        raise DatasetError(f"{source}: has no metadata.csv or metadata.jsonl, nor have its train, val, test folders")
    root = source if source.is_dir() else source.parent
    if find_manifest(root) is not None:  # an export of ours: what stands there is what was meant
        options = replace(options, literal_labels=True)
    tables = [open_table(refuse_leaving(path, source, options)) for path in found]
    chosen = [find_columns(table, options, only_other=True) for table in tables]
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


def _find_metadata(source: Path) -> list[Path]:
    if source.is_file():
        return [source] if source.name in _NAMES else []
    folders = [source, *(source / name for name in folders_in(source) if name.lower() in SPLITS)]
    per_folder = [[folder / name for name in _NAMES if (folder / name).is_file()] for folder in folders]
    return [found[0] for found in per_folder if found]


def _shown(path: Path, source: Path) -> str:
    return str(path.relative_to(source)) if source.is_dir() else path.name
