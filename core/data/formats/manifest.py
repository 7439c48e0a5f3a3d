"""A CSV or Parquet table `path,label[,split][,group]`, paths absolute or relative to the table.

An empty label means unlabelled. With a column `mask` labels are masks, each a file; their meaning is found as for
folders of masks, and `tags` may hold the classes that an image shows, as in `road;car` or a list. The source is the
table itself or its folder.
"""

import os
from dataclasses import replace
from pathlib import Path

from core.data.export.provenance import escapes_formulas, find_manifest
from core.data.formats.cells import PathFinder
from core.data.formats.mask_meaning import DefaultClasses, find_meaning
from core.data.formats.rows import Columns, RowReader, find_columns
from core.data.formats.source import Problems, ReadOptions, SourceListing, is_allowed, refuse_leaving
from core.data.formats.table import TABLE_SUFFIXES, Table, open_table
from core.types import Cure, DatasetError

_FOUND = frozenset({".csv", ".tsv", ".parquet", ".jsonl", ".ndjson"})  # in a folder; a .txt may be anything
_USUAL_FILES = ("manifest", "labels", "annotations", "index", "train", "data")


def recognise(source: Path) -> str:
    """Return the evidence that the source is a manifest, empty if it is not."""
    path = _find_table(source)
    if path is None:
        return ""
    try:
        columns = _columns(open_table(path), ReadOptions(literal_labels=False))
    except DatasetError:
        return f"{path.name} is a table" if source.is_file() else ""
    label = columns.mask or columns.label or f"{len(columns.one_hot)} columns of classes"
    return f"{path.name} has the columns {columns.path.strip()} and {label.strip()}"


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List the rows of a manifest.

    Raises:
        DatasetError: there is no table, or it lacks a column.
    """
    path = _find_table(source)
    if path is None:
        raise DatasetError(f"{source}: has no manifest.csv or manifest.parquet", "name the table itself")
    exported = find_manifest(path.parent)
    if exported is not None:  # of an export of Outfold: its cells are literal
        options = replace(options, literal_labels=True)
    table = open_table(refuse_leaving(path, source, options))
    columns = _columns(table, options)
    problems = Problems()
    reader = RowReader(path.parent, options, problems, confined=False, listed={}, escapes=escapes_formulas(exported))
    if columns.mask is None:
        return SourceListing(reader.read(table, columns), problems)
    masks = _masks(path, columns.mask, options)
    folders = [path.parent, *sorted({Path(mask).parent for mask in masks})]
    meaning = find_meaning(masks, folders, options, DefaultClasses(), problems, source=None)
    reader.code = replace(meaning.code, turn=options.exif_masks == "turn")
    return SourceListing(reader.read(table, columns), problems, meaning.table, meaning.shown)


def _masks(table: Path, column: str, options: ReadOptions) -> list[str]:
    """Return the files of masks that a table names, sorted; missing ones are reported when they are read."""
    finder = PathFinder(table.parent, options.image_root)
    cells = (row.get(column) for _, row in open_table(table).rows if row is not None)
    paths = {finder.find(cell) for cell in cells if cell is not None}
    return sorted(path for path in paths if is_allowed(path, options) and os.path.isfile(path))  # noqa: PTH113 any name


def _columns(table: Table, options: ReadOptions) -> Columns:
    columns = find_columns(table, options, only_other=False)
    if columns.label is None and columns.mask is None and not columns.one_hot:
        raise DatasetError(
            f"{table.path.name}: no column holds the label",
            f"{table.columns_text}. "
            f"Call it `label` (an empty cell means unlabelled) or `mask`, or choose it: {Cure.LABEL_COLUMN}",
        )
    return columns


def _find_table(source: Path) -> Path | None:
    if source.is_file():
        return source if source.suffix.lower() in TABLE_SUFFIXES else None
    tables = [
        path
        for path in sorted(source.iterdir())
        if path.suffix.lower() in _FOUND and path.stem != "metadata" and path.is_file()
    ]
    usual = [path for name in _USUAL_FILES for path in tables if path.stem.lower() == name]
    return next(iter(usual), tables[0] if len(tables) == 1 else None)
