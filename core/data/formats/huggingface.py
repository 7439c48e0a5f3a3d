"""Hugging Face's image folder with `metadata.csv`, `.jsonl` or `.parquet` and a `file_name` column.

The metadata is beside the images, in the root or in each split's folder, and its paths stay below the root. The label
is the column with a usual name, or the only other one; without any, the images are unlabelled. Roboflow's
`_classes.csv`, with a column of zeros and ones for each class, has the same place.

Unless it or a column is chosen, such a file is recognised only if it certainly gives labels: other metadata, such as
sizes and flags of images, is found beside class folders too, and must not replace the classes.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from core.data.export.provenance import escapes_formulas, find_manifest
from core.data.formats import imagefolder
from core.data.formats.rows import LABEL_NAMES, ONES, SURVEYED, Columns, RowReader, find_columns
from core.data.formats.source import SPLITS, Problems, ReadOptions, SourceListing, refuse_leaving, split_name
from core.data.formats.table import Table, open_table
from core.data.formats.walk import folders_in
from core.types import DatasetError, SourceSample

_ROBOFLOW = "_classes.csv"
_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", _ROBOFLOW)
_PATH = "file_name"  # Hugging Face's name of the column


def recognise(source: Path, options: ReadOptions | None = None) -> str:
    """Return the evidence that the source is such a folder, empty if it is not; `options` may name columns."""
    options = options or ReadOptions(literal_labels=False)
    found = _find_metadata(source)
    if not found:
        return ""
    try:
        tables = [open_table(path) for path in found]
        columns = [find_columns(table, options, only_other=True) for table in tables]
    except DatasetError:
        return ""
    if not options.path_column and not options.label_column:
        class_folders = _has_class_folders(source)
        if not all(
            _gives_labels(table, own, class_folders=class_folders) for table, own in zip(tables, columns, strict=True)
        ):
            return ""
    return f"{', '.join(_relative_name(path, source) for path in found)} names each {columns[0].path.strip()}"


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List the rows of all metadata files.

    Raises:
        DatasetError: there is none, or one lacks a column.
    """
    found = _find_metadata(source)
    if not found:
        raise DatasetError(f"{source}: has no metadata.csv or metadata.jsonl, nor have its train, val, test folders")
    root = source if source.is_dir() else source.parent
    exported = find_manifest(root)
    if exported is not None:  # an export of Outfold, in which cells are literal
        options = replace(options, literal_labels=True)
    tables = [open_table(refuse_leaving(path, source, options)) for path in found]
    chosen = [find_columns(table, options, only_other=True) for table in tables]
    problems = Problems()
    reader = RowReader(root, options, problems, confined=True, listed={}, escapes=escapes_formulas(exported))
    return SourceListing(_samples(reader, list(zip(tables, chosen, strict=True))), problems)


def _gives_labels(table: Table, columns: Columns, *, class_folders: bool) -> bool:
    """Return whether the table certainly gives labels, by a usual name or type of column."""
    if table.path.name == _ROBOFLOW:
        return True
    if columns.one_hot:
        return not class_folders and _has_one_each(table, columns.one_hot)
    usual = columns.label is not None and columns.label.strip().lower() in LABEL_NAMES
    return usual or columns.path.strip().lower() == _PATH


def _has_one_each(table: Table, names: tuple[str, ...]) -> bool:
    """Return whether exactly one of these columns is 1 in each examined row; flags are so by chance only."""
    rows = (row for _, row in islice(table.rows, SURVEYED) if row is not None)
    return all(sum((row.get(name) or "").strip() in ONES for name in names) == 1 for row in rows)


def _has_class_folders(source: Path) -> bool:
    if not source.is_dir() or not imagefolder.recognise(source):
        return False
    return any(name.lower() not in SPLITS for name in imagefolder.find_layout(source).classes)


def _samples(reader: RowReader, tables: list[tuple[Table, Columns]]) -> Iterator[SourceSample]:
    for table, columns in tables:
        folder = table.path.parent.name
        split = split_name(folder) if table.path.parent != reader.root and folder.lower() in SPLITS else ""
        for sample in reader.read(table, columns):
            yield sample if sample.split or not split else replace(sample, split=split)


def _find_metadata(source: Path) -> list[Path]:
    if source.is_file():
        return [source] if source.name in _NAMES else []
    folders = [source, *(source / name for name in folders_in(source) if name.lower() in SPLITS)]
    per_folder = [[folder / name for name in _NAMES if (folder / name).is_file()] for folder in folders]
    return [found[0] for found in per_folder if found]


def _relative_name(path: Path, source: Path) -> str:
    return str(path.relative_to(source)) if source.is_dir() else path.name
