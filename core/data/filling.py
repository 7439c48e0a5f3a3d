"""Arrays made from many files, one row each, by all cores: memory-mapped, so memory stays flat however many there are.

Each process writes its rows straight into the file, which appears whole or not at all. Two processes that want the
same array wait for one another. Rows that an earlier array of the same kind has are copied (`core.data.keeping`).
"""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from core.data.keeping import find_earlier, kept_path, lock_of, note_rows, opened
from core.data.locks import alone
from core.data.storage import atomic_path
from core.types import DatasetError, RoundCancelledError, RoundError

_ALONE = 400  # up to so many files are read faster than other processes start
_CHUNK = 64  # files between two looks at progress
_POLL_SECONDS = 0.1
_SHOWN = 3
_DONE = b"."
_ROOT = Path(__file__).resolve().parents[2]

Rows = NDArray[Any]
Settings = dict[str, Any]  # JSON values
Read = Callable[[list[Any], Rows, Settings], None]  # source (its first entry a path), the row to fill, settings


class Plan(NamedTuple):
    """What an array is made of: a source for each row (JSON values, first the path), read by a module's function.

    The module, run by itself, hands the same function to `work`.
    """

    sources: list[list[Any]]
    keys: list[str]  # of the rows: the same key in an array of the same kind, the same row
    kind: str
    shape: tuple[int, ...]  # of one row
    dtype: DTypeLike
    module: str
    read: Read
    settings: Settings


class Job(NamedTuple):
    """What one process reads: these rows of this file."""

    target: str
    rows: list[int]
    sources: list[list[Any]]
    settings: Settings


def kept(cache: Path, plan: Plan, *, report: Callable[[int, int], None], should_stop: Callable[[], bool]) -> Rows:
    """Return the array as a read-only memory map, (N, *shape), made first where `cache` does not have it.

    `report` is told (done, of).

    Raises:
        RoundError: a file can no longer be read; says which ones.
        RoundCancelledError: `should_stop` said so.
    """
    path = kept_path(cache, plan.keys, plan.kind)
    cache.mkdir(parents=True, exist_ok=True)
    while (array := opened(path)) is None:
        with alone(lock_of(path), should_stop):
            if not path.exists():
                _make(path, plan, report, should_stop)
    return array


def work(read: Read) -> None:
    """Do the job that stands on standard input; see `_in_processes`."""
    job = Job(*json.loads(sys.stdin.buffer.read()))
    problems = _do(job, read, lambda: _say(_DONE))
    _say(json.dumps(problems).encode())


def _make(path: Path, plan: Plan, report: Callable[[int, int], None], should_stop: Callable[[], bool]) -> None:
    count, cores = len(plan.sources), len(os.sched_getaffinity(0))
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
        jobs = [
            Job(str(partial.resolve()), part.tolist(), [plan.sources[row] for row in part], plan.settings)
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


def _in_processes(
    module: str,
    jobs: list[Job],
    done_of: tuple[int, int],
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> list[str]:
    """Run one process per job; they end by themselves, so none outlives a killed parent for long.

    Plain interpreters that load the plan's module alone: `multiprocessing` would load the parent's, torch included.
    """
    command = [sys.executable, "-m", module]
    processes = [subprocess.Popen(command, cwd=_ROOT, stdin=PIPE, stdout=PIPE) for _ in jobs]  # noqa: S603 our own
    try:
        for process, job in zip(processes, jobs, strict=True):
            _streams(process)[0].write(json.dumps(job).encode())
            _streams(process)[0].close()
        said = _listened(processes, done_of, report, should_stop)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for stream in _streams(process):
                stream.close()
    if any(not text.endswith(b"]") for text in said):
        raise RoundError("a process that reads images was ended from outside, perhaps for want of memory; start again")
    return [problem for text in said for problem in json.loads(text.lstrip(_DONE))]


def _listened(
    processes: list["subprocess.Popen[bytes]"],
    done_of: tuple[int, int],
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> list[bytes]:
    """Return all that the processes say: a dot for each chunk done, at last their problems as JSON."""
    said = [b"" for _ in processes]
    before, count = done_of
    with selectors.DefaultSelector() as selector:
        for index, process in enumerate(processes):
            selector.register(_streams(process)[1], selectors.EVENT_READ, index)
        while selector.get_map():
            if should_stop():
                raise RoundCancelledError("stopped while reading images")
            for key, _ in selector.select(timeout=_POLL_SECONDS):
                text = os.read(key.fd, 1 << 16)
                said[key.data] += text
                if not text:
                    selector.unregister(key.fileobj)
            report(min(before + _CHUNK * sum(text.count(_DONE) for text in said), count), count)
    return said


def _streams(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process was started without pipes")
    return process.stdin, process.stdout


def _do(job: Job, read: Read, chunk_done: Callable[[], None] = lambda: None) -> list[str]:
    """Write the job's rows; return what is wrong with those that cannot be read."""
    array = np.load(job.target, mmap_mode="r+", allow_pickle=False)
    problems: list[str] = []
    for count, (row, source) in enumerate(zip(job.rows, job.sources, strict=True), start=1):
        try:
            read(source, array[row], job.settings)
        except DatasetError as error:
            problems.append(f"{source[0]} ({error})")
        if count % _CHUNK == 0:
            chunk_done()
    array.flush()
    return problems


def _say(text: bytes) -> None:
    """Write all of it now: a dot is to be seen at once, and this process has nothing else to say."""
    while text:
        text = text[os.write(1, text) :]
