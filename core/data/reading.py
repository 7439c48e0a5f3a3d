"""Read the facts of many images on all cores, in order, with flat memory.

Work goes out in chunks and at most a few chunks are on their way at any time. A file that kills its process (a
decoder that crashes on foreign bytes) costs that file only: its chunk is read again one by one. Children never
outlive their parent, however it ends.
"""

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import get_context, parent_process
from pathlib import Path

from core.data.images import ImageError, read_facts
from core.types import ImageFacts

Found = ImageFacts | ImageError
_CHUNK = 64  # images; small enough that stopping is quick with large ones


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_many(paths: Iterable[str], max_pixels: int, processes: int = 0) -> Iterator[Found]:
    """Yield the facts of each path, or why it has none, in the order of `paths`; 0 processes: one a core."""
    chunks = _chunked(paths)
    first = next(chunks, [])
    if len(first) < _CHUNK:  # a pool costs more than it brings
        yield from read_chunk(first, max_pixels)
        return
    reader = _Reader(max_pixels, processes or cores())
    try:
        yield from reader.read(chain([first], chunks))
    finally:
        reader.close()


def read_chunk(paths: list[str], max_pixels: int) -> list[Found]:
    """Return the facts of each path, or why it has none."""
    return [_read(path, max_pixels) for path in paths]


class _Reader:
    """A pool that survives the death of its processes."""

    def __init__(self, max_pixels: int, processes: int) -> None:
        self.max_pixels = max_pixels
        self.processes = processes
        self.pool = _pool(processes)
        self.waiting: deque[tuple[list[str], Future[list[Found]]]] = deque()

    def read(self, chunks: Iterable[list[str]]) -> Iterator[Found]:
        for chunk in chunks:
            self._submit(chunk)
            if len(self.waiting) > 3 * self.processes:
                yield from self._next()
        while self.waiting:
            yield from self._next()

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, chunk: list[str]) -> None:
        try:
            self.waiting.append((chunk, self.pool.submit(read_chunk, chunk, self.max_pixels)))
        except BrokenProcessPool as error:
            broken: Future[list[Found]] = Future()
            broken.set_exception(error)
            self.waiting.append((chunk, broken))

    def _next(self) -> Iterable[Found]:
        chunk, future = self.waiting.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            self.close()
            self.pool = _pool(self.processes)
            again, self.waiting = self.waiting, deque()
            for later, _ in again:
                self._submit(later)
            return _read_alone(chunk, self.max_pixels)


def _read_alone(paths: list[str], max_pixels: int) -> Iterator[Found]:
    """Read one by one, so that only what kills its process is lost."""
    pool = _pool(1)
    for path in paths:
        try:
            yield pool.submit(_read, path, max_pixels).result()
        except BrokenProcessPool:
            pool.shutdown(wait=False)
            pool = _pool(1)
            yield ImageError("corrupt image", "it crashes the decoder", "copy it again from its source, or remove it")
    pool.shutdown(wait=False)


def _read(path: str, max_pixels: int) -> Found:
    try:
        return read_facts(Path(path), max_pixels)
    except ImageError as error:
        return error


def _chunked(paths: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(paths)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _pool(processes: int) -> ProcessPoolExecutor:
    # spawn: the worker that imports has threads, and forking a process with threads can deadlock
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_die_with_parent)


def _die_with_parent() -> None:
    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(3)

    threading.Thread(target=watch, daemon=True).start()
