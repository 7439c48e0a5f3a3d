"""Cache of large arrays with one row per file or text: memory-mapped, built by all cores, extended and pruned.

An array `{list}-{kind}.npy` is named by its rows' keys. `{list}-{kind}.rows` beside it holds a digest of each row's key
(16 bytes), so that a list that grew or shrank copies most of its rows from the array it had before. Users of an array
share its lock; a process that makes or removes it holds the lock alone. The file's time is that of its last use.

`FillPlan` describes an array to build from files: each child process writes its rows straight into the file, so memory
stays flat. The file appears whole or not at all, and two processes that want the same array wait for one another.
"""

import json
import math
import os
import selectors
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from subprocess import PIPE
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from core.data.storage import PARTIAL, RESERVE, atomic_path, exclusive_lock, size_text, try_lock, write_atomically
from core.types import DatasetError, IntArray, RoundCancelledError, RoundError, StorageAwayError

_ALONE = 400  # this number of files is read faster than other processes start
_CHUNK = 64  # files between two reports of progress
_POLL_SECONDS = 0.1
_SHOWN = 3
_DONE = b"."
_ROOT = Path(__file__).resolve().parents[2]

Rows = NDArray[Any]
Settings = dict[str, Any]  # JSON values
Read = Callable[[list[Any], Rows, Settings], None]  # source (its first entry a path), the row to fill, settings


_DIGEST = 16  # bytes
_LOOKED_AT = 8  # arrays of one kind, those used last
_COPIED = 32 << 20  # bytes at once


class FillPlan(NamedTuple):
    """Description of an array to build: a source for each row (JSON values, first the path), and their reader.

    The module, run as a script, passes the same function to `run_child`.
    """

    sources: list[list[Any]]
    keys: Sequence[str]  # of the rows: equal keys in arrays of one kind have equal rows
    kind: str
    shape: tuple[int, ...]  # of one row
    dtype: DTypeLike
    module: str
    read: Read
    settings: Settings


FillChunk = tuple[str, list[int], list[list[Any]], Settings]
"""Array, rows of it that one process fills, their sources, and settings of the reader."""


def load_or_build(
    cache: Path, plan: FillPlan, *, report: Callable[[int, int], None], should_stop: Callable[[], bool]
) -> Rows:
    """Return the array as a read-only memory map, (N, *shape), built first if `cache` does not have it.

    `report` is called with (done, total). An array larger than the cache's budget lasts until the next `prune`.

    Raises:
        RoundError: files can no longer be read; the message names them. Or the disk has no room for the array.
        RoundCancelledError: `should_stop` returned true.
    """
    path = array_path(cache, plan.keys, plan.kind)
    cache.mkdir(parents=True, exist_ok=True)
    while (array := open_array(path)) is None:
        with building(path, should_stop) as is_wanted:
            if is_wanted:
                _make(path, plan, report, should_stop)
    return array


@contextmanager
def building(path: Path, should_stop: Callable[[], bool]) -> Iterator[bool]:
    """Hold an array's lock and yield True, to build it; False once another process has built it.

    That process then uses the array and shares its lock, perhaps for hours, so a process that waits for the lock
    also checks for the array.

    Raises:
        RoundCancelledError: `should_stop` returned true.
    """
    with exclusive_lock(lock_path(path), should_stop, needless=path.exists) as is_held:
        yield is_held and not path.exists()


def run_child(read: Read) -> None:
    """Fill the chunk given on standard input; the main of a child process, see `_in_processes`."""
    target, rows, sources, settings = json.loads(sys.stdin.buffer.read())
    try:
        problems: list[Any] = _do((target, rows, sources, settings), read, lambda: _send(_DONE))
    except StorageAwayError as error:
        problems = [[error.message, error.cure]]
    _send(json.dumps(problems).encode())


def _make(path: Path, plan: FillPlan, report: Callable[[int, int], None], should_stop: Callable[[], bool]) -> None:
    count, cores = len(plan.sources), len(os.sched_getaffinity(0))
    _make_room(path.parent, count * math.prod(plan.shape) * np.dtype(plan.dtype).itemsize)
    with atomic_path(path, durable=False) as partial:
        array = np.lib.format.open_memmap(partial, mode="w+", dtype=plan.dtype, shape=(count, *plan.shape))
        earlier = find_earlier(
            path, plan.keys, lambda other: other.shape[1:] == plan.shape and other.dtype == array.dtype
        )
        missing = np.arange(count) if earlier is None else earlier.missing
        if earlier is not None:
            earlier.copy_to(array)
        array.flush()
        parts = np.array_split(missing, 1 if len(missing) <= _ALONE else cores)
        jobs: list[FillChunk] = [
            (str(partial.resolve()), part.tolist(), [plan.sources[row] for row in part], plan.settings)
            for part in parts
        ]
        if len(jobs) > 1:
            failed = _in_processes(plan.module, jobs, (count - len(missing), count), report, should_stop)
        else:
            failed = _do(jobs[0], plan.read)
        if failed:
            raise RoundError(
                f"{len(failed)} images can no longer be read: {'; '.join(failed[:_SHOWN])}"
                f"{' ...' if len(failed) > _SHOWN else ''}. Put them back, or import the dataset again so that "
                "they are known to be gone"
            )
        note_rows(path, plan.keys)
    report(count, count)


def _make_room(cache: Path, needed: int) -> None:
    """Remove arrays not in use, those used longest ago first, until the disk has room for one of `needed` bytes.

    Raises:
        RoundError: it has not even then. A file that is mapped while the disk fills up would kill its process.
    """
    missing = needed + RESERVE - shutil.disk_usage(cache).free
    kept = sum(path.stat().st_size for path in cache.glob("*.npy"))
    if 0 < missing <= kept:
        prune(cache, kept - missing)
    free = shutil.disk_usage(cache).free
    if needed + RESERVE > free:
        raise RoundError(
            f"the decoded images of this round take {size_text(needed)}; {cache} has {size_text(free)} left, of which "
            f"{size_text(RESERVE)} stay free",
            "choose a smaller input size, or keep Outfold's home on a larger disk",
        )


def _in_processes(
    module: str,
    jobs: list[FillChunk],
    done_of: tuple[int, int],
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> list[str]:
    """Run one process per job and return their problems; they end by themselves soon after a killed parent.

    Plain interpreters load the plan's module only; `multiprocessing` would load the parent's modules, torch included.
    """
    command = [sys.executable, "-m", module]
    processes = [subprocess.Popen(command, cwd=_ROOT, stdin=PIPE, stdout=PIPE) for _ in jobs]  # noqa: S603 our own
    try:
        for process, job in zip(processes, jobs, strict=True):
            _streams(process)[0].write(json.dumps(job).encode())
            _streams(process)[0].close()
        outputs = _listen(processes, done_of, report, should_stop)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for stream in _streams(process):
                stream.close()
    if any(not text.endswith(b"]") for text in outputs):
        raise RoundError(
            "a process that reads images was ended from outside, perhaps for want of memory", "start again"
        )
    problems = [problem for text in outputs for problem in json.loads(text.lstrip(_DONE))]
    if (away := next((problem for problem in problems if isinstance(problem, list)), None)) is not None:
        raise StorageAwayError(*away)
    return problems


def _listen(
    processes: list["subprocess.Popen[bytes]"],
    done_of: tuple[int, int],
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> list[bytes]:
    """Return the output of the processes: a dot for each chunk done, then their problems as JSON."""
    outputs = [b"" for _ in processes]
    before, count = done_of
    with selectors.DefaultSelector() as selector:
        for index, process in enumerate(processes):
            selector.register(_streams(process)[1], selectors.EVENT_READ, index)
        while selector.get_map():
            if should_stop():
                raise RoundCancelledError("stopped while reading images")
            for key, _ in selector.select(timeout=_POLL_SECONDS):
                text = os.read(key.fd, 1 << 16)
                outputs[key.data] += text
                if not text:
                    selector.unregister(key.fileobj)
            report(min(before + _CHUNK * sum(text.count(_DONE) for text in outputs), count), count)
    return outputs


def _streams(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process was started without pipes")
    return process.stdin, process.stdout


def _do(job: FillChunk, read: Read, chunk_done: Callable[[], None] = lambda: None) -> list[str]:
    """Write the job's rows; return the problems of those that cannot be read."""
    target, rows, sources, settings = job
    array = np.load(target, mmap_mode="r+", allow_pickle=False)
    problems: list[str] = []
    for count, (row, source) in enumerate(zip(rows, sources, strict=True), start=1):
        try:
            read(source, array[row], settings)
        except DatasetError as error:
            problems.append(f"{source[0]} ({error})")
        if count % _CHUNK == 0:
            chunk_done()
    array.flush()
    return problems


def _send(text: bytes) -> None:
    """Write everything at once, so that the parent sees each dot immediately."""
    while text:
        text = text[os.write(1, text) :]


def array_path(folder: Path, keys: Sequence[str], kind: str) -> Path:
    """Return the path of the array with these row keys."""
    return path_of_list(folder, name_of_list([keys]), kind)


def path_of_list(folder: Path, name: str, kind: str) -> Path:
    """Return the path of the array whose list of row keys has this name."""
    return folder / f"{name}-{kind}.npy"


def name_of_list(parts: Iterable[Sequence[str]]) -> str:
    """Return the name of a list of row keys, which come in parts, none of them empty."""
    digest = blake2b(digest_size=12)
    for number, part in enumerate(parts):
        digest.update(f"{chr(10) if number else ''}{chr(10).join(part)}".encode())
    return digest.hexdigest()


def names_of_length(folder: Path, rows: int) -> list[str]:
    """Return the names of the arrays with so many rows."""
    found = []
    for path in sorted(folder.glob("*.npy")):
        with suppress(FileNotFoundError), path.open("rb") as file:  # unless it is removed meanwhile
            npy.read_magic(file)
            shape, *_ = npy.read_array_header_1_0(file)
            found += [path.name] if shape[:1] == (rows,) else []
    return found


def lock_path(path: Path) -> Path:
    """Return the path of an array's lock."""
    return path.with_suffix(".lock")


def open_array(path: Path) -> Rows | None:
    """Return the array as a read-only memory map, in use as long as it lives; None if it is missing or being built."""
    array = _map_file(path)
    if array is not None:
        os.utime(path)
    return array


def note_rows(path: Path, keys: Sequence[str]) -> None:
    """Write the digest of each row's key beside the array."""
    write_atomically(_rows_file(path), b"".join(map(_digest, keys)), durable=False)


class EarlierArray(NamedTuple):
    """An existing array that holds some of the wanted rows."""

    array: Rows
    rows: IntArray  # row of `array` for each wanted row, -1 if missing

    @property
    def missing(self) -> IntArray:
        """Return the wanted rows that it does not have."""
        return np.flatnonzero(self.rows < 0)

    def copy_to(self, array: Rows) -> None:
        """Copy its rows into the wanted array."""
        to = np.flatnonzero(self.rows >= 0)
        step = max(1, _COPIED // max(1, array[:1].nbytes))
        for start in range(0, len(to), step):
            part = to[start : start + step]
            array[part] = self.array[self.rows[part]]


def find_earlier(path: Path, keys: Sequence[str], fits: Callable[[Rows], bool]) -> EarlierArray | None:
    """Return the array of the same kind as `path` that holds most of these rows, None if none has any."""
    best, most = None, 0
    wanted = [_digest(key) for key in keys]
    for other in _of_same_kind(path):
        array = _map_file(other)
        if array is None or not fits(array):
            continue
        known = _known_rows(other, wanted)
        rows = np.array([known.get(digest, -1) for digest in wanted])
        if (count := int(np.count_nonzero(rows >= 0))) > most:
            best, most = EarlierArray(array, rows), count
    return best


def prune(folder: Path, budget_bytes: int) -> int:
    """Remove the arrays used longest ago until the rest fits the budget; return the bytes freed.

    Arrays in use are kept. Unfinished files of killed processes are always removed.
    """
    for left in folder.glob(f".*{PARTIAL}"):
        _remove(folder / left.name[1:].rsplit(".", 2)[0], [left])
    arrays = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in folder.glob("*.npy"))
    total = before = sum(size for _, size, _ in arrays)
    for _, size, path in arrays:
        if total > budget_bytes and _remove(path, [path, _rows_file(path)]):
            total -= size
    return before - total


def _remove(path: Path, files: list[Path]) -> bool:
    """Remove the files of an array; return False if it is in use."""
    handle = try_lock(lock_path(path))
    if handle is None:
        return False
    for file in files:
        file.unlink(missing_ok=True)
    lock_path(path).unlink(missing_ok=True)
    os.close(handle)
    return True


def _map_file(path: Path) -> Rows | None:
    if not path.exists():
        return None
    handle = try_lock(lock_path(path), shared=True)
    if handle is None:
        return None
    try:
        array: Rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:  # removed in between
        os.close(handle)
        return None
    weakref.finalize(array.base, os.close, handle)  # the map itself, which every view of the array keeps alive
    return array


def _rows_file(path: Path) -> Path:
    return path.with_suffix(".rows")


def _digest(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=_DIGEST).digest()


def _of_same_kind(path: Path) -> list[Path]:
    """Return other arrays of the same kind with known rows, last used first."""
    kind = path.name.partition("-")[2]
    found = [other for other in path.parent.glob(f"*-{kind}") if other.name.partition("-")[2] == kind]
    return sorted(filter(_has_rows, found), key=_used_at, reverse=True)[:_LOOKED_AT]


def _has_rows(path: Path) -> bool:
    return _rows_file(path).exists()


def _used_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # pruned meanwhile
        return 0


def _known_rows(path: Path, wanted: Sequence[bytes]) -> dict[bytes, int]:
    """Return the rows of an array by their digests: all that are wanted, and hardly any other."""
    try:
        data = _rows_file(path).read_bytes()
    except FileNotFoundError:
        return {}
    begun, asked = (np.frombuffer(digests, np.uint64)[::2] for digests in (data, b"".join(wanted)))
    rows = np.flatnonzero(
        np.isin(begun, asked)
    ).tolist()  # a dictionary of all rows would take a gigabyte for 10 million
    return {data[row * _DIGEST : (row + 1) * _DIGEST]: row for row in rows}
