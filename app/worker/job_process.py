"""Process that runs the steps of one job: `python -m app.worker.job_process`, started by `children.Child`.

Commands are JSON lines on standard input (`{"command": "fold", "arguments": {"round_id": 3, "fold": 1}}`), each with
one answer on standard output (`{"error": null}`). Progress goes into the database. The process stays between the folds
of a round, so that torch is imported once. SIGTERM (the job was cancelled) ends it between two batches; the parent's
death, or five minutes without commands, ends it at once, and the next worker resumes the job. Its memory, also the
GPU's, is free again then. It runs at a lower priority than the pages (`OUTFOLD_WORKER_NICE`).
"""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.services.app_context import AppContext
from app.services.faults import fault_of
from app.settings import settings
from app.worker.children import watch_parent
from app.worker.sharing import make_room
from app.worker.steps import COMMANDS, ENDS
from core.config import allow_weights_in
from core.types import KilledError, OutfoldError, RoundCancelledError, StorageAwayError
from db.engine import Database

IDLE_SECONDS = 300.0
_AUTOGROUP = Path("/proc/self/autogroup")


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Result of a command: done, stopped, or failed with a message, its cure and a traceback."""

    error: str | None = None
    cure: str = ""
    stopped: bool = False
    away: bool = False  # a storage server was unreachable: the command can be run again
    killed: bool = False  # one of the processes that train together was killed
    trace: str = ""


def main() -> None:
    """Run commands until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # prints of libraries must not look like an answer
    commands: queue.SimpleQueue[str] = queue.SimpleQueue()  # put may interrupt get, in a signal handler
    stop = threading.Event()

    def end() -> None:
        stop.set()
        commands.put("")

    signal.signal(signal.SIGTERM, lambda *_: end())
    watch_parent(commands.put, on_end=lambda: None)
    chosen = settings()
    lower_priority(chosen.worker_nice)
    allow_weights_in(chosen.real_roots)
    app_context = AppContext(Database(chosen.app_url), chosen.files, chosen)  # the worker has migrated it
    while True:
        try:
            line = commands.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            return
        if stop.is_set():
            return
        answers.write(json.dumps(asdict(run_command(app_context, json.loads(line), stop))) + "\n")


def lower_priority(nice: int) -> None:
    """Lower the priority of this process, from 0 (unchanged) to 19.

    Linux shares the processor among sessions first, so that a priority applies only within one, and this process has a
    session of its own. A session's priority is set by a file; a container or another system may have none.
    """
    os.nice(nice)
    if os.getsid(0) == os.getpid():  # otherwise it would also be the session of the pages
        with suppress(OSError):
            _AUTOGROUP.write_text(str(nice))


def run_command(app_context: AppContext, command: dict[str, Any], stop: threading.Event) -> CommandResult:
    """Run one command; every failure becomes an answer."""
    try:
        with app_context.using_files():
            COMMANDS[command["command"]](app_context, stop.is_set, **command["arguments"])
        if command["command"] in ENDS:
            make_room(app_context)
    except RoundCancelledError:
        return CommandResult(stopped=True)
    except OutfoldError as error:
        away, killed = isinstance(error, StorageAwayError), isinstance(error, KilledError)
        return CommandResult(error.message, error.cure, away=away, killed=killed, trace=traceback.format_exc())
    except Exception as error:  # noqa: BLE001  # the edge: a job's failure is a value, not the worker's end
        reason = f"{type(error).__name__}: {error}. The worker's log has the details"
        known = fault_of(error) if isinstance(error, OSError) else None
        fault = known or OutfoldError(reason, "please report it if it stays.")
        return CommandResult(fault.message, fault.cure, trace=traceback.format_exc())
    return CommandResult()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # without waiting for threads of libraries
