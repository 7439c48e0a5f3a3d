"""A round's findings as one process writes them, in short transactions, while another one may do the same.

A worker that was silent for too long loses its jobs to another one, but what it had begun goes on when it wakes. So
each transaction looks first whether the round still runs and the last finding is the one this process left there.
Where it is not, another one writes, or has ended the round: then nothing is changed any more.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from app.services.workspace import Workspace
from core.types import OutfoldError, RoundStatus
from db.queries import findings, rounds


class OvertakenError(OutfoldError):
    """The round has ended, or another process writes its findings."""


class Writing:
    """The findings of a round that runs, for one process to write."""

    def __init__(self, workspace: Workspace, round_id: int) -> None:
        """Begin with what a try that was cut off left."""
        self._workspace = workspace
        self._round_id = round_id
        with workspace.database.read() as session:
            self._last = findings.last_stored(session, round_id)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session to write the next of them with.

        Raises:
            OvertakenError: nobody wants them any more.
        """
        with self._workspace.database.write() as session:
            status = rounds.get_round(session, self._round_id).status
            if status is not RoundStatus.RUNNING or findings.last_stored(session, self._round_id) != self._last:
                raise OvertakenError(f"round {self._round_id} is {status.value}, or written by another process")
            yield session
            last = findings.last_stored(session, self._round_id)
        self._last = last


def forget_unshown(workspace: Workspace, round_id: int) -> None:
    """Remove what a round wrote that ended before it was done."""
    with workspace.database.write() as session:
        status = rounds.get_round(session, round_id).status
        if status.ended and status is not RoundStatus.DONE:
            findings.remove_findings(session, round_id)
