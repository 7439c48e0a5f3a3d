"""Who does an import or export that a command asks for: the worker where one is alive, else the command itself.

A worker looks after every unfinished row, so a command must not work on one behind its back.
"""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from app.commands.speaking import Step
from app.services.workers import settled_worker_state
from app.services.workspace import Workspace
from core.types import RoundStatus

LOOK_SECONDS = 0.3


class Job(Protocol):
    """An import or export as its row tells it."""

    @property
    def status(self) -> RoundStatus:
        """Where it stands."""

    @property
    def done(self) -> int:
        """Files done."""

    @property
    def total(self) -> int:
        """Files in all, 0 while unknown."""

    @property
    def message(self) -> str:
        """What is happening, or why it ended."""


Found = TypeVar("Found", bound=Job)


def work_on(
    workspace: Workspace,
    step: Step,
    *,
    here: Callable[[], Found],
    hand_over: Callable[[], None],
    look: Callable[[], Found],
) -> Found:
    """Return how the job ended: done `here`, or watched with `look` after `hand_over` gave it to the worker."""
    if not settled_worker_state(workspace).is_alive:
        return here()
    from app.worker.embedded import EmbeddedWorker

    hand_over()
    successor = EmbeddedWorker(workspace)  # steps in when the worker dies meanwhile
    successor.start()
    try:
        while not (seen := look()).status.ended:
            step(seen.done, seen.total, seen.message)
            time.sleep(LOOK_SECONDS)
        return seen
    finally:
        successor.stop()
