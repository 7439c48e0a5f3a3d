"""A worker's place: one worker a slot, known by its heartbeat."""

import fcntl
import logging
import os
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

from app.services import workers
from app.services.faults import file_errors
from app.services.workers import HEARTBEAT_SECONDS, device_name, slot_lock
from app.services.workspace import Workspace
from app.settings import Settings
from app.worker.sweep import carefully, sweep
from app.worker.workplace import Workplace
from core.types import RoundError, StorageError
from db.queries.workers import WorkerInfo

log = logging.getLogger("outfold.worker")

SWEEP_SECONDS = 30.0
ATTEMPTS, ATTEMPT_SECONDS = 4, 0.05


def slot_name(settings: Settings) -> str:
    """Return the slot's name, stable over restarts and unique among machines; also the engine's name of the worker."""
    return f"{socket.gethostname()}:{settings.worker_slot}"


def take_slot(settings: Settings) -> TextIO:
    """Lock this installation's slot until the returned file is closed or the process ends, however it ends.

    Raises:
        RoundError: another worker holds it.
        StorageError: the lock's file cannot be written.
    """
    name = slot_name(settings)
    path = slot_lock(settings, name)
    with file_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    for attempt in reversed(range(ATTEMPTS)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if attempt:
                time.sleep(ATTEMPT_SECONDS)  # who only looks whether the lock is held lets go at once
                continue
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise RoundError(
            f"a worker already runs in slot {name} (process {holder}); "
            "stop it, or give this one a slot of its own with OUTFOLD_WORKER_SLOT"
        )
    with file_errors(str(path)):
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    return file


def slot_is_free(settings: Settings) -> bool:
    """Return whether a worker could start in the slot now."""
    try:
        take_slot(settings).close()
    except RoundError:
        return False
    return True


class Heartbeat:
    """A thread that writes every two seconds that this worker lives, and now and then looks after what others left."""

    def __init__(self, workspace: Workspace, place: Workplace) -> None:
        """Prepare; `start` begins."""
        self._workspace = workspace
        self._place = place
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._slot = slot_name(workspace.settings)
        self._device = device_name()
        self._started = datetime.now(UTC)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and say goodbye."""
        self._end.set()
        self._thread.join(timeout=HEARTBEAT_SECONDS)
        with suppress(StorageError):  # it will be found silent instead
            workers.forget(self._workspace, self._slot)

    def _run(self) -> None:
        beats = 0
        while True:
            carefully("the heartbeat", self._beat)
            if beats % round(SWEEP_SECONDS / HEARTBEAT_SECONDS) == 1:
                sweep(self._workspace)
            beats += 1
            if self._end.wait(HEARTBEAT_SECONDS):
                return

    def _beat(self) -> None:
        now = datetime.now(UTC)
        workers.beat(
            self._workspace,
            WorkerInfo(self._slot, os.getpid(), self._device, self._place.doing, self._started, now),
        )
