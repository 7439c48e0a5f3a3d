"""Whether somebody does the work: which workers live, when they were last heard, what they do."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.services.workspace import Workspace
from db.queries import workers
from db.queries.workers import WorkerInfo

HEARTBEAT_SECONDS = 2.0
ALIVE_SECONDS = 10.0  # five missed heartbeats; a busy machine may miss two


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a page says of the workers; `silent_seconds` since the youngest heartbeat, None when there was none."""

    alive: list[WorkerInfo]
    silent_seconds: float | None

    @property
    def is_alive(self) -> bool:
        """Whether anybody works."""
        return bool(self.alive)

    @property
    def text(self) -> str:
        """Return the state in words."""
        if self.alive:
            return f"worker alive, heard {self.silent_seconds or 0:.0f} s ago"
        if self.silent_seconds is None:
            return "no worker yet; one is starting, or start it with `python -m app worker`"
        return f"no worker: last heard {_ago(self.silent_seconds)} ago; start one with `python -m app worker`"


def worker_state(workspace: Workspace) -> WorkerState:
    """Return who is alive now."""
    with workspace.database.read() as session:
        known = workers.list_workers(session)
    now = datetime.now(UTC)
    youngest = known[0].heartbeat_at if known else None
    alive = [worker for worker in known if now - worker.heartbeat_at < timedelta(seconds=ALIVE_SECONDS)]
    return WorkerState(alive, None if youngest is None else max(0.0, (now - youngest).total_seconds()))


def beat(workspace: Workspace, worker: WorkerInfo) -> None:
    """Store a worker's heartbeat."""
    with workspace.database.write() as session:
        workers.beat(session, worker)


def forget(workspace: Workspace, slot: str) -> None:
    """Note that a worker ended as it should."""
    with workspace.database.write() as session:
        workers.forget(session, slot)


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
