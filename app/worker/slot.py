"""Slot of a worker: a lock that one worker holds at a time, and its heartbeat."""

import logging
import os
import socket
import threading
import zlib
from contextlib import suppress
from datetime import UTC, datetime

from filelock import AcquireReturnProxy, FileLock, Timeout

from app.services import workers
from app.services.app_context import AppContext
from app.services.faults import file_errors
from app.services.workers import HEARTBEAT_SECONDS, device_name, slot_lock
from app.settings import Settings
from app.worker.sweep import sweep, take_over, try_and_log
from app.worker.worker_processes import WorkerProcesses
from core.types import RoundError, StorageError
from db.queries.workers import WorkerInfo

log = logging.getLogger("outfold.worker")

SWEEP_SECONDS = 30.0
TAKE_OVER_SECONDS = 4.0
LOCK_SECONDS = 0.2  # a process that only checks the lock releases it immediately


def slot_name(settings: Settings) -> str:
    """Return the slot's name, stable over restarts and unique among machines; also the engine's name of the worker.

    Several homes of one machine may share files and database, so then the name contains the home too.
    """
    home = f"-{zlib.crc32(str(settings.folder).encode()):08x}" if settings.files_url else ""
    return f"{socket.gethostname()}:{settings.worker_slot}{home}"


def take_slot(settings: Settings) -> AcquireReturnProxy[FileLock]:
    """Lock this installation's slot until the returned context or the process ends.

    Raises:
        RoundError: another worker holds it.
        StorageError: the lock's file cannot be written.
    """
    name = slot_name(settings)
    path = slot_lock(settings, name)
    lock = FileLock(path, timeout=LOCK_SECONDS, fallback_to_soft=False)
    with file_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            taken = lock.acquire()
        except Timeout as error:
            holder = path.read_text().strip() or "unknown"
            raise RoundError(
                f"a worker already runs in slot {name} (process {holder})",
                "stop it, or give this one a slot of its own with OUTFOLD_WORKER_SLOT",
            ) from error
        path.write_text(str(os.getpid()))
    return taken


def slot_is_free(settings: Settings) -> bool:
    """Return whether a worker could start in the slot now."""
    try:
        with take_slot(settings):
            return True
    except RoundError:
        return False


class Heartbeat:
    """Thread that writes the worker's heartbeat every two seconds, and takes over from lost workers."""

    def __init__(self, app_context: AppContext, processes: WorkerProcesses) -> None:
        """Prepare the thread; `start` starts it."""
        self._app_context = app_context
        self._processes = processes
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._slot = slot_name(app_context.settings)
        self._device = device_name()
        self._started = datetime.now(UTC)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and remove the worker's row."""
        self._end.set()
        self._thread.join(timeout=HEARTBEAT_SECONDS)
        with suppress(StorageError):  # it will be noticed as silent instead
            workers.forget(self._app_context, self._slot)

    def _run(self) -> None:
        beats = 0
        while True:
            try_and_log("the heartbeat", self._beat)
            if beats % round(TAKE_OVER_SECONDS / HEARTBEAT_SECONDS) == 1:
                take_over(self._app_context)
            if beats % round(SWEEP_SECONDS / HEARTBEAT_SECONDS) == 1:
                sweep(self._app_context)
            beats += 1
            if self._end.wait(HEARTBEAT_SECONDS):
                return

    def _beat(self) -> None:
        now = datetime.now(UTC)
        workers.beat(
            self._app_context,
            WorkerInfo(self._slot, os.getpid(), self._device, self._processes.doing, self._started, now),
        )
