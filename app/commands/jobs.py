"""Imports and exports of commands: run by a running worker, else by the command itself.

A worker picks up every unfinished row, so a command must not run one beside it.
"""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from app.commands.console import ShowProgress
from app.services.app_context import AppContext
from app.services.workers import settled_worker_state
from core.types import JobStatus

POLL_SECONDS = 0.3


class JobRow(Protocol):
    """Row of an import or export."""

    @property
    def status(self) -> JobStatus:
        """Status."""

    @property
    def done(self) -> int:
        """Files done."""

    @property
    def total(self) -> int:
        """Files in all, 0 while unknown."""

    @property
    def message(self) -> str:
        """Current step, or the reason of the end."""


Found = TypeVar("Found", bound=JobRow)


def run_job(
    app_context: AppContext,
    step: ShowProgress,
    *,
    here: Callable[[], Found],
    hand_over: Callable[[], None],
    look: Callable[[], Found],
) -> Found:
    """Return the ended job: run by `here`, or handed to a worker by `hand_over` and watched with `look`."""
    if not settled_worker_state(app_context).is_alive:
        return here()
    from app.worker.embedded import EmbeddedWorker

    hand_over()
    successor = EmbeddedWorker(app_context)  # takes over if the worker dies
    successor.start()
    try:
        while not (seen := look()).status.ended:
            step(seen.done, seen.total, seen.message)
            time.sleep(POLL_SECONDS)
        return seen
    finally:
        successor.stop()
