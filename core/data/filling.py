"""Arrays made from many files, one row each, by all cores: memory-mapped, so memory stays flat however many there are.

Each process writes its rows straight into the file, which appears whole or not at all. Two processes that want the
same array wait for one another.
"""

import fcntl
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

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
    shape: tuple[int, ...]  # of one row
    dtype: DTypeLike
    module: str
    read: Read
    settings: Settings


class Job(NamedTuple):
    """What one process reads: these rows of this file."""

    target: str
    first: int  # row
    sources: list[list[Any]]
    settings: Settings


def kept(path: Path, plan: Plan, *, report: Callable[[int, int], None], should_stop: Callable[[], bool]) -> Rows:
    """Return the array at `path` as a read-only memory map, (N, *shape), made first where it is missing.

    `report` is told (done, of).

    Raises:
        RoundError: a file can no longer be read; says which ones.
        RoundCancelledError: `should_stop` said so.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path.with_suffix(".lock"), should_stop):
            if not path.exists():
                _make(path, plan, report, should_stop)
    array: Rows = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def work(read: Read) -> None:
    """Do the job that stands on standard input; see `_in_processes`."""
    job = Job(*json.loads(sys.stdin.buffer.read()))
    problems = _do(job, read, lambda: _say(_DONE))
    _say(json.dumps(problems).encode())


def _make(path: Path, plan: Plan, report: Callable[[int, int], None], should_stop: Callable[[], bool]) -> None:
    count, cores = len(plan.sources), len(os.sched_getaffinity(0))
    with atomic_path(path, durable=False) as partial:
        np.lib.format.open_memmap(partial, mode="w+", dtype=plan.dtype, shape=(count, *plan.shape)).flush()
        edges = np.linspace(0, count, (1 if count <= _ALONE else cores) + 1, dtype=int)
        jobs = [
            Job(str(partial.resolve()), low, plan.sources[low:high], plan.settings)
            for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        ]
        if len(jobs) > 1:
            failed = _in_processes(plan.module, jobs, count, report, should_stop)
        else:
            failed = _do(jobs[0], plan.read)
        if failed:
            raise RoundError(
                f"{len(failed)} images can no longer be read: {'; '.join(failed[:_SHOWN])}"
                f"{' ...' if len(failed) > _SHOWN else ''}. Put them back, or import the dataset again so that "
                "they are known to be gone"
            )
    report(count, count)


def _in_processes(
    module: str, jobs: list[Job], count: int, report: Callable[[int, int], None], should_stop: Callable[[], bool]
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
        said = _listened(processes, count, report, should_stop)
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
    count: int,
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> list[bytes]:
    """Return all that the processes say: a dot for each chunk done, at last their problems as JSON."""
    said = [b"" for _ in processes]
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
            report(min(_CHUNK * sum(text.count(_DONE) for text in said), count), count)
    return said


def _streams(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process was started without pipes")
    return process.stdin, process.stdout


def _do(job: Job, read: Read, chunk_done: Callable[[], None] = lambda: None) -> list[str]:
    """Write the job's rows; return what is wrong with those that cannot be read."""
    array = np.load(job.target, mmap_mode="r+", allow_pickle=False)
    problems: list[str] = []
    for index, source in enumerate(job.sources):
        try:
            read(source, array[job.first + index], job.settings)
        except DatasetError as error:
            problems.append(f"{source[0]} ({error})")
        if (index + 1) % _CHUNK == 0:
            chunk_done()
    array.flush()
    return problems


@contextmanager
def alone(lock: Path, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock file; whoever wants it too waits, and stops waiting when told to."""
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if should_stop():
                    raise RoundCancelledError("stopped while another process reads the images") from None
                time.sleep(_POLL_SECONDS)
        yield


def _say(text: bytes) -> None:
    """Write all of it now: a dot is to be seen at once, and this process has nothing else to say."""
    while text:
        text = text[os.write(1, text) :]
