"""The worker's side of its processes (`fold_process`): start one, give it commands, stop it, know why it died."""

import asyncio
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

from app.settings import Settings
from app.worker.parent import child_environment
from core.types import RoundCancelledError, RoundError

log = logging.getLogger("outfold.worker")

GRACE_SECONDS = 0.7  # from SIGTERM to SIGKILL
LINE_LIMIT = 1 << 20


class Child:
    """One process at work for one job; commands are given one after the other."""

    def __init__(self, process: Process) -> None:
        """Take over a started process."""
        self._process = process
        self._errors = asyncio.create_task(_log_lines(process))

    @classmethod
    async def start(cls, settings: Settings) -> "Child":
        """Start a process of the same installation, in a process group of its own."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.worker.fold_process",
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=child_environment(settings),
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        return cls(process)

    @property
    def alive(self) -> bool:
        """Whether it can take a command."""
        return self._process.returncode is None

    async def run(self, command: str, **arguments: int) -> None:
        """Have one command done.

        Raises:
            RoundCancelledError: it was stopped.
            RoundError: it failed, or the process died; the text is for people.
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
            raise RoundError(_cause_of_death(await self._process.wait()))
        answer = json.loads(line)
        if answer["stopped"]:
            raise RoundCancelledError(f"{command} was stopped")
        if answer["error"] is not None:
            log.error("%s %s failed\n%s", command, arguments, answer["trace"])
            raise RoundError(answer["error"])

    async def stop(self) -> None:
        """End the process and everything it started: politely, and shortly after without asking."""
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), GRACE_SECONDS)
            except TimeoutError:
                log.info("process %s did not stop by itself", self._process.pid)
        with suppress(ProcessLookupError):  # nobody left in its group, as it should be
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self._errors.cancel()


def _cause_of_death(code: int) -> str:
    if code == -signal.SIGKILL:
        return (
            "the training process was killed, most likely because memory ran out; "
            "choose a smaller batch or input size, or close other programs"
        )
    how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
    return f"the training process ended {how}; the worker's log says more, start the round again"


async def _log_lines(process: Process) -> None:
    assert process.stderr is not None  # started with pipes
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:  # a line longer than the limit: its end is lost, the process goes on
            continue
        if not line:
            return
        log.info("%s: %s", process.pid, line.decode(errors="replace").rstrip())
