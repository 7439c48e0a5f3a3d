"""Agreeing findings of a large round as columns of a file instead of rows: written once, read in parts, never changed.

Of 10 million images a round suspects a few per cent. The others agree with their label; people rarely look at one of
them, so they have no row until one is decided on (`db.queries.agreeing` makes it then). A place is the
index of a finding in the file, which is in the order of rank. Beside it lies a second file that leads from samples to
places. Both are named by the first id of the round's block, so that files of a late process are never read.

Shapes: P findings of a part, Q of those that were asked for; every column is an array of one value a finding.
"""

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from core.types import FindingKind, FloatArray, IntArray, StorageAwayError, StorageError
from db.loading import NewFinding

PART = 25_000  # findings of a part, the unit of reading
_SAMPLES_PART = 20_000
_MOST_OPEN = 8  # files that a process keeps open
_NONE = -1  # stored for a similarity rank or a number of networks that there is not
_SPLITS = b"splits"  # names of splits, as JSON, among the metadata of a file
_BOUNDED = ("rank", "label", "confidence", "similarity_rank")  # columns by whose bounds parts are passed over
FILES, WRITES = "agreeing_files", "writes"  # in the `info` of a session: these files, and whether it writes
Columns = dict[str, NDArray[Any]]
P = ParamSpec("P")
T = TypeVar("T")
_CURE = "restore the round's folder from a backup; without one, delete the round and run a new one"


class FindingsAwayError(StorageAwayError):
    """A transaction that holds the write lock needs the files of a round that lie in the store of shared files alone.

    `db.engine.Database.write` fetches them once the lock is given back, so that no verdict waits for a download.
    """

    file: tuple[int, int, int]  # round, first id of its block, findings in its file

    @classmethod
    def of(cls, round_id: int, first_id: int, count: int) -> "FindingsAwayError":
        """Return the error as people read it where the act is not run again by itself."""
        error = cls(f"the findings of round {round_id} that agree with their label were fetched first", "do it again")
        error.file = (round_id, first_id, count)
        return error


def again_once_fetched(act: Callable[P, T]) -> Callable[P, T]:
    """Repeat a use case of one transaction after fetching the files of each round that it needed."""

    @wraps(act)
    def run(*arguments: P.args, **named: P.kwargs) -> T:
        while True:
            with suppress(FindingsAwayError):
                return act(*arguments, **named)

    return run


def file_of(folder: Path, first_id: int) -> Path:
    """Return the file of a round's agreeing findings, by its folder and the first id of its block."""
    return folder / f"agreeing.{first_id}.parquet"


def _samples_file_of(folder: Path, first_id: int) -> Path:
    return folder / f"agreeing.{first_id}.samples.parquet"


def remove_files(folder: Path, first_id: int) -> None:
    """Remove the files of an interrupted attempt."""
    for path in (file_of(folder, first_id), _samples_file_of(folder, first_id)):
        path.unlink(missing_ok=True)
        for partial in folder.glob(f".{path.name}.*.partial"):
            partial.unlink(missing_ok=True)


class AgreeingWriter:
    """Takes the agreeing findings out of a round's and writes them; `count` is their number."""

    def __init__(self, path: Path) -> None:
        """Write to `path`, which is not read before it is renamed."""
        pa = _arrow()
        self.count = 0
        self._splits: dict[str, int] = {}
        self._waiting: list[NewFinding] = []
        self._samples: list[IntArray] = []
        self._schema = pa.schema(
            [
                *((name, pa.int32()) for name in ("rank", "row", "label", "fold", "split", "similarity_rank")),
                ("sample_id", pa.int64()),
                ("contradicting", pa.int16()),
                *((name, pa.float64()) for name in ("confidence", "self_confidence", "margin")),
                ("top_labels", pa.list_(pa.int32())),
                ("top_shares", pa.list_(pa.float64())),
            ]
        )
        self._file = _parquet().ParquetWriter(path, self._schema, compression="zstd")

    def pass_on(self, rows: Iterable[NewFinding]) -> Iterator[NewFinding]:
        """Yield the findings that become rows; those that agree with their label are kept for the file."""
        for row in rows:
            if row.kind is not FindingKind.AGREEING or row.given != row.pseudo:
                yield row
                continue
            self._waiting.append(row)
            if len(self._waiting) == PART:
                self._write()

    def _write(self) -> None:
        pa = _arrow()
        rows, self._waiting = self._waiting, []
        self.count += len(rows)
        columns: dict[str, Any] = {
            "label": [row.given for row in rows],
            "split": [self._splits.setdefault(row.split, len(self._splits)) for row in rows],
            "top_labels": [[int(label) for label, _ in row.top] for row in rows],
            "top_shares": [[float(share) for _, share in row.top] for row in rows],
        }
        for name in ("similarity_rank", "contradicting"):
            columns[name] = [_NONE if (value := getattr(row, name)) is None else value for row in rows]
        for name in self._schema.names:
            columns.setdefault(name, [getattr(row, name, None) for row in rows])
        self._samples.append(np.array(columns["sample_id"], dtype=np.int64))
        self._file.write_table(pa.table(columns, schema=self._schema), row_group_size=PART)

    def close(self, samples_path: Path) -> None:
        """Write the rest, and the index from samples to places."""
        pa = _arrow()
        if self._waiting:
            self._write()
        self._file.add_key_value_metadata({_SPLITS: json.dumps(list(self._splits)).encode()})
        self._file.close()
        ids = np.concatenate([np.empty(0, np.int64), *self._samples])
        order = np.argsort(ids, kind="stable")
        places = pa.table({"sample_id": ids[order], "place": order.astype(np.int32)})
        _parquet().write_table(places, samples_path, compression="zstd", row_group_size=_SAMPLES_PART)


def _arrow() -> Any:  # noqa: ANN401  # it has no types
    import pyarrow.lib  # noqa: PLC0415  # a fifth of a second, which only large rounds need

    return pyarrow.lib


def _parquet() -> Any:  # noqa: ANN401
    import pyarrow.parquet  # noqa: PLC0415

    return pyarrow.parquet


@contextmanager
def writing(folder: Path, first_id: int) -> Iterator[AgreeingWriter]:
    """Yield a writer; both files appear at the end of the block, if it took a finding and nothing failed."""
    targets = (_samples_file_of(folder, first_id), file_of(folder, first_id))
    partials = [path.with_name(f".{path.name}.{uuid4().hex[:12]}.partial") for path in targets]
    try:
        writer = AgreeingWriter(partials[1])
        yield writer
        writer.close(partials[0])
        if writer.count:
            for partial, path in zip(partials, targets, strict=True):
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
                partial.replace(path)
            _flush(folder)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class AgreeingFile:
    """The agreeing findings of one round, open for reading by any thread."""

    def __init__(self, folder: Path, first_id: int, count: int) -> None:
        """Open the files of a round that has `count` findings in them.

        Raises:
            StorageError: they are missing, damaged or of another round.
        """
        parquet = _parquet()
        path = file_of(folder, first_id)
        self._name = str(path)
        self._lock = Lock()
        try:
            self._file = parquet.ParquetFile(path)
            self._by_sample = parquet.ParquetFile(_samples_file_of(folder, first_id))
        except (OSError, _arrow().ArrowException) as error:
            raise StorageError(f"{path}: findings that agree with their label cannot be read", _CURE) from error
        found = (self._file.metadata.num_rows, self._by_sample.metadata.num_rows)
        if found != (count, count):
            raise StorageError(f"{path}: it has {min(found):,} findings, not {count:,}", _CURE)
        metadata = self._file.metadata
        self.count = count
        self.splits: list[str] = json.loads(metadata.metadata[_SPLITS])
        sizes = [metadata.row_group(part).num_rows for part in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._bounds = {name: _bounds(self._file, name) for name in _BOUNDED}
        self._sample_bounds = _bounds(self._by_sample, "sample_id")

    @property
    def parts(self) -> range:
        """Return the numbers of its parts."""
        return range(len(self._starts) - 1)

    def bounds(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Return the least and the largest value of a bounded column in each part."""
        return self._bounds[name]

    def read(self, part: int, names: Iterable[str]) -> Columns:
        """Return columns of a part, and the places of its findings as `place`, (P,) each."""
        found = self._read(self._file, part, sorted(set(names) - {"place"}))
        return found | {"place": np.arange(self._starts[part], self._starts[part + 1])}

    def places_of_ranks(self, ranks: IntArray) -> IntArray:
        """Return the places of those of these ranks that are here, in the order of rank, (Q,)."""
        wanted = np.unique(ranks)
        low, high = self._bounds["rank"]
        found = [np.empty(0, np.int64)]
        for part in np.flatnonzero(_any_within(wanted, low, high)).tolist():
            columns = self.read(part, ["rank"])
            found.append(columns["place"][np.isin(columns["rank"], wanted, assume_unique=True)])
        return np.concatenate(found)

    def places_of_samples(self, sample_ids: IntArray) -> IntArray:
        """Return the places of those of these samples that are here, in the order of rank, (Q,)."""
        wanted = np.unique(sample_ids)
        found = [np.empty(0, np.int64)]
        for part in np.flatnonzero(_any_within(wanted, *self._sample_bounds)).tolist():
            columns = self._read(self._by_sample, part, ["sample_id", "place"])
            found.append(columns["place"][np.isin(columns["sample_id"], wanted, assume_unique=True)].astype(np.int64))
        return np.sort(np.concatenate(found))

    def take(self, places: IntArray) -> list[NewFinding]:
        """Return the findings at these places, ascending."""
        found: list[NewFinding] = []
        part_of = np.searchsorted(self._starts, places, side="right") - 1
        for part in np.unique(part_of).tolist():
            inside = places[part_of == part] - self._starts[part]
            with self._lock, self._read_errors():
                table = self._file.read_row_group(part)
            found += [self._finding(one) for one in table.take(inside).to_pylist()]
        return found

    def _finding(self, stored: Mapping[str, Any]) -> NewFinding:
        top = [list(pair) for pair in zip(stored["top_labels"], stored["top_shares"], strict=True)]
        optional: dict[str, Any] = {
            name: None if stored[name] == _NONE else stored[name] for name in ("similarity_rank", "contradicting")
        }
        same = ("sample_id", "row", "rank", "confidence", "self_confidence", "margin", "fold")
        return NewFinding(
            **{name: stored[name] for name in same},
            **optional,
            kind=FindingKind.AGREEING,
            given=stored["label"],
            pseudo=stored["label"],
            split=self.splits[stored["split"]],
            top=top,
        )

    def _read(self, file: Any, part: int, names: Sequence[str]) -> Columns:  # noqa: ANN401  # pyarrow has no types
        with self._lock, self._read_errors():
            table = file.read_row_group(part, columns=list(names))
        return {name: table.column(name).to_numpy() for name in names}

    @contextmanager
    def _read_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, _arrow().ArrowException) as error:
            raise StorageError(f"{self._name}: it is damaged", _CURE) from error


def _bounds(file: Any, name: str) -> tuple[FloatArray, FloatArray]:  # noqa: ANN401
    """Return the least and the largest value of a column in each part; all values where none are stored."""
    metadata = file.metadata
    place = file.schema_arrow.get_field_index(name)
    found = [metadata.row_group(part).column(place).statistics for part in range(metadata.num_row_groups)]
    known = [(one.min, one.max) if one is not None and one.has_min_max else (-np.inf, np.inf) for one in found]
    low, high = np.array(known, dtype=np.float64).reshape(-1, 2).T
    return low, high


def _any_within(wanted: IntArray, low: FloatArray, high: FloatArray) -> NDArray[np.bool_]:
    """Return for each part whether any of these values, ascending, lies between its bounds."""
    return np.searchsorted(wanted, low, side="left") < np.searchsorted(wanted, high, side="right")


class AgreeingFiles:
    """The files of a database's rounds, the last used kept open, and the ranks of findings that have a row by now."""

    def __init__(self) -> None:
        """Know no folder yet: `folder_of` is set by who opens the installation.

        Where homes share files, `folder_of` fetches what is missing and `own_folder_of` does not.
        """
        self.folder_of: Callable[[int], Path] | None = None
        self.own_folder_of: Callable[[int], Path] | None = None
        self.made: dict[tuple[int, int], tuple[IntArray, IntArray]] = {}  # by round and block: row ids and ranks
        self._open: OrderedDict[tuple[int, int], AgreeingFile] = OrderedDict()
        self._lock = Lock()

    def open(self, round_id: int, first_id: int, count: int, *, fetch: bool = True) -> AgreeingFile:
        """Return the file of a round with `count` findings in it.

        Raises:
            StorageError: it cannot be read, or the folder of the round is not known here.
            FindingsAwayError: it is not in this home, and must not be fetched now.
        """
        key = (round_id, first_id)
        with self._lock:
            known = self._open.get(key)
            if known is not None:
                self._open.move_to_end(key)
                return known
        made = AgreeingFile(self._folder(round_id, first_id, count, fetch=fetch), first_id, count)
        with self._lock:
            self._open[key] = made
            while len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        return made

    def _folder(self, round_id: int, first_id: int, count: int, *, fetch: bool) -> Path:
        if self.folder_of is None:
            raise StorageError(f"round {round_id}: this program does not know its files", "open the installation")
        if fetch or self.own_folder_of is None:
            return self.folder_of(round_id)
        own = self.own_folder_of(round_id)
        if all(path.exists() for path in (file_of(own, first_id), _samples_file_of(own, first_id))):
            return own
        raise FindingsAwayError.of(round_id, first_id, count)


def count_cells(columns: Sequence[IntArray], length: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield each combination of values that there is with its number, of columns of one length."""
    low = [int(column.min()) for column in columns]
    cell = np.zeros(length, np.int64)
    spans = [int(column.max()) - least + 1 for column, least in zip(columns, low, strict=True)]
    for column, least, span in zip(columns, low, spans, strict=True):
        cell = cell * span + (column - least)
    found, sizes = np.unique(cell, return_counts=True)
    for number, size in zip(found.tolist(), sizes.tolist(), strict=True):
        values: list[int] = []
        for least, span in zip(reversed(low), reversed(spans), strict=True):
            number, place = divmod(number, span)  # noqa: PLW2901  # the places before it
            values.insert(0, place + least)
        yield tuple(values), size
