"""Apply a patch to a table of labels: CSV, JSON lines or Parquet, as manifests and Hugging Face metadata are.

Only the labels of the patch's images change; every other line of a CSV or JSON lines file keeps its bytes. A row is
found by its path, which may be longer than the patch's (absolute, or from a folder further up), and is checked by its
content: by the `content_hash` column if there is one, else by the file itself if it can be found.
"""

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.lib as pa
import pyarrow.parquet as pq
import pyarrow.types as arrow
from pyarrow.lib import DataType

from core.data.export.placing import content_hash
from core.data.export.provenance import escapes_formulas, find_manifest
from core.data.formats.cells import (
    ENDINGS,
    SeveralLabelsError,
    escape_cell,
    is_formula,
    label_of,
    plain_path,
    unescape_cell,
)
from core.data.formats.rows import ONES, Columns, find_columns
from core.data.formats.source import ReadOptions
from core.data.formats.table import LINES_SUFFIXES, TEXT_SUFFIXES, Row, Table, Text, open_table
from core.data.patch.change import LabelChange, Patch, list_some
from core.data.storage import atomic_path
from core.types import DatasetError, ExportError

HASH_COLUMN = "content_hash"


@dataclass(frozen=True, slots=True)
class Applied:
    """Result of a patch: the number of changed labels, missing images, and the number of those matched by path alone.

    `already` counts labels that it had changed before, such as all of them if it is applied again.
    """

    changed: int
    missing: tuple[str, ...] = ()
    unchecked: int = 0
    already: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """A candidate row of a change: its number, label and content, and whether its path is exactly the change's.

    `labels` are the possible readings of its label; None: it has none.
    """

    number: int
    labels: tuple[str | None, ...]
    content_hash: str
    exact: bool


def apply_to_table(patch: Patch, table: Path) -> Applied:
    """Change the labels in a table: all of them, or none if one does not fit.

    Raises:
        DatasetError: the table cannot be read, or has no column for the path or the label.
        ExportError: an image has another label or content than the patch expects; nothing was changed.
    """
    opened = open_table(table)
    columns = find_columns(opened, _options(patch, opened), only_other=True)
    if columns.label is None and not columns.one_hot:
        raise DatasetError(f"{table.name}: needs a column `path` (or `file_name`) and a column `label`")
    chosen, applied = _choose(patch, opened, columns)
    cell_of = _cell_writer(opened, columns) if table.suffix.lower() in TEXT_SUFFIXES else str
    if columns.label is None:
        classes = {name.strip() for name in columns.one_hot}
        for change in chosen.values():
            if change.new is not None and change.new not in classes:
                raise ExportError(
                    f"{table.name}: has no column for the class {change.new}", "add one with 0 in each row"
                )
    with atomic_path(table) as partial:
        if table.suffix.lower() == ".parquet":
            changed = _patch_parquet(table, columns, chosen)
            pq.write_table(changed, partial, compression="zstd")  # type: ignore[no-untyped-call]
        else:
            patched = _patch_lines if table.suffix.lower() in LINES_SUFFIXES else _patch_csv
            try:
                with partial.open("w", encoding=opened.text.encoding, newline="") as file:
                    file.writelines(patched(table, opened.text, columns, chosen, cell_of))
            except UnicodeEncodeError as error:
                raise ExportError(
                    f"{table}: {error.object[error.start : error.end]} cannot be written in {error.encoding}",
                    "save the table as UTF-8, then apply the patch",
                ) from error
    return applied


def _options(patch: Patch, table: Table) -> ReadOptions:
    """Return the options to read the table with: the columns of its dataset's import, if it has them."""
    known = {name.strip().lower() for name in table.columns}
    chosen = {name: column for name, column in patch.columns.items() if column.strip().lower() in known}
    return ReadOptions(path_column=chosen.get("path", ""), label_column=chosen.get("label", ""))


def _choose(patch: Patch, table: Table, columns: Columns) -> tuple[dict[int, LabelChange], Applied]:
    """Return the change of each row."""
    changes = {change.path: change for change in patch.changes}
    by_stem = {path.removesuffix(end): path for path in changes for end in ENDINGS if path.endswith(end)}
    by_name = {path: path for path in changes} | {stem: path for stem, path in by_stem.items() if stem not in changes}
    found: dict[str, list[_Found]] = defaultdict(list)
    for number, row in table.rows:
        if row is None or not (path := row.get(columns.path)):
            continue
        name = _name_in(by_name, path, table.path.parent)
        if name is not None:
            known = _content(row, table.path.parent / path)
            found[name].append(_Found(number, _labels(row, columns), known, exact=path == name))
    chosen: dict[int, LabelChange] = {}
    conflicts: list[str] = []
    unchecked = 0
    for name, change in changes.items():
        rows_meant = _candidates(change, found.get(name, []))
        if len(rows_meant) > 1:
            conflicts.append(f"{name} is in several rows")
        for meant in rows_meant[:1]:
            fault = _fault(change, meant)
            if fault:
                conflicts.append(fault)
            chosen[meant.number] = change
            unchecked += not meant.content_hash
    if conflicts:
        raise ExportError(
            f"{table.path} was left as it is, the patch does not fit: {list_some(conflicts, len(conflicts))}. "
            "Apply it to the labels that it was made from, or take a later patch back first"
        )
    missing = tuple(sorted(set(changes) - {change.path for change in chosen.values()}))
    return chosen, Applied(len(chosen), missing, unchecked)


def _candidates(change: LabelChange, rows: list[_Found]) -> list[_Found]:
    """Return the rows of a change: those of exactly its path, else those of its content."""
    exact = [row for row in rows if row.exact]
    return exact or [row for row in rows if row.content_hash in ("", change.content_hash)]


def _fault(change: LabelChange, row: _Found) -> str:
    if row.content_hash and row.content_hash != change.content_hash:
        return f"{change.path} is another image by now"
    if (change.old.strip() if change.old else None) not in row.labels:
        return f"{change.path} is {row.labels[0] or 'unlabelled'}, not {change.old or 'unlabelled'}"
    return ""


def _labels(row: Row, columns: Columns) -> tuple[str | None, ...]:
    """Return a row's label as written, without the apostrophe before a formula, and as the import reads it."""
    if columns.label is None:
        classes = [name.strip() for name in columns.one_hot if (row.get(name) or "").strip() in ONES]
        return (" and ".join(classes) or None,)
    cell = row.get(columns.label)
    written = label_of(cell, literal=True), label_of(cell and unescape_cell(cell), literal=True)
    try:
        return (*written, label_of(cell and unescape_cell(cell), literal=False))
    except SeveralLabelsError:
        return written


def _cell_writer(table: Table, columns: Columns) -> Callable[[str], str]:
    """Return the function that writes a label into a CSV file: escaped in exports, and if other labels are."""
    exported = find_manifest(table.path.parent)
    if escapes_formulas(exported):
        return partial(escape_cell, raw=bool(exported and exported["options"]["raw"]))
    names = [name for name in (columns.label, "given") if name]
    cells = [(row.get(name) or "").strip() for _, row in table.rows if row is not None for name in names]
    written = [cell for cell in cells if is_formula(cell)]
    return partial(escape_cell, raw=not (written and all(cell.startswith("'") for cell in written)))


def _name_in(names: Mapping[str, str], path: str, folder: Path) -> str | None:
    """Return the image that matches the longest end of a row's path, with or without its ending."""
    for text in (path, path.strip()):
        if text in names:
            return names[text]
    whole = os.path.normpath(folder.absolute() / plain_path(path))
    parts = PurePosixPath(whole).parts
    return next((names[end] for at in range(1, len(parts)) if (end := "/".join(parts[at:])) in names), None)


def _content(row: Row, path: Path) -> str:
    if known := row.get(HASH_COLUMN):
        return known
    try:
        return content_hash(path)
    except OSError:
        return ""


def _patch_csv(
    table: Path, text: Text, columns: Columns, chosen: Mapping[int, LabelChange], cell_of: Callable[[str], str]
) -> Iterator[str]:
    with table.open(encoding=text.encoding, newline="") as file:
        for _ in range(text.skipped):
            yield file.readline()
        read: list[str] = []

        def lines() -> Iterator[str]:
            for line in file:
                read.append(line)
                yield line

        reader = csv.reader(lines(), delimiter=text.delimiter)
        header: list[str] = []
        for cells in reader:
            raw = "".join(read)
            read.clear()
            header = header or [name.removeprefix("\ufeff") for name in cells]
            change = chosen.get(reader.line_num + text.skipped)
            if change is None:
                yield raw
                continue
            for at, cell in _changed_cells(header, cells, columns, change.new, cell_of):
                cells[at] = cell
            written = io.StringIO()
            csv.writer(written, delimiter=text.delimiter, lineterminator=_line_end(raw)).writerow(cells)
            yield written.getvalue()


def _changed_cells(
    header: list[str], cells: list[str], columns: Columns, new: str | None, cell_of: Callable[[str], str]
) -> list[tuple[int, str]]:
    """Return the label's cells of a row after the change; blanks before a label are kept."""
    if columns.label is not None:
        at = header.index(columns.label)
        blanks = cells[at][: len(cells[at]) - len(cells[at].lstrip())]
        return [(at, f"{blanks}{cell_of(new)}" if new else "")]
    places = {name: header.index(name) for name in columns.one_hot}
    return [(at, str(_bit(cells[at], name.strip() == new))) for name, at in places.items()]


def _bit(old: object, one: bool) -> bool | int | str:  # noqa: FBT001 the value to write
    """Return the cell of a one-hot column in the style of the former one."""
    if isinstance(old, bool):
        return one
    if not isinstance(old, str):
        return int(one)
    word = old.strip()
    if word.lower() not in ("true", "false"):
        return str(int(one))
    return str(one) if word.istitle() else str(one).lower()


def _patch_lines(
    table: Path, text: Text, columns: Columns, chosen: Mapping[int, LabelChange], _cell_of: Callable[[str], str]
) -> Iterator[str]:
    with table.open(encoding=text.encoding, newline="") as file:
        for number, line in enumerate(file, start=1):
            change = chosen.get(number)
            if change is None:
                yield line
                continue
            mark = "\ufeff" if line.startswith("\ufeff") else ""
            values: dict[str, Any] = json.loads(line.removeprefix(mark))
            if columns.label is None:
                values |= {name: _bit(values.get(name), name.strip() == change.new) for name in columns.one_hot}
            else:
                values[columns.label] = _like(values.get(columns.label), change.new)
            yield mark + json.dumps(values, ensure_ascii=False) + _line_end(line)


def _like(old: object, new: str | None) -> object:
    """Return a label in the style of the former one: as a number if it is one, in a list if that was one."""
    if isinstance(old, list):
        return [] if new is None else [new]
    if isinstance(old, int | float) and not isinstance(old, bool) and new is not None and _is_number(new):
        return type(old)(float(new))
    return new


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit()


def _patch_parquet(table: Path, columns: Columns, chosen: Mapping[int, LabelChange]) -> Any:  # noqa: ANN401 an arrow table
    whole = pq.read_table(table)  # type: ignore[no-untyped-call]
    names = [columns.label] if columns.label is not None else list(columns.one_hot)
    for name in names:
        at = whole.schema.get_field_index(name)
        labels, field = whole.column(at).to_pylist(), whole.schema.field(at)
        for number, change in chosen.items():
            if columns.label is None:
                labels[number - 1] = _convert_bit(field.type, labels[number - 1], name.strip() == change.new, table)
            else:
                labels[number - 1] = _convert(field.type, change.new, table)
        whole = whole.set_column(at, field, pa.array(labels, type=field.type))
    return whole


def _convert_bit(kind: DataType, old: object, one: bool, table: Path) -> object:  # noqa: FBT001 the value to write
    """Return a one-hot cell as a value of this column type."""
    if arrow.is_null(kind):
        if one:
            raise DatasetError(
                f"{table.name}: a column of a class has no type, so it holds no 1", "write it as numbers"
            )
        return None
    inner = kind.value_type if arrow.is_dictionary(kind) else kind
    if arrow.is_boolean(inner):
        return one
    if arrow.is_string(inner) or arrow.is_large_string(inner):
        return _bit(old or "", one)
    return int(one)


def _convert(kind: DataType, new: str | None, table: Path) -> object:
    """Return a label as a value of this column type."""
    if new is None:
        return None
    if arrow.is_dictionary(kind) or arrow.is_list(kind) or arrow.is_large_list(kind):
        inner = _convert(kind.value_type, new, table)
        return inner if arrow.is_dictionary(kind) else [inner]
    try:
        if arrow.is_integer(kind):
            return int(new)
        return float(new) if arrow.is_floating(kind) else new
    except ValueError as error:
        raise DatasetError(f"{table.name}: its labels are numbers, the patch's are names ({error})") from error


def _line_end(raw: str) -> str:
    return raw[len(raw.rstrip("\r\n")) :]
