"""State of workers as other processes see it: alive, silent, or not yet known.

Clocks of two machines differ and one machine's may jump, so no time that a worker wrote is compared with a time here.
A worker is alive when its heartbeat changes between two looks of this process, and silent when it stays the same;
the time in between is this process's own, monotonic. One look alone is no evidence, but where the lock of the worker's
slot lies in this home and is free: no process holds it, so none works there.
"""

import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock

from app.services.app_context import AppContext
from app.settings import Settings
from core.data import storage
from db.queries import workers
from db.queries.workers import WorkerInfo

HEARTBEAT_SECONDS = 2.0
ALIVE_SECONDS = 10.0  # five missed heartbeats; a busy machine may miss two
LOOK_SECONDS = 0.25
_GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class WorkerState:
    """All workers at one look; `silent_seconds` since the last heartbeat this process saw change, None without one."""

    alive: list[WorkerInfo]
    unknown: list[WorkerInfo]
    silent_seconds: float | None

    @property
    def is_alive(self) -> bool:
        """A worker was seen to be alive."""
        return bool(self.alive)

    @property
    def is_silent(self) -> bool:
        """No worker is alive, and none is still to be judged."""
        return not self.alive and not self.unknown

    @property
    def text(self) -> str:
        """Return the state in words."""
        if self.alive:
            return f"worker running, last heartbeat {self.silent_seconds or 0:.0f} s ago"
        if self.unknown:
            return "listening for the worker's next heartbeat"
        if self.silent_seconds is None:
            return "no worker yet; one is starting"
        return (
            f"no worker: silent for {_spent(self.silent_seconds)}; rounds wait until whoever runs the server starts one"
        )


@dataclass(slots=True)
class _Look:
    """One worker's last heartbeat, and when this process saw it first and last."""

    beat: tuple[int, datetime]
    first: float
    last: float
    changed: bool = False


_looks: dict[tuple[str, str], _Look] = {}  # by database and slot
_looking = Lock()


def worker_state(app_context: AppContext) -> WorkerState:
    """Look at every worker's heartbeat and judge by what changed since the last look."""
    now = time.monotonic()
    alive: list[WorkerInfo] = []
    unknown: list[WorkerInfo] = []
    silent: list[float] = []
    for worker, look in _look(app_context, now):
        silent.append(now - look.first)
        if silent[-1] >= ALIVE_SECONDS or _is_gone(app_context, worker.slot):
            continue
        (alive if look.changed else unknown).append(worker)
    return WorkerState(alive, unknown, min(silent, default=None))


def settled_worker_state(app_context: AppContext) -> WorkerState:
    """Look until every worker is known to be alive or silent; at most `ALIVE_SECONDS`."""
    while (state := worker_state(app_context)).unknown:
        time.sleep(LOOK_SECONDS)
    return state


def silent_workers(app_context: AppContext, seconds: float) -> list[WorkerInfo]:
    """Look at every worker's heartbeat and return the workers whose has not changed for so long.

    Of a worker of this machine that is known to be gone, `ALIVE_SECONDS` are enough: time to start it again.
    """
    now = time.monotonic()
    return [
        worker
        for worker, look in _look(app_context, now)
        if now - look.first >= seconds
        or (now - look.first >= ALIVE_SECONDS and _is_gone(app_context, worker.slot) and _is_of_here(worker.slot))
    ]


def is_beating(app_context: AppContext, slot: str) -> bool:
    """Look until the heartbeat of a slot's worker changes; False where it does not within `ALIVE_SECONDS`."""
    end = time.monotonic() + ALIVE_SECONDS
    while not any(worker.slot == slot for worker in worker_state(app_context).alive):
        if time.monotonic() >= end:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def heartbeat_ages(app_context: AppContext) -> dict[str, float]:
    """Return by slot for how many seconds of this process's clock each worker's heartbeat has not changed."""
    now = time.monotonic()
    return {worker.slot: now - look.first for worker, look in _look(app_context, now)}


def beat(app_context: AppContext, worker: WorkerInfo) -> None:
    """Store a worker's heartbeat."""
    with app_context.database.write() as session:
        workers.beat(session, worker)


def forget(app_context: AppContext, slot: str) -> None:
    """Note that a worker ended as it should."""
    with app_context.database.write() as session:
        workers.forget(session, slot)


def slot_lock(settings: Settings, slot: str) -> Path:
    """Return the file that a slot's worker keeps locked for as long as it lives."""
    return settings.folder / "locks" / f"worker-{slot.replace(':', '-')}.lock"


def has_gpu() -> bool:
    """Return whether an NVIDIA GPU trains here, without loading torch."""
    return any(_GPUS.glob("*/information"))


def device_name() -> str:
    """Return the device for training, in words, without loading torch."""
    for facts in sorted(_GPUS.glob("*/information")):
        for line in facts.read_text().splitlines():
            if line.startswith("Model:"):
                return line.removeprefix("Model:").strip()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} CPU core" + ("" if cores == 1 else "s")


def _look(app_context: AppContext, now: float) -> list[tuple[WorkerInfo, _Look]]:
    with app_context.database.read() as session:
        known = workers.list_workers(session)
    with _looking:
        return [(worker, _compared(app_context.database.url, worker, now)) for worker in known]


def _compared(url: str, worker: WorkerInfo, now: float) -> _Look:
    seen, beat = _looks.get((url, worker.slot)), (worker.pid, worker.heartbeat_at)
    if seen is None or seen.beat != beat:
        # after a long while without a look, a changed heartbeat may have been the last one
        is_recent = seen is not None and now - seen.last < ALIVE_SECONDS
        seen = _looks[url, worker.slot] = _Look(beat, now, now, changed=is_recent)
    seen.last = now
    return seen


def _is_gone(app_context: AppContext, slot: str) -> bool:
    """Return whether the slot's lock is one of this home and no process holds it."""
    path = slot_lock(app_context.settings, slot)
    return path.exists() and not storage.is_held(path)


def _is_of_here(slot: str) -> bool:
    """Return whether a slot is of this machine: not every shared file system shares its locks."""
    return slot.rpartition(":")[0] == socket.gethostname()


def _spent(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
