"""Every image decoded once: one memory-mapped uint8 array (N, size, size, C) per list of images, size and C in {1, 3}.

An image keeps its proportions: its longer side becomes `size`, the shorter one is filled up on both sides with the
image's own edge. All cores decode, each writing its rows straight into the file, so memory stays flat whatever N is;
the file appears whole or not at all. Two processes that want the same array wait for one another.
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
from hashlib import blake2b
from pathlib import Path
from subprocess import PIPE
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from core.data.images import load_image
from core.data.storage import atomic_path
from core.types import ByteArray, DatasetError, RoundCancelledError, RoundError

_ALONE = 400  # up to so many images are decoded faster than other processes start
_CHUNK = 64  # images between two looks at progress
_POLL_SECONDS = 0.1
_SHOWN = 3
_DONE = b"."
_ROOT = Path(__file__).resolve().parents[2]


class Job(NamedTuple):
    """What one process decodes: these rows of this file."""

    target: str
    first: int  # row
    paths: list[str]
    size: int
    grey: bool


def decoded(
    paths: list[str],
    content_hashes: list[str],
    *,
    size: int,
    grey: bool,
    cache: Path,
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> ByteArray:
    """Return the images as a read-only memory map, (N, size, size, C); `report` is told (done, of).

    Raises:
        RoundError: an image can no longer be decoded; says which ones.
        RoundCancelledError: `should_stop` said so.
    """
    path = cache / f"{_key(content_hashes)}-{size}-{'grey' if grey else 'rgb'}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with alone(path.with_suffix(".lock"), should_stop):
            if not path.exists():
                _decode_all(path, paths, size, grey=grey, report=report, should_stop=should_stop)
    array: ByteArray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def fitted(pixels: ByteArray, size: int) -> ByteArray:
    """Return the image in a square, (size, size, C); `pixels` is (H, W) or (H, W, 3)."""
    height, width = pixels.shape[:2]
    if max(height, width) != size:
        scale = size / max(height, width)
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3))
    if height != width:
        above, left = (size - height) // 2, (size - width) // 2
        edges = ((above, size - height - above), (left, size - width - left))
        pixels = np.pad(pixels, (*edges, (0, 0))[: pixels.ndim], mode="edge")
    return pixels.reshape(size, size, -1)


def _key(content_hashes: list[str]) -> str:
    return blake2b("\n".join(content_hashes).encode(), digest_size=12).hexdigest()


def _decode_all(
    path: Path,
    paths: list[str],
    size: int,
    *,
    grey: bool,
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> None:
    count, cores = len(paths), len(os.sched_getaffinity(0))
    with atomic_path(path, durable=False) as partial:
        shape = (count, size, size, 1 if grey else 3)
        np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape).flush()
        edges = np.linspace(0, count, (1 if count <= _ALONE else cores) + 1, dtype=int)
        jobs = [
            Job(str(partial.resolve()), low, paths[low:high], size, grey)
            for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        ]
        failed = _in_processes(jobs, count, report, should_stop) if len(jobs) > 1 else _decode(jobs[0])
        if failed:
            raise RoundError(
                f"{len(failed)} images can no longer be read: {'; '.join(failed[:_SHOWN])}"
                f"{' ...' if len(failed) > _SHOWN else ''}. Put them back, or import the dataset again so that "
                "they are known to be gone"
            )
    report(count, count)


def _in_processes(
    jobs: list[Job], count: int, report: Callable[[int, int], None], should_stop: Callable[[], bool]
) -> list[str]:
    """Run one process per job; they end by themselves, so none outlives a killed parent for long.

    Plain interpreters that load this module alone: `multiprocessing` would load the parent's, torch included.
    """
    command = [sys.executable, "-m", __name__]
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


def _decode(job: Job, chunk_done: Callable[[], None] = lambda: None) -> list[str]:
    """Write the job's images; return what is wrong with those that cannot be read."""
    array = np.load(job.target, mmap_mode="r+", allow_pickle=False)
    problems: list[str] = []
    for index, path in enumerate(job.paths):
        try:
            array[job.first + index] = fitted(load_image(Path(path), grey=job.grey), job.size)
        except DatasetError as error:
            problems.append(f"{path} ({error})")
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


def _main() -> None:
    """Decode the job that stands on standard input; see `_in_processes`."""
    job = Job(*json.loads(sys.stdin.buffer.read()))
    problems = _decode(job, lambda: _say(_DONE))
    _say(json.dumps(problems).encode())


def _say(text: bytes) -> None:
    """Write all of it now: a dot is to be seen at once, and this process has nothing else to say."""
    while text:
        text = text[os.write(1, text) :]


if __name__ == "__main__":
    _main()
