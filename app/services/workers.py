"""State of workers as other processes see it: alive, silent, or not yet known.

Clocks of machines differ and may jump, so times written by a worker are never compared with local ones.
A worker is alive if its heartbeat changes between two checks of this process, and silent if it stays the same;
the time in between is this process's own, monotonic. One check alone is no evidence, unless the lock of the worker's
slot is in this home and free: then no process works there.
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
    """State of all workers; `silent_seconds` since this process last saw a heartbeat change, None without one."""

    alive: list[WorkerInfo]
    unknown: list[WorkerInfo]
    silent_seconds: float | None

    @property
    def is_alive(self) -> bool:
        """A worker is known to be alive."""
        return bool(self.alive)

    @property
    def is_silent(self) -> bool:
        """No worker is alive, and none is undetermined."""
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
class _Observation:
    """One worker's last heartbeat, and the times when this process first and last saw it."""

    beat: tuple[int, datetime]
    first: float
    last: float
    changed: bool = False


_looks: dict[tuple[str, str], _Observation] = {}  # by database and slot
_looking = Lock()


def worker_state(app_context: AppContext) -> WorkerState:
    """Check every worker's heartbeat and judge by the changes since the last check."""
    now = time.monotonic()
    alive: list[WorkerInfo] = []
    unknown: list[WorkerInfo] = []
    silent: list[float] = []
    for worker, look in _observe(app_context, now):
        silent.append(now - look.first)
        if silent[-1] >= ALIVE_SECONDS or _is_gone(app_context, worker.slot):
            continue
        (alive if look.changed else unknown).append(worker)
    return WorkerState(alive, unknown, min(silent, default=None))


def settled_worker_state(app_context: AppContext) -> WorkerState:
    """Check until every worker is known to be alive or silent; at most `ALIVE_SECONDS`."""
    while (state := worker_state(app_context)).unknown:
        time.sleep(LOOK_SECONDS)
    return state


def silent_workers(app_context: AppContext, seconds: float) -> list[WorkerInfo]:
    """Check every worker's heartbeat and return the workers without a change for this long.

    For a local worker known to be gone, `ALIVE_SECONDS` are enough: time to restart it.
    """
    now = time.monotonic()
    return [
        worker
        for worker, look in _observe(app_context, now)
        if now - look.first >= seconds
        or (now - look.first >= ALIVE_SECONDS and _is_gone(app_context, worker.slot) and _is_of_here(worker.slot))
    ]


def is_beating(app_context: AppContext, slot: str) -> bool:
    """Check until the heartbeat of a slot's worker changes; False if it does not within `ALIVE_SECONDS`."""
    end = time.monotonic() + ALIVE_SECONDS
    while not any(worker.slot == slot for worker in worker_state(app_context).alive):
        if time.monotonic() >= end:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def heartbeat_ages(app_context: AppContext) -> dict[str, float]:
    """Return the seconds since each slot's heartbeat last changed, by this process's clock."""
    now = time.monotonic()
    return {worker.slot: now - look.first for worker, look in _observe(app_context, now)}


def beat(app_context: AppContext, worker: WorkerInfo) -> None:
    """Store a worker's heartbeat."""
    with app_context.database.write() as session:
        workers.beat(session, worker)


def forget(app_context: AppContext, slot: str) -> None:
    """Remove the row of a worker that ended normally."""
    with app_context.database.write() as session:
        workers.forget(session, slot)


def slot_lock(settings: Settings, slot: str) -> Path:
    """Return the file that a slot's worker keeps locked while it lives."""
    return settings.folder / "locks" / f"worker-{slot.replace(':', '-')}.lock"


def has_gpu() -> bool:
    """Return whether an NVIDIA GPU is available for training, without loading torch."""
    return any(_GPUS.glob("*/information"))


def device_name() -> str:
    """Return the name of the training device, without loading torch."""
    for facts in sorted(_GPUS.glob("*/information")):
        for line in facts.read_text().splitlines():
            if line.startswith("Model:"):
                return line.removeprefix("Model:").strip()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} CPU core" + ("" if cores == 1 else "s")


def _observe(app_context: AppContext, now: float) -> list[tuple[WorkerInfo, _Observation]]:
    with app_context.database.read() as session:
        known = workers.list_workers(session)
    with _looking:
        return [(worker, _compared(app_context.database.url, worker, now)) for worker in known]


def _compared(url: str, worker: WorkerInfo, now: float) -> _Observation:
    seen, beat = _looks.get((url, worker.slot)), (worker.pid, worker.heartbeat_at)
    if seen is None or seen.beat != beat:
        # after a long time without a check, a changed heartbeat may have been the last one
        is_recent = seen is not None and now - seen.last < ALIVE_SECONDS
        seen = _looks[url, worker.slot] = _Observation(beat, now, now, changed=is_recent)
    seen.last = now
    return seen


def _is_gone(app_context: AppContext, slot: str) -> bool:
    """Return whether the slot's lock is in this home and free."""
    path = slot_lock(app_context.settings, slot)
    return path.exists() and not storage.is_held(path)


def _is_of_here(slot: str) -> bool:
    """Return whether a slot is of this machine, since not every shared file system shares locks."""
    return slot.rpartition(":")[0] == socket.gethostname()


def _spent(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
