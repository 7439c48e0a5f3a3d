"""Table of an export: one row per image, the same columns in CSV, JSON lines and Parquet.

`label` is empty if there is none. In CSV, text that spreadsheets would run as a formula has an apostrophe before it,
and a path `./`, unless `raw` is set. Rows are in the plan's order, lines end in a line feed, and nothing depends on the
clock, so two exports of one state are the same bytes.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import pyarrow.lib as pa
import pyarrow.parquet as pq

from core.data.export.items import Row
from core.data.formats.cells import escape_cell, is_formula

Cell = str | int | float | None
COLUMNS = (
    "path", "label", "given", "verdict", "method", "annotator", "decided_at", "round", "confidence", "changeset",
    "split", "group", "name", "content_hash",
)  # fmt: skip
_PATHS = {"path", "file", "file_name", "image"}
_TYPES = {
    "round": pa.int32(),
    "confidence": pa.float64(),
    "changeset": pa.int64(),
    "decided_at": pa.timestamp("us", tz="UTC"),
}


def cells(row: Row, path: str) -> dict[str, Cell]:
    """Return one image's columns; `path` is its path in the export."""
    item = row.item
    return {
        "path": path,
        "label": row.label,
        "given": item.given,
        "verdict": item.verdict,
        "method": item.method.value,
        "annotator": item.annotator,
        "decided_at": item.decided_at,
        "round": item.round,
        "confidence": item.confidence,
        "changeset": item.changeset,
        "split": item.split,
        "group": item.group,
        "name": item.name,
        "content_hash": item.content_hash,
    }


def write_csv(
    path: Path, records: Iterable[Mapping[str, Cell]], columns: tuple[str, ...] = COLUMNS, *, raw: bool = False
) -> None:
    """Write the table as CSV in UTF-8."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _csv_cell(name, cell, raw=raw) for name, cell in row.items()} for row in records)


def _csv_cell(name: str, cell: Cell, *, raw: bool) -> Cell:
    if not isinstance(cell, str):
        return cell
    if name in _PATHS and is_formula(cell):
        return cell if raw else f"./{cell}"
    return escape_cell(cell, raw=raw)


def write_jsonl(path: Path, records: Iterable[Mapping[str, Cell]]) -> None:
    """Write the table as one JSON object per line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_parquet(path: Path, records: Iterable[Mapping[str, Cell]]) -> None:
    """Write the table as Parquet; times as UTC timestamps, missing values as null."""
    rows = list(records)
    columns = {
        name: pa.array([_parse_cell(name, row[name]) for row in rows], type=_TYPES.get(name, pa.string()))
        for name in COLUMNS
    }
    pq.write_table(pa.table(columns), path, compression="zstd")  # type: ignore[no-untyped-call]


def _parse_cell(name: str, value: Cell) -> Cell | datetime:
    if name == "decided_at":
        return datetime.fromisoformat(value) if isinstance(value, str) and value else None
    return value
