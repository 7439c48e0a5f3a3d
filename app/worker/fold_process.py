"""The process that does the heavy work of one job: `python -m app.worker.fold_process`, started by `children`.

Commands come as JSON lines on standard input (`{"command": "fold", "arguments": {"round_id": 3, "fold": 1}}`), one
answer each goes back on standard output (`{"error": null}`). How far the work is goes into the database. The process
stays between the folds of a round, so that torch is imported once. SIGTERM, which says that the job was cancelled,
ends it between two batches; the parent's death ends it at once and says nothing of the job, which goes on with the
next worker; so does a while without commands. Memory, also the GPU's, goes back with it.
"""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from dataclasses import asdict, dataclass
from typing import Any

from app.services.faults import fault_of
from app.services.workspace import Workspace
from app.settings import settings
from app.worker.parent import watch_parent
from app.worker.steps import COMMANDS
from core.types import OutfoldError, RoundCancelledError
from db.engine import Database

IDLE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command: nothing went wrong, it was stopped, or why it failed (for people) and where (for us)."""

    error: str | None = None
    stopped: bool = False
    trace: str = ""


def main() -> None:
    """Do commands until nobody has any more."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not look like an answer
    commands: queue.SimpleQueue[str] = queue.SimpleQueue()  # its put may interrupt its get, in a signal handler
    stop = threading.Event()

    def end() -> None:
        stop.set()
        commands.put("")

    signal.signal(signal.SIGTERM, lambda *_: end())
    watch_parent(commands.put, on_end=lambda: None)
    chosen = settings()
    workspace = Workspace(Database(chosen.app_url), chosen.files, chosen)  # the worker has migrated it
    while True:
        try:
            line = commands.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            return
        if stop.is_set():
            return
        answers.write(json.dumps(asdict(obey(workspace, json.loads(line), stop))) + "\n")


def obey(workspace: Workspace, command: dict[str, Any], stop: threading.Event) -> Answer:
    """Do one command; whatever goes wrong becomes an answer, here and nowhere else."""
    try:
        COMMANDS[command["command"]](workspace, stop.is_set, **command["arguments"])
    except RoundCancelledError:
        return Answer(stopped=True)
    except OutfoldError as error:
        return Answer(str(error), trace=traceback.format_exc())
    except Exception as error:  # noqa: BLE001  # the edge: a job's failure is a value, not the worker's end
        fault = fault_of(error) if isinstance(error, OSError) else None
        reason = f"{type(error).__name__}: {error}. The worker's log has the details; please report it if it stays."
        return Answer(str(fault or reason), trace=traceback.format_exc())
    return Answer()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # nothing waits for threads of libraries
