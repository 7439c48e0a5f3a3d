"""A CSV or Parquet table `path,label[,split][,group]`, paths absolute or relative to the table.

An empty label means unlabelled. With a column `mask` labels are masks, each a file that the row names, what they mean
is found as for folders of masks; then `tags` may say which classes an image shows, as in `road;car` or a list. Named by
the table itself or by the folder it lies in.
"""

from dataclasses import replace
from pathlib import Path

from core.data.formats.mask_meaning import Usual, find_meaning
from core.data.formats.rows import MASK_NAMES, TAG_NAMES, Columns, RowReader, absolute, first_of
from core.data.formats.source import Problems, ReadOptions, SourceListing, is_allowed, refuse_leaving
from core.data.formats.table import TABLE_SUFFIXES, Table, open_table
from core.types import DatasetError

PATH_NAMES = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img")
_USUAL_FILES = ("manifest", "labels", "annotations", "index", "train", "data")


def recognise(source: Path) -> str:
    """Say why this is a manifest; empty: it is none."""
    table = _find_table(source)
    if table is None:
        return ""
    try:
        columns = _columns(open_table(table), ReadOptions())
    except DatasetError:
        return f"{table.name} is a table" if source.is_file() else ""
    return f"{table.name} has the columns {columns.path} and {columns.mask or columns.label}"


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List the rows of a manifest.

    Raises:
        DatasetError: there is no table, or it lacks a column.
    """
    path = _find_table(source)
    if path is None:
        raise DatasetError(f"{source}: has no manifest.csv or manifest.parquet; name the table itself")
    table = open_table(refuse_leaving(path, source, options))
    columns = _columns(table, options)
    problems = Problems()
    reader = RowReader(path.parent, options, problems, confined=False, listed={})
    if columns.mask is None:
        return SourceListing(reader.read(table, columns), problems)
    masks = _masks(path, columns.mask, options)
    folders = [path.parent, *sorted({Path(mask).parent for mask in masks})]
    meaning = find_meaning(masks, folders, options, Usual(), problems, source=None)
    reader.code = replace(meaning.code, turn=options.exif_masks == "turn")
    return SourceListing(reader.read(table, columns), problems, meaning.table, meaning.shown)


def _masks(table: Path, column: str, options: ReadOptions) -> list[str]:
    """Return the files of masks that a table names, sorted; those that are missing are found out when they are read."""
    cells = (row.get(column) for _, row in open_table(table).rows if row is not None)
    named = {absolute(table.parent, cell) for cell in cells if cell is not None}
    return sorted(path for path in named if is_allowed(path, options) and Path(path).is_file())


def _columns(table: Table, options: ReadOptions) -> Columns:
    path = table.find(options.path_column, PATH_NAMES)
    if path is None:
        raise DatasetError(
            f"{table.path.name}: no column holds the path of the image; {table.described}. Call it `path`, or choose it"
        )
    label, split, group = first_of(table.find, options)
    mask, tags = table.find("", MASK_NAMES), table.find("", TAG_NAMES)
    if label is None and mask is None:
        raise DatasetError(
            f"{table.path.name}: no column holds the label; {table.described}. "
            "Call it `label` (an empty cell means unlabelled) or `mask`, or choose it"
        )
    return Columns(path, label, split, group, None if options.label_column else mask, tags)


def _find_table(source: Path) -> Path | None:
    if source.is_file():
        return source if source.suffix.lower() in TABLE_SUFFIXES else None
    tables = [
        path
        for path in sorted(source.iterdir())
        if path.suffix.lower() in {".csv", ".tsv", ".parquet"} and path.stem != "metadata" and path.is_file()
    ]
    usual = [path for name in _USUAL_FILES for path in tables if path.stem.lower() == name]
    return next(iter(usual), tables[0] if len(tables) == 1 else None)
