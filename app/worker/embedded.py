"""The worker that the web app brings along: started when nobody else works, restarted when it dies, gone with the app.

It is told of the app's end, even by kill -9, by the end of its standard input.
"""

import logging
import subprocess
import sys
import threading

from app.services.workers import WorkerState, worker_state
from app.services.workspace import Workspace
from app.worker.parent import child_environment
from app.worker.slot import slot_is_free, slot_name
from core.types import StorageError

log = logging.getLogger("outfold")

LOOK_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0  # between two starts of a worker that dies at once
STOP_SECONDS = 5.0


class EmbeddedWorker:
    """Keeps one worker alive for a workspace, from `start` to `stop`."""

    def __init__(self, workspace: Workspace) -> None:
        """Prepare; nothing runs yet."""
        self._workspace = workspace
        self._process: subprocess.Popen[bytes] | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="embedded-worker", daemon=True)

    @property
    def pid(self) -> int | None:
        """Return the running worker's process id, None while there is none of ours."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Begin to look after the worker; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker; what it was doing goes on when the app starts again."""
        self._end.set()
        self._thread.join(timeout=STOP_SECONDS)
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _keep(self) -> None:
        wait = LOOK_SECONDS
        while not self._end.is_set():
            try:
                state = worker_state(self._workspace)  # each time: pages judge by the changes that this process saw
                if self.pid is not None:
                    wait = LOOK_SECONDS
                elif self._is_wanted(state):
                    if self._process is not None:
                        log.warning("the worker ended with code %s; starting another", self._process.returncode)
                        wait = min(2 * wait, LONGEST_WAIT_SECONDS)
                    self._process = _start(self._workspace)
            except (StorageError, OSError) as error:  # a full disk, no more processes: it may pass
                log.warning("no worker could be started: %s", error)
            self._end.wait(wait)

    def _is_wanted(self, state: WorkerState) -> bool:
        own = slot_name(self._workspace.settings)
        others = [worker for worker in (*state.alive, *state.unknown) if worker.slot != own]
        return not others and slot_is_free(self._workspace.settings)


def _start(workspace: Workspace) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # our own module, by this interpreter
        [sys.executable, "-m", "app.worker.main", "--ends-with-parent"],
        stdin=subprocess.PIPE,
        env=child_environment(workspace.settings),
        start_new_session=True,  # Ctrl+C in the terminal is the app's to handle
    )
