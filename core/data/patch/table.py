"""Apply a patch to a table of labels: CSV, JSON lines or Parquet, as manifests and Hugging Face metadata are.

Only the label of a named image changes; every other line of a CSV or JSON lines file keeps its very bytes. A row is
found by its path, which may be longer than the patch's (absolute, or from a folder further up), and is checked by
its content: the `content_hash` column where there is one, else the file itself where it can be found.
"""

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.lib as pa
import pyarrow.parquet as pq

from core.data.export.placing import content_hash
from core.data.formats.manifest import PATH_NAMES
from core.data.formats.rows import LABEL_NAMES
from core.data.formats.table import Row, Table, open_table
from core.data.patch.change import Change, Patch, described
from core.data.storage import atomic_path
from core.types import DatasetError, ExportError

DELIMITERS = ",;\t|"
HASH_COLUMN = "content_hash"


@dataclass(frozen=True, slots=True)
class Applied:
    """How many labels a patch changed, which images of it were not there, and how many were known by path alone.

    `already` counts those that it had changed before, as it had all of them where it is applied once more.
    """

    changed: int
    missing: tuple[str, ...] = ()
    unchecked: int = 0
    already: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """A row that a change may mean: its number, label and content, and whether its path is exactly the change's."""

    number: int
    label: str | None
    content_hash: str
    exact: bool


def apply_to_table(patch: Patch, table: Path) -> Applied:
    """Change the labels in a table; all of them, or none when one does not fit.

    Raises:
        DatasetError: the table cannot be read, or has no column for the path or the label.
        ExportError: an image has another label or content than the patch expects; nothing was changed.
    """
    opened = open_table(table)
    path_column, label_column = opened.find("", PATH_NAMES), opened.find("", LABEL_NAMES)
    if path_column is None or label_column is None:
        raise DatasetError(f"{table.name}: needs a column `path` (or `file_name`) and a column `label`")
    chosen, applied = _choose(patch, opened, path_column, label_column)
    suffix = table.suffix.lower()
    with atomic_path(table) as partial:
        if suffix == ".parquet":
            changed = _patched_parquet(table, label_column, chosen)
            pq.write_table(changed, partial, compression="zstd")  # type: ignore[no-untyped-call]
        else:
            patched = _patched_lines if suffix in {".jsonl", ".ndjson"} else _patched_csv
            with partial.open("w", encoding="utf-8", newline="") as file:
                file.writelines(patched(table, opened.columns.index(label_column), label_column, chosen))
    return applied


def _choose(patch: Patch, table: Table, path_column: str, label_column: str) -> tuple[dict[int, Change], Applied]:
    """Return which row gets which change."""
    changes = {change.path: change for change in patch.changes}
    found: dict[str, list[_Found]] = defaultdict(list)
    for number, row in table.rows:
        if row is None or not (path := row.get(path_column)):
            continue
        name = _name_in(changes, path, table.path.parent)
        if name is not None:
            known = _content(row, table.path.parent / path)
            found[name].append(_Found(number, row.get(label_column), known, exact=path == name))
    chosen: dict[int, Change] = {}
    conflicts: list[str] = []
    unchecked = 0
    for name, change in changes.items():
        rows_meant = _candidates(change, found.get(name, []))
        if len(rows_meant) > 1:
            conflicts.append(f"{name} stands in several rows")
        for meant in rows_meant[:1]:
            fault = _fault(change, meant)
            if fault:
                conflicts.append(fault)
            chosen[meant.number] = change
            unchecked += not meant.content_hash
    if conflicts:
        raise ExportError(
            f"{table.path} was left as it is, the patch does not fit: {described(conflicts, len(conflicts))}. "
            "Apply it to the labels that it was made from, or take a later patch back first"
        )
    missing = tuple(sorted(set(changes) - {change.path for change in chosen.values()}))
    return chosen, Applied(len(chosen), missing, unchecked)


def _candidates(change: Change, rows: list[_Found]) -> list[_Found]:
    """Return the rows a change means: those of exactly its path, else those that hold its very content."""
    exact = [row for row in rows if row.exact]
    return exact or [row for row in rows if row.content_hash in ("", change.content_hash)]


def _fault(change: Change, row: _Found) -> str:
    if row.content_hash and row.content_hash != change.content_hash:
        return f"{change.path} is another image by now"
    if (row.label or None) != (change.old.strip() if change.old else None):
        return f"{change.path} is {row.label or 'unlabelled'}, not {change.old or 'unlabelled'}"
    return ""


def _name_in(changes: Mapping[str, Change], path: str, folder: Path) -> str | None:
    """Return the longest end of a row's path that the patch names."""
    if path in changes:
        return path
    whole = os.path.normpath(folder.absolute() / path.replace("\\", "/"))
    parts = PurePosixPath(whole).parts
    return next((end for at in range(1, len(parts)) if (end := "/".join(parts[at:])) in changes), None)


def _content(row: Row, path: Path) -> str:
    if known := row.get(HASH_COLUMN):
        return known
    try:
        return content_hash(path)
    except OSError:
        return ""


def _patched_csv(table: Path, at: int, _column: str, chosen: Mapping[int, Change]) -> Iterator[str]:
    with table.open(encoding="utf-8", newline="") as file:
        head = file.readline()
        file.seek(0)
        delimiter = max(DELIMITERS, key=head.count)
        read: list[str] = []

        def lines() -> Iterator[str]:
            for line in file:
                read.append(line)
                yield line

        reader = csv.reader(lines(), delimiter=delimiter)
        for cells in reader:
            raw = "".join(read)
            read.clear()
            change = chosen.get(reader.line_num)
            if change is None:
                yield raw
                continue
            cells[at] = change.new or ""
            written = io.StringIO()
            csv.writer(written, delimiter=delimiter, lineterminator=_line_end(raw)).writerow(cells)
            yield written.getvalue()


def _patched_lines(table: Path, _at: int, column: str, chosen: Mapping[int, Change]) -> Iterator[str]:
    with table.open(encoding="utf-8", newline="") as file:
        for number, line in enumerate(file, start=1):
            change = chosen.get(number)
            if change is None:
                yield line
            else:
                values: dict[str, Any] = json.loads(line.removeprefix("\ufeff"))
                yield json.dumps(values | {column: change.new}, ensure_ascii=False) + _line_end(line)


def _patched_parquet(table: Path, column: str, chosen: Mapping[int, Change]) -> Any:  # noqa: ANN401 an arrow table
    whole = pq.read_table(table)  # type: ignore[no-untyped-call]
    at = whole.schema.get_field_index(column)
    labels = whole.column(at).to_pylist()
    kind = whole.schema.field(at).type
    is_number = str(kind).startswith(("int", "uint"))
    try:
        for number, change in chosen.items():
            labels[number - 1] = int(change.new) if is_number and change.new is not None else change.new
        return whole.set_column(at, whole.schema.field(at), pa.array(labels, type=kind))
    except ValueError as error:
        raise DatasetError(f"{table.name}: its labels are numbers, the patch's are names ({error})") from error


def _line_end(raw: str) -> str:
    return raw[len(raw.rstrip("\r\n")) :]
