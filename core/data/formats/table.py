"""Read tables nobody has vetted: CSV with any usual delimiter, JSON lines, Parquet; row by row, memory flat.

Cells come out as the text that stands there, None where blank; whole numbers lose a trailing `.0`. Row numbers are
those of the file as an editor shows them (the header is row 1), for Parquet those of the data.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyarrow.lib import ArrowException

from core.data.formats.source import shown
from core.types import DatasetError

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet"})
_DELIMITERS = ",;\t|"
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_BATCH = 4096

Row = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Table:
    """Column names as written, and (row number, cells) lazily; None in place of the cells: the row is damaged."""

    path: Path
    columns: tuple[str, ...]
    rows: Iterator[tuple[int, Row | None]]

    def find(self, chosen: str, usual: tuple[str, ...]) -> str | None:
        """Return the column that was chosen by name, or else the first with a usual name.

        Raises:
            DatasetError: the chosen one is not there.
        """
        by_name = {name.strip().lower(): name for name in reversed(self.columns)}
        if chosen:
            if chosen.strip().lower() not in by_name:
                raise DatasetError(f"{self.path.name}: there is no column {chosen!r}; {self.described}")
            return by_name[chosen.strip().lower()]
        return next((by_name[name] for name in usual if name in by_name), None)

    @property
    def described(self) -> str:
        """Say which columns there are."""
        return shown(f"its columns are {', '.join(self.columns)}" if self.columns else "it has no columns")


def open_table(path: Path) -> Table:
    """Open a table by its file ending.

    Raises:
        DatasetError: it cannot be read, is empty, or is no text in UTF-8.
    """
    try:
        suffix = path.suffix.lower()
        if suffix == ".parquet":
            return _open_parquet(path)
        return _open_lines(path) if suffix in {".jsonl", ".ndjson"} else _open_csv(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}); check its rights") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name}: is not UTF-8 text ({error.reason}); save it as UTF-8") from error


def _open_csv(path: Path) -> Table:
    with path.open("rb") as file:
        encoding = _ENCODINGS.get(file.read(2), "utf-8-sig")
    with path.open(encoding=encoding, newline="") as file:
        head = file.readline()
    delimiter = max(_DELIMITERS, key=head.count)  # the first of equals: a comma
    columns = tuple(next(csv.reader([head], delimiter=delimiter), []))
    if not columns:
        raise DatasetError(f"{path.name}: is empty; its first row must name the columns, as in path,label")
    return Table(path, columns, _csv_rows(path, encoding, delimiter, columns))


def _csv_rows(path: Path, encoding: str, delimiter: str, columns: tuple[str, ...]) -> Iterator[tuple[int, Row | None]]:
    try:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            next(reader)
            for cells in reader:
                if not cells:
                    continue
                fits = len(cells) == len(columns)
                yield reader.line_num, {k: _text(v) for k, v in zip(columns, cells, strict=True)} if fits else None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name}: is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except csv.Error as error:
        raise DatasetError(f"{path.name}, row {reader.line_num}: {error}; check its quotes") from error


def _open_lines(path: Path) -> Table:
    with path.open(encoding="utf-8-sig") as file:
        first = _json(next((line for line in file if line.strip()), ""))
    if first is None:
        raise DatasetError(f"{path.name}: its first line is no JSON object; each line must be one")
    return Table(path, tuple(first), _json_rows(path))


def _json_rows(path: Path) -> Iterator[tuple[int, Row | None]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    values = _json(line)
                    yield number, None if values is None else {k: _text(v) for k, v in values.items()}
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name}: is not UTF-8 text ({error.reason}); save it as UTF-8") from error


def _json(line: str) -> dict[str, Any] | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _open_parquet(path: Path) -> Table:
    try:
        columns = tuple(pq.read_schema(path).names)  # type: ignore[no-untyped-call]
    except ArrowException as error:
        raise DatasetError(f"{path.name}: is no Parquet file ({error}); write it again") from error
    return Table(path, columns, _parquet_rows(path))


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row | None]]:
    number = 0
    try:
        for batch in pq.ParquetFile(path).iter_batches(_BATCH):  # type: ignore[no-untyped-call]
            for values in batch.to_pylist():
                number += 1
                yield number, {k: _text(v) for k, v in values.items()}
    except ArrowException as error:
        raise DatasetError(f"{path.name}, after row {number}: is damaged ({error}); write it again") from error


def _text(value: Any) -> str | None:  # noqa: ANN401 any cell
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, dict | list | bytes):
        return json.dumps(value, default=repr, ensure_ascii=False)
    text = "" if value is None or value != value else str(value)  # noqa: PLR0124 NaN is an empty cell
    return text if text.strip() else None
