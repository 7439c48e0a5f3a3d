"""Read untrusted tables: CSV with any usual delimiter, JSON lines, Parquet; row by row, memory flat.

Cells are text, None if blank; integers have no trailing `.0`. Row numbers are those of an editor (the header is row 1),
for Parquet those of the data.

Text is UTF-8, UTF-16 or UTF-32 by its byte order mark, and UTF-16 without a mark if its line breaks and ASCII have
zeros; anything else is read as Windows-1252, with a warning. A first line `sep=;`, as spreadsheets write it, names the
delimiter. Columns without a name (the index that pandas writes) and columns of bytes, structures, times and durations
are skipped: they hold no path and no label.
"""

import codecs
import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pyarrow.types as arrow
from pyarrow.lib import ArrowException, DataType

from core.data.formats.source import printable
from core.types import DatasetError

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet"})
LINES_SUFFIXES = frozenset({".jsonl", ".ndjson"})
TEXT_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
_DELIMITERS = ",;\t|"
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before that of UTF-16, with which it begins
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_MARK = "\ufeff"
_BATCH = 4096
_HEAD = 100  # rows of JSON whose keys are the columns; any may be missing
_BLOCK = 1 << 20  # bytes
_HEAD_BYTES = 4_096  # examined to find the encoding
_LEAST_ASCII, _MOSTLY = 0.05, 0.5  # of the letters of a table
_INDEX = ("", "unnamed: 0", "__index_level_0__")  # pandas' name of the index it writes

Row = dict[str, str | None]
Rows = Iterator[tuple[int, Row | None]]


@dataclass(frozen=True, slots=True)
class Text:
    """Encoding of a table's text, and for CSV its delimiter and the number of lines before the header."""

    encoding: str = "utf-8"
    delimiter: str = ","
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Column names as written, and (row number, cells), read lazily; None instead of cells for a damaged row."""

    path: Path
    columns: tuple[str, ...]
    read: Callable[[], Rows]
    text: Text = field(default_factory=Text)
    warning: str = ""  # guesses, for warnings
    nested: tuple[str, ...] = ()  # columns of structures or bytes, which have no text

    @property
    def rows(self) -> Rows:
        """Rows, from the first."""
        return self.read()

    def find(self, chosen: str, usual: tuple[str, ...]) -> str | None:
        """Return the column chosen by name, else the first with a usual name.

        Raises:
            DatasetError: the chosen one is missing, or two columns have the name.
        """
        by_name = {name.strip().lower(): name for name in reversed(self.columns)}
        count = Counter(name.strip().lower() for name in self.columns)
        if chosen and chosen.strip().lower() not in by_name:
            raise DatasetError(f"{self.path.name}: there is no column {chosen!r}", f"{self.columns_text}")
        found = chosen.strip().lower() or next((name for name in usual if name in by_name), None)
        if found is not None and count[found] > 1:
            raise DatasetError(f"{self.path.name}: {count[found]} columns are called {found}", "rename all but one")
        return None if found is None else by_name[found]

    @property
    def columns_text(self) -> str:
        """List the columns, for messages."""
        names = ", ".join(name.strip() for name in self.columns)
        return printable(f"its columns are {names}" if self.columns else "it has no columns")


def open_table(path: Path) -> Table:
    """Open a table by its file ending.

    Raises:
        DatasetError: it cannot be read, is empty, or is not a table.
    """
    try:
        suffix = path.suffix.lower()
        if suffix == ".parquet":
            return _open_parquet(path)
        return _open_lines(path) if suffix in LINES_SUFFIXES else _open_csv(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})", "check its rights") from error
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error


def text_encoding(path: Path) -> str:
    """Return the encoding of a text file: by its mark or zeros, else UTF-8 if valid, else Windows-1252 or Latin-1."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        for mark, encoding in _MARKS.items():
            if head.startswith(mark):
                return encoding
        if (unmarked := _unmarked_utf16(head)) is not None:
            return unmarked
        for encoding in ("utf-8", "cp1252"):
            file.seek(0)
            if _decodes(iter(lambda: file.read(_BLOCK), b""), encoding):
                return encoding
    return "latin-1"  # valid for any bytes


def _unmarked_utf16(head: bytes) -> str | None:
    """Return the byte order of text in UTF-16 without a mark, None if it is in another encoding.

    Line breaks, delimiters and file endings are ASCII in any language, so one byte of each is zero in UTF-16; text in
    other encodings has no zeros.
    """
    if 0 not in head:
        return None
    found = max(("utf-16-le", "utf-16-be"), key=lambda encoding: _ascii_share(head, encoding))
    return found if _ascii_share(head, found) > _LEAST_ASCII else None


def _ascii_share(head: bytes, encoding: str) -> float:
    """Return the share of ASCII in text of this encoding; 0 if it cannot be decoded or holds control characters."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return 0
    share = sum(map(str.isascii, text)) / max(len(text), 1)
    ends = "\r" in text or "\n" in text or share > _MOSTLY  # the first line may be longer than the examined part
    return share if ends and "\0" not in text else 0


def delimiter_of(head: str) -> str:
    """Return the delimiter of a header: the most frequent one outside of quotes; of equals the first; else a comma."""
    outside = "".join(head.split('"')[::2])
    return max(_DELIMITERS, key=outside.count)


def _decodes(blocks: Iterator[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _guess_encoding(encoding: str) -> str:
    if encoding.startswith("utf"):
        return ""
    name = {"cp1252": "Windows-1252", "latin-1": "Latin-1"}[encoding]
    return f"its text is not UTF-8, so it was read as {name}"


def _open_csv(path: Path) -> Table:
    encoding = text_encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline().removeprefix(_MARK)
        start = first.strip().strip('"').lower()
        separator = start[4:5] or "\t" if start.startswith("sep=") and len(start) <= len("sep=;") else ""
        head = file.readline() if separator else first
    text = Text(encoding, separator or delimiter_of(head), int(bool(separator)))
    columns = tuple(next(csv.reader([head], delimiter=text.delimiter), []))
    if not columns:
        raise DatasetError(f"{path.name}: is empty", "its first row must name the columns, as in path,label")
    return Table(path, _column_names(columns), lambda: _csv_rows(path, text, columns), text, _guess_encoding(encoding))


def _column_names(columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in columns if name.strip().lower() not in _INDEX)


def _csv_rows(path: Path, text: Text, columns: tuple[str, ...]) -> Rows:
    number = 0
    try:
        with path.open(encoding=text.encoding, newline="") as file:
            for _ in range(text.skipped):
                file.readline()
            reader = csv.reader(file, delimiter=text.delimiter)
            next(reader)
            for cells in reader:
                number = reader.line_num + text.skipped
                if not cells:
                    continue
                fits = len(cells) == len(columns)
                yield number, {k: cell_text(v) for k, v in zip(columns, cells, strict=True)} if fits else None
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error
    except csv.Error as error:
        raise DatasetError(f"{path.name}, row {number + 1}: {error}", "check its quotes") from error


def _open_lines(path: Path) -> Table:
    encoding = text_encoding(path)
    with path.open(encoding=encoding) as file:
        lines = (line for line in file if line.strip(f"{_MARK} \t\r\n"))
        first = _json(next(lines, ""))
        if first is None:
            raise DatasetError(f"{path.name}: its first line is no JSON object", "each line must be one")
        rows = [first, *filter(None, map(_json, islice(lines, _HEAD - 1)))]
    found: dict[str, Any] = {}
    for row in rows:
        found |= {name: value for name, value in row.items() if found.get(name) is None}
    nested = tuple(name for name, value in found.items() if isinstance(value, dict))
    columns = tuple(name for name in found if name not in nested)
    return Table(path, columns, lambda: _json_rows(path, encoding), Text(encoding), _guess_encoding(encoding), nested)


def _json_rows(path: Path, encoding: str) -> Rows:
    try:
        with path.open(encoding=encoding) as file:
            for number, line in enumerate(file, start=1):
                if line.strip(f"{_MARK} \t\r\n"):
                    values = _json(line)
                    yield number, None if values is None else {k: cell_text(v) for k, v in values.items()}
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error


def _json(line: str) -> dict[str, Any] | None:
    try:
        values = json.loads(line.removeprefix(_MARK))
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _open_parquet(path: Path) -> Table:
    try:
        schema = pq.read_schema(path)  # type: ignore[no-untyped-call]
    except (ArrowException, OSError) as error:
        raise DatasetError(f"{path.name}: is no Parquet file ({first_line(error)})", "write it again") from error
    columns = _column_names(tuple(each.name for each in schema if has_text(each.type)))
    nested = tuple(each.name for each in schema if arrow.is_struct(each.type) or is_binary(each.type))
    return Table(path, columns, lambda: _parquet_rows(path, columns), nested=nested)


def has_text(kind: DataType) -> bool:
    """Return whether cells of this type are names, numbers, or lists of them."""
    if arrow.is_dictionary(kind) or arrow.is_list(kind) or arrow.is_large_list(kind):
        return has_text(kind.value_type)
    checks = (arrow.is_string, arrow.is_large_string, arrow.is_integer, arrow.is_floating,
              arrow.is_boolean, arrow.is_null, arrow.is_decimal)  # fmt: skip
    return any(check(kind) for check in checks)


def is_binary(kind: DataType) -> bool:
    """Return whether cells of this type are plain bytes."""
    return bool(arrow.is_binary(kind) or arrow.is_large_binary(kind))


def _parquet_rows(path: Path, columns: tuple[str, ...]) -> Rows:
    number = 0
    try:
        for batch in pq.ParquetFile(path).iter_batches(_BATCH, columns=list(columns)):  # type: ignore[no-untyped-call]
            for values in batch.to_pylist():
                number += 1
                yield number, {k: cell_text(v) for k, v in values.items()}
    except (ArrowException, OSError, ValueError, OverflowError) as error:
        raise DatasetError(
            f"{path.name}, after row {number}: is damaged ({first_line(error)})", "write it again"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the message of an error as one line."""
    return str(error).strip().split("\n", 1)[0][:200]


def _no_text(path: Path, error: UnicodeDecodeError) -> DatasetError:
    return DatasetError(f"{path.name}: is not text in {error.encoding} ({error.reason})", "save it as UTF-8")


def cell_text(value: Any) -> str | None:  # noqa: ANN401 any cell
    """Return a cell as text, None if it is empty."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, dict | list | bytes):
        return json.dumps(value, default=repr, ensure_ascii=False)
    text = "" if value is None or value != value else str(value)  # noqa: PLR0124 NaN is an empty cell
    return text if text.strip() else None
