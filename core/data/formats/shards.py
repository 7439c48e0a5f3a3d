"""Parquet tables with embedded images, as the `datasets` library writes them: one file, or shards in folders.

An image cell is a structure of `bytes` and `path`, or plain bytes. The schema's metadata `huggingface` has the types of
columns and the names of classes. The split is the one in a file's name or folder, as in
`data/train-00000-of-00002.parquet` or `default/validation/0000.parquet`. Files are untrusted: rows are read a few at a
time, and rows that cannot be decoded are reported as one problem, up to the end of their row group.
"""

import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pyarrow.types as arrow
from pyarrow.lib import ArrowException, DataType

from core.data.formats.source import SPLITS, Problems, ReadOptions, natural_order, printable, refuse_leaving, split_name
from core.data.formats.table import first_line, has_text, is_binary
from core.data.formats.walk import is_ignored
from core.types import DatasetError

SUFFIX = ".parquet"
IMAGE_NAMES = ("image", "img", "pixel_values", "photo", "picture", "input_image", "images", "bytes", "jpg", "png")
_SHARD = re.compile(r"(\w+(?:\.\w+)*)-\d{5}-of-\d{5}")
_NUMBERED = re.compile(r"(.+)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?")  # a set of shards, the number, how many there are
_WORDS = re.compile(r"[-._ 0-9]+")  # between the words of a file's name, as in `datasets`
_OTHER_SPLITS = {"dev": "val", "eval": "test", "evaluation": "test"}
_FOLDERS, _ENTRIES, _FILES = 60, 3_000, 20  # examined to recognise the format
_DEPTH = 3  # folders below the source
_TEXT_ROWS = 4_096  # rows of text read at once
_BATCH_BYTES, _MOST_ROWS = 16 << 20, 256  # of images read at once
_LARGEST_CELL = 1 << 30  # bytes, on average of a row group

Cells = dict[str, Any]
DAMAGE = (ArrowException, OSError, ValueError, OverflowError, MemoryError)


@dataclass(frozen=True)
class Shard:
    """One file: its columns of text and of images, their metadata, and the rows of each row group."""

    path: Path
    shown: str  # relative to the source
    split: str
    columns: tuple[str, ...]
    images: Mapping[str, bool]  # whether their cells are structures with a `path`
    passed_over: tuple[str, ...]  # structures and lists of them
    features: Mapping[str, Any]
    groups: tuple[int, ...]

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First row of each row group, and the number of rows."""
        return tuple(accumulate(self.groups, initial=0))

    def class_names(self, column: str) -> Mapping[int, str] | None:
        """Return the names of a column's classes by their numbers, None if it has none."""
        feature = self.features.get(column)
        names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        if isinstance(names, list):
            return {number: printable(str(number if name is None else name)) for number, name in enumerate(names)}
        if isinstance(names, dict) and all(str(number).isdecimal() for number in names):
            return {int(number): printable(str(name)) for number, name in names.items()}
        return None


def open_shards(source: Path, options: ReadOptions) -> list[Shard]:
    """Return the shards of a source that hold images, in natural order.

    Raises:
        DatasetError: there are none, one cannot be read, or their images are in different columns.
    """
    found = [source] if source.is_file() else sorted(_walk(source), key=lambda path: natural_order(str(path)))
    shards = [_open(refuse_leaving(path, source, options), source) for path in found]
    with_images = [shard for shard in shards if shard.images]
    if not with_images:
        raise DatasetError(f"{source}: no column of a Parquet file here holds images", "choose another format")
    first = with_images[0]
    for shard in with_images[1:]:
        if set(shard.images) != set(first.images):
            raise mismatch_error(first, shard)
    return with_images


def note_missing_shards(shards: Sequence[Shard], problems: Problems) -> None:
    """Warn of each numbered set of shards with missing ones."""
    found: dict[tuple[str, int], set[int]] = {}
    for shard in shards:
        numbered = _NUMBERED.fullmatch(shard.shown.removesuffix(SUFFIX))
        if numbered:
            found.setdefault((numbered[1], int(numbered[3])), set()).add(int(numbered[2]))
    for (name, count), numbers in found.items():
        missing = count - len(numbers)
        if missing > 0:
            problems.warn(
                "missing shards",
                f"{name}-*-of-{count:05}{SUFFIX}",
                f"{missing:,} of {count:,} files of this set are not there; their images are not read",
                "bring the other files and import again, or nothing if a part is wanted",
            )


def mismatch_error(one: Shard, other: Shard) -> DatasetError:
    """Return the error for two files of different datasets."""
    return DatasetError(
        f"{other.shown} and {one.shown} have different columns, as of two datasets",
        "name the folder or the file of one of them",
    )


def find_shard(source: Path) -> Path | None:
    """Return a Parquet file with a column of images, None if there is none among the first files."""
    if source.is_file():
        candidates: Iterator[Path] = iter([source] if source.suffix.lower() == SUFFIX else [])
    else:
        candidates = _walk(source, folders=_FOLDERS, entries=_ENTRIES)
    for path in islice(candidates, _FILES):
        try:
            if _open(path, source).images:
                return path
        except DatasetError:
            continue  # reported when it is read
    return None


def text_rows(shard: Shard, columns: Sequence[str], problems: Problems | None = None) -> Iterator[tuple[int, Cells]]:
    """Yield (row, cells) of columns other than images; rows begin at 0, damaged ones are added to `problems`."""
    if not columns:
        yield from ((row, {}) for row in range(shard.starts[-1]))
        return
    file = None
    for group, start in enumerate(shard.starts[:-1]):
        row = start
        try:
            file = file or pq.ParquetFile(shard.path)  # type: ignore[no-untyped-call]
            for batch in file.iter_batches(_TEXT_ROWS, row_groups=[group], columns=list(columns)):  # type: ignore[no-untyped-call]
                for cells in batch.to_pylist():
                    yield row, cells
                    row += 1
        except DAMAGE as error:
            if problems is not None:
                note_damage(problems, shard, row, shard.starts[group + 1], error)


def note_damage(problems: Problems, shard: Shard, start: int, stop: int, error: BaseException) -> None:
    """Add a problem for rows that cannot be read."""
    problems.error(
        "damaged rows",
        shard.shown,
        f"rows {start + 1:,} to {stop:,} cannot be read ({first_line(error)})",
        "write the file again from its source; the other rows are read",
    )


@dataclass(slots=True)
class CellReader:
    """Random access to the bytes of image cells; in ascending order a row group is read once, a few rows at a time."""

    shards: Mapping[str, Shard]  # by their paths
    columns: tuple[str, ...]
    problems: Problems
    _at: tuple[str, int, int] = ("", -1, -1)  # shard, row group, next row
    _rows: Iterator[Cells] = field(default_factory=lambda: iter(()))
    _damaged: set[tuple[str, int]] = field(default_factory=set)
    _file: tuple[str, Any] = ("", None)  # the shard that was opened last

    def get(self, shard: Shard, row: int) -> Mapping[str, bytes | None] | None:
        """Return the bytes of each column, None for an empty cell; None instead of all if the row is damaged."""
        path = str(shard.path)
        group = bisect_right(shard.starts, row) - 1
        if (path, group) in self._damaged:
            return None
        if self._at[:2] != (path, group) or row < self._at[2]:
            self._rows = self._read(shard, group)
            self._at = (path, group, shard.starts[group])
        try:
            for number in range(self._at[2], row + 1):
                cells = next(self._rows)
                self._at = (path, group, number + 1)
        except (*DAMAGE, StopIteration) as error:
            note_damage(self.problems, shard, self._at[2], shard.starts[group + 1], error)
            self._damaged.add((path, group))
            self._at = ("", -1, -1)
            return None
        return {column: _bytes_of(cells.get(column)) for column in self.columns}

    def _read(self, shard: Shard, group: int) -> Iterator[Cells]:
        if self._file[0] != str(shard.path):
            file = pq.ParquetFile(shard.path, pre_buffer=False, buffer_size=1 << 20)  # type: ignore[no-untyped-call]
            self._file = (str(shard.path), file)
        file = self._file[1]
        size = _group_bytes(file, group) // max(shard.groups[group], 1)
        if size > _LARGEST_CELL:
            raise ValueError(f"its cells claim {size:,} bytes each")
        count = max(1, min(_MOST_ROWS, _BATCH_BYTES // max(size, 1)))
        for batch in file.iter_batches(count, row_groups=[group], columns=list(self.columns)):
            yield from batch.to_pylist()


def _group_bytes(file: Any, group: int) -> int:  # noqa: ANN401 pyarrow has no types
    return int(file.metadata.row_group(group).total_byte_size)


def _bytes_of(cell: object) -> bytes | None:
    value = cell.get("bytes") if isinstance(cell, dict) else cell
    return value if isinstance(value, bytes) and value else None


def _walk(root: Path, *, folders: int | None = None, entries: int | None = None) -> Iterator[Path]:
    """Yield the Parquet files below a folder, breadth first; no linked folder is entered."""
    waiting = [(root, 0)]
    seen = 0
    while waiting and (folders is None or seen < folders):
        folder, depth = waiting.pop(0)
        seen += 1
        try:
            with os.scandir(folder) as found:
                names = sorted(found, key=lambda entry: entry.name)[:entries]
        except OSError:
            continue  # reported when another reader lists it
        for entry in names:
            if is_ignored(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEPTH:
                    waiting.append((folder / entry.name, depth + 1))
            elif entry.name.lower().endswith(SUFFIX) and entry.is_file():
                yield folder / entry.name


def _open(path: Path, source: Path) -> Shard:
    name = path.relative_to(source).as_posix() if source.is_dir() else path.name
    try:
        file = pq.ParquetFile(path)  # type: ignore[no-untyped-call]
        schema, metadata = file.schema_arrow, file.metadata
    except DAMAGE as error:
        raise DatasetError(f"{name}: is no Parquet file ({first_line(error)})", "write it again") from error
    features = _features(schema.metadata or {})
    images = {each.name: arrow.is_struct(each.type) for each in schema if _holds_images(each.name, each.type, features)}
    return Shard(
        path,
        printable(name),
        _split_of(name),
        tuple(each.name for each in schema if has_text(each.type)),
        images,
        tuple(each.name for each in schema if each.name not in images and _is_nested(each.type)),
        features,
        tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)),
    )


def _features(metadata: Mapping[bytes, bytes]) -> Mapping[str, Any]:
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _holds_images(name: str, kind: DataType, features: Mapping[str, Any]) -> bool:
    feature = features.get(name)
    named = feature.get("_type") if isinstance(feature, dict) else None
    if arrow.is_struct(kind):
        inner = [kind.field(number) for number in range(kind.num_fields)]
        return named in (None, "Image") and any(each.name == "bytes" and is_binary(each.type) for each in inner)
    return is_binary(kind) and (named == "Image" or name.strip().lower() in IMAGE_NAMES)


def _is_nested(kind: DataType) -> bool:
    is_list = arrow.is_list(kind) or arrow.is_large_list(kind)
    return bool(arrow.is_struct(kind.value_type if is_list else kind))


def _split_of(path: str) -> str:
    """Return the split in a file's name or a folder above it, as in `datasets`; "" for none."""
    *folders, name = path.removesuffix(SUFFIX).split("/")
    if sharded := _SHARD.match(name):
        return split_name(_OTHER_SPLITS.get(sharded[1].lower(), sharded[1]))
    for part in (name, *reversed(folders)):
        for word in _WORDS.split(part.lower()):
            if word in SPLITS or word in _OTHER_SPLITS:
                return split_name(_OTHER_SPLITS.get(word, word))
    return ""
