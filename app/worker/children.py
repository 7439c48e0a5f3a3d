"""Child processes: their environment, a watchdog that ends them with their parent, and commands to a worker's child.

`watch_parent` and `open_question` run in the child; `Child` is the worker's handle of an `app.worker.job_process`.
"""

import asyncio
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from app.settings import Settings
from core.types import KilledError, RoundCancelledError, RoundError, StorageAwayError

log = logging.getLogger("outfold.worker")
GRACE_SECONDS = 0.7  # from SIGTERM to SIGKILL
LINE_LIMIT = 1 << 20
PROJECT = Path(__file__).resolve().parents[2]


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that give a child these settings and this code, independent of its working folder."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, **settings.as_environment(), "PYTHONPATH": path}


def watch_parent(on_line: Callable[[str], None], on_end: Callable[[], None], grace_seconds: float = 0.0) -> None:
    """Read from the parent in a thread; at end of file, when the parent has ended, stop this process.

    `on_end` is called first; `grace_seconds` later the process and its group are killed. Uses `os.read`, since a thread
    blocked in `sys.stdin.read()` aborts the interpreter when the process ends by itself.
    """

    def watch() -> None:
        waiting = b""
        while data := os.read(0, 65536):
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                on_line(line.decode())
        on_end()
        time.sleep(grace_seconds)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(3)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def open_question() -> tuple[dict[str, Any], IO[str]]:
    """Return the question of this child, a line of JSON on standard input, and the file for its answers.

    Prints of libraries go to standard error, so that they cannot look like an answer (`app.services.rounds.preview`).
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    watch_parent(asked.put, on_end=lambda: None)
    return json.loads(asked.get()), answers


class Child:
    """Process of one job, which runs one command after the other."""

    def __init__(self, process: Process) -> None:
        """Take over a started process."""
        self._process = process
        self._errors = asyncio.create_task(_log_lines(process))

    @classmethod
    async def start(cls, settings: Settings) -> "Child":
        """Start a process of the same installation in its own process group."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.worker.job_process",
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=child_environment(settings),
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether the process still runs."""
        return self._process.returncode is None

    async def run(self, command: str, **arguments: int) -> None:
        """Run one command in the process.

        Raises:
            RoundCancelledError: it was stopped.
            KilledError: the process, or one that trains with it, was killed.
            StorageAwayError: a server of the storage did not answer; the command can be run again.
            RoundError: it failed, or the process died otherwise.
        """
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None  # started with pipes
        assert answered is not None
        try:
            asked.write(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
            await asked.drain()
            line = await answered.readline()
        except ConnectionError:
            line = b""
        if not line:
            raise _cause_of_death(await self._process.wait())
        answer = json.loads(line)
        if answer["stopped"]:
            raise RoundCancelledError(f"{command} was stopped")
        if answer["error"] is not None:
            log.error("%s %s failed\n%s", command, arguments, answer["trace"])
            kind = KilledError if answer["killed"] else StorageAwayError if answer["away"] else RoundError
            raise kind(answer["error"], answer["cure"])

    async def stop(self) -> None:
        """End the process and everything it started: SIGTERM, then SIGKILL after `GRACE_SECONDS`."""
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), GRACE_SECONDS)
            except TimeoutError:
                log.info("process %s did not stop by itself", self._process.pid)
        with suppress(ProcessLookupError):  # its group has ended, as expected
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self._errors.cancel()


def _cause_of_death(code: int) -> RoundError:
    if code == -signal.SIGKILL:
        return KilledError.of_training()
    how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
    return RoundError(f"the training process ended {how}", "the worker's log says more, start the round again")


async def _log_lines(process: Process) -> None:
    assert process.stderr is not None  # started with pipes
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:  # a line longer than the limit: its end is lost, the process continues
            continue
        if not line:
            return
        log.info("%s: %s", process.pid, line.decode(errors="replace").rstrip())
