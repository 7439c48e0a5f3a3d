"""How far a fold is, written into its row now and then; and from that row, whether the work is still wanted."""

import time
from datetime import UTC, datetime

from app.services.workspace import Workspace
from core.types import Progress
from db.queries import folds

REPORT_SECONDS = 0.5
LOOK_SECONDS = 0.5


class HeldFold:
    """One attempt at a fold: writes its progress, and finds out when the round was cancelled or the fold taken over."""

    def __init__(self, workspace: Workspace, round_id: int, fold: int, attempt: int) -> None:
        """Hold the fold with the number its beginning returned."""
        self._workspace = workspace
        self._held = (round_id, fold, attempt)
        self._lost = False
        self._written = self._looked = 0.0
        self._last: Progress | None = None

    def report(self, progress: Progress) -> None:
        """Write progress: at each new epoch, stage or message, else twice a second."""
        last, now = self._last, time.monotonic()
        is_news = last is None or (last.stage, last.epoch, last.message) != (
            progress.stage,
            progress.epoch,
            progress.message,
        )
        if not is_news and now - self._written < REPORT_SECONDS:
            return
        self._last, self._written = progress, now
        round_id, fold, attempt = self._held
        with self._workspace.database.write() as session:
            if not folds.write_fold(session, round_id, fold, attempt, progress, now=datetime.now(UTC)):
                self._lost = True

    def is_lost(self) -> bool:
        """Whether this attempt's work is not wanted any more; asks the row twice a second."""
        now = time.monotonic()
        if not self._lost and now - self._looked >= LOOK_SECONDS:
            self._looked = now
            with self._workspace.database.read() as session:
                self._lost = not folds.holds_fold(session, *self._held)
        return self._lost
