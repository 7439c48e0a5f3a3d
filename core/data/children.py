"""Ask many questions of child interpreters, on all cores, answers in order, with flat memory.

Each core gets a child that loads one module only (`python -m ...`): it starts in a fraction of a second, however large
its parent is, and ends with it, because its input ends. Questions are sent in chunks, one line of JSON each, a few
chunks ahead. If a question kills its child (a decoder that crashes on foreign bytes), its chunk is asked again one by
one, so that only this question has no answer. A store of files that cannot be used ends the questions.
"""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, Generic, TypeVar

from core.types import StorageAwayError, StorageError

Question = TypeVar("Question")
Answer = TypeVar("Answer")
_WAITING_PER_CHILD = 3  # chunks asked ahead
_DEAD = (EOFError, BrokenPipeError)  # errors that show the end of a child


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class ChildSpec(Generic[Question, Answer]):
    """Work of children: module and arguments, reader of answers, and the answer to a question that kills a child.

    `take` reads the answers to one chunk from the child's output and raises EOFError if it ends too early.
    """

    module: str
    arguments: tuple[str, ...]
    take: Callable[[IO[bytes]], list[Answer]]
    deadly: Callable[[Question], Answer]


def ask_all(
    work: ChildSpec[Question, Answer], chunks: Iterable[list[Question]], processes: int = 0
) -> Iterator[Answer]:
    """Yield the answer to each question, in order; 0 processes: one a core."""
    children = _Children(work, processes or cores())
    try:
        yield from children.answers(chunks)
    finally:
        children.close()


def start(module: str, arguments: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    """Start an interpreter on one of our modules, with piped input and output."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    return subprocess.Popen(  # noqa: S603 our own module
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders print warnings about damaged files; errors come back as answers
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is handled by the parent
    )


def serve(answer: Callable[[list[Question], IO[bytes]], None]) -> None:
    """Answer chunk after chunk until the input ends; the main of a child process.

    `answer` writes the answers to a chunk once it has all of them: a list as a line of JSON, then other bytes.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of decoders must not mix with the answers
    for line in sys.stdin.buffer:
        try:
            answer(json.loads(line), answers)
        except StorageError as error:
            fault = {"away": isinstance(error, StorageAwayError), "text": (error.message, error.cure)}
            answers.write(json.dumps(fault).encode() + b"\n")
        answers.flush()


def first_line(answers: IO[bytes]) -> list[Any]:
    """Return the list that begins the answers to a chunk.

    Raises:
        EOFError: the child died.
        StorageError: the child could not use the store of the files.
    """
    line = answers.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    found: list[Any] | dict[str, Any] = json.loads(line)
    if isinstance(found, list):
        return found
    raise (StorageAwayError if found["away"] else StorageError)(*found["text"])


class _Children(Generic[Question, Answer]):
    """Pool of children, each with a thread that waits for it."""

    def __init__(self, work: ChildSpec[Question, Answer], processes: int) -> None:
        self.work = work
        self.processes = processes
        self.closed = False
        self.idle: SimpleQueue[_Child[Question, Answer]] = SimpleQueue()
        self.children = [_Child(work) for _ in range(processes)]
        for child in self.children:
            self.idle.put(child)
        self.threads = ThreadPoolExecutor(processes, thread_name_prefix="reading")

    def answers(self, chunks: Iterable[list[Question]]) -> Iterator[Answer]:
        """Yield the answers to the chunks' questions, in order."""
        waiting: deque[Future[list[Answer]]] = deque()
        for chunk in chunks:
            waiting.append(self.threads.submit(self._ask, chunk))
            if len(waiting) > _WAITING_PER_CHILD * self.processes:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

    def close(self) -> None:
        """Kill all children immediately."""
        self.closed = True
        for child in self.children:
            child.end()
        self.threads.shutdown(wait=True, cancel_futures=True)
        for child in self.children:  # one may have been restarted meanwhile
            child.end()
            child.forget()

    def _ask(self, chunk: list[Question]) -> list[Answer]:
        child = self.idle.get()
        try:
            return child.ask(chunk)
        except _DEAD:
            if self.closed:
                return []
            child.restart()
            return [self._ask_alone(child, question) for question in chunk if not self.closed]
        finally:
            self.idle.put(child)

    def _ask_alone(self, child: "_Child[Question, Answer]", question: Question) -> Answer:
        try:
            return child.ask([question])[0]
        except _DEAD:
            child.restart()
            return self.work.deadly(question)


class _Child(Generic[Question, Answer]):
    """One process that answers chunks of questions."""

    def __init__(self, work: ChildSpec[Question, Answer]) -> None:
        self.work = work
        self.process = start(work.module, work.arguments)

    def ask(self, questions: list[Question]) -> list[Answer]:
        """Return the child's answers to these questions.

        Raises:
            EOFError: the child died.
            BrokenPipeError: the child was dead already.
        """
        self._input.write(json.dumps(questions).encode() + b"\n")
        self._input.flush()
        return self.work.take(self._output)

    def restart(self) -> None:
        """Replace the process by a new one."""
        self.end()
        self.forget()
        self.process = start(self.work.module, self.work.arguments)

    def end(self) -> None:
        """Kill the process; a thread that waits for its answer gets EOFError."""
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """Close the pipes of an ended process."""
        self._output.close()
        with suppress(BrokenPipeError):  # of data that it did not read any more
            self._input.close()

    @property
    def _input(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout
