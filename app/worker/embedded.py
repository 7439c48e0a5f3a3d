"""Worker of the web app: started if none is alive, restarted when it dies, ended with the app.

It ends when its standard input does: with the app, even after kill -9.
"""

import logging
import subprocess
import sys
import threading

from app.services.app_context import AppContext
from app.services.workers import WorkerState, worker_state
from app.worker.children import child_environment
from app.worker.slot import slot_is_free, slot_name
from core.types import StorageError

log = logging.getLogger("outfold")

POLL_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0  # seconds between two starts of a worker that dies immediately
STOP_SECONDS = 5.0


class EmbeddedWorker:
    """Keeps one worker alive for an installation, from `start` to `stop`."""

    def __init__(self, app_context: AppContext) -> None:
        """Prepare the thread; `start` starts it."""
        self._app_context = app_context
        self._process: subprocess.Popen[bytes] | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="embedded-worker", daemon=True)

    @property
    def pid(self) -> int | None:
        """Return the process id of the worker started by this app, None while it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the thread that keeps a worker alive."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker; its jobs resume when the app starts again."""
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
        wait = POLL_SECONDS
        while not self._end.is_set():
            try:
                state = worker_state(self._app_context)  # each time: `worker_state` compares with its last check
                if self.pid is not None:
                    wait = POLL_SECONDS
                elif self._is_wanted(state):
                    if self._process is not None:
                        log.warning("the worker ended with code %s; starting another", self._process.returncode)
                        wait = min(2 * wait, LONGEST_WAIT_SECONDS)
                    self._process = _start(self._app_context)
            except (StorageError, OSError) as error:  # a full disk or too many processes: may be temporary
                log.warning("no worker could be started: %s", error)
            self._end.wait(wait)

    def _is_wanted(self, state: WorkerState) -> bool:
        own = slot_name(self._app_context.settings)
        others = [worker for worker in (*state.alive, *state.unknown) if worker.slot != own]
        return not others and slot_is_free(self._app_context.settings)


def _start(app_context: AppContext) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # own module, same interpreter
        [sys.executable, "-m", "app.worker.main", "--ends-with-parent"],
        stdin=subprocess.PIPE,
        env=child_environment(app_context.settings),
        start_new_session=True,  # the app handles Ctrl+C in the terminal
    )
