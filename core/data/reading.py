"""Read the facts of many images on all cores, in order, with flat memory.

Each core gets a child that only knows this module (`python -m core.data.reading`): it starts in a fraction of a
second however large the program is that asks, and ends with it, however that ends, because its input ends. Work goes
out in chunks, a few are on their way at any time. A file that kills its child (a decoder that crashes on foreign
bytes) costs that file only: its chunk is read again one by one.
"""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from core.data.images import ImageError, read_facts
from core.types import ImageFacts

Found = ImageFacts | ImageError
_CHUNK = 64  # images; small enough that stopping is quick with large ones
_WAITING_PER_CHILD = 3  # chunks whose answers wait for their turn
_DEAD = (EOFError, BrokenPipeError)  # how a child's end shows
_values = attrgetter(*(item.name for item in fields(ImageFacts)))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_many(paths: Iterable[str], max_pixels: int, processes: int = 0) -> Iterator[Found]:
    """Yield the facts of each path, or why it has none, in the order of `paths`; 0 processes: one a core."""
    chunks = _chunked(paths)
    first = next(chunks, [])
    if len(first) < _CHUNK:  # a child costs more than it brings
        yield from (read_one(path, max_pixels) for path in first)
        return
    readers = _Readers(max_pixels, processes or cores())
    try:
        yield from readers.read(chain([first], chunks))
    finally:
        readers.close()


def read_one(path: str, max_pixels: int) -> Found:
    """Return the facts of one path, or why it has none."""
    try:
        return read_facts(Path(path), max_pixels)
    except ImageError as error:
        return error


class _Readers:
    """As many children as there are cores, a thread waiting for each."""

    def __init__(self, max_pixels: int, processes: int) -> None:
        self.max_pixels = max_pixels
        self.processes = processes
        self.closed = False
        self.idle: SimpleQueue[_Child] = SimpleQueue()
        self.children = [_Child(max_pixels) for _ in range(processes)]
        for child in self.children:
            self.idle.put(child)
        self.threads = ThreadPoolExecutor(processes, thread_name_prefix="reading")

    def read(self, chunks: Iterable[list[str]]) -> Iterator[Found]:
        """Yield what the chunks hold, in order."""
        waiting: deque[Future[list[Found]]] = deque()
        for chunk in chunks:
            waiting.append(self.threads.submit(self._ask, chunk))
            if len(waiting) > _WAITING_PER_CHILD * self.processes:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

    def close(self) -> None:
        """End the children at once, whatever they are doing."""
        self.closed = True
        for child in self.children:
            child.end()
        self.threads.shutdown(wait=True, cancel_futures=True)
        for child in self.children:  # one may have been restarted meanwhile
            child.end()
            child.forget()

    def _ask(self, chunk: list[str]) -> list[Found]:
        child = self.idle.get()
        try:
            return child.read(chunk)
        except _DEAD:
            if self.closed:
                return []
            child.restart()
            return [self._ask_alone(child, path) for path in chunk if not self.closed]
        finally:
            self.idle.put(child)

    def _ask_alone(self, child: "_Child", path: str) -> Found:
        try:
            return child.read([path])[0]
        except _DEAD:
            child.restart()
            return ImageError("corrupt image", "it crashes the decoder", "copy it again from its source, or remove it")


class _Child:
    """One process that reads chunks of paths."""

    def __init__(self, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self.process = self._start()

    def read(self, paths: list[str]) -> list[Found]:
        """Return what the child says of these paths.

        Raises:
            EOFError: it died over them.
            BrokenPipeError: it was dead already.
        """
        print(json.dumps(paths), file=self._input, flush=True)
        answer = self._output.readline()
        if not answer.endswith("\n"):
            raise EOFError
        return [ImageFacts(*values) if good else ImageError(*values) for good, values in json.loads(answer)]

    def restart(self) -> None:
        """Start another process in its place."""
        self.end()
        self.forget()
        self.process = self._start()

    def end(self) -> None:
        """Kill the process; whoever waits for its answer is told by its end."""
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """Close the pipes of an ended process."""
        self._output.close()
        with suppress(BrokenPipeError):  # of what it did not take any more
            self._input.close()

    @property
    def _input(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def _output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def _start(self) -> "subprocess.Popen[str]":
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        return subprocess.Popen(  # noqa: S603 our own module, a number
            [sys.executable, "-P", "-m", "core.data.reading", str(self.max_pixels)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders grumble about foreign bytes; what matters comes back as an error
            text=True,
            encoding="ascii",
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the one who asked
        )


def _chunked(paths: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(paths)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _serve(max_pixels: int) -> None:
    """Answer chunks of paths, line by line, until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a decoder prints must not mix with the answers
    for line in sys.stdin:
        found = [read_one(path, max_pixels) for path in json.loads(line)]
        told = [
            (False, (item.kind, str(item), item.cure)) if isinstance(item, ImageError) else (True, _values(item))
            for item in found
        ]
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
