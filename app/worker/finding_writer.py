"""Writer of a round's findings: short transactions, safe against a second process that writes them too.

A worker that was silent for too long loses its jobs to another one, but its process goes on when it wakes. So each
transaction first checks that the round still runs and that the last finding is the one this process wrote. Otherwise
another process writes, or has ended the round, and nothing is changed any more.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from core.types import JobStatus, OutfoldError
from db.queries import findings, rounds

CHUNK = 20_000  # findings in one transaction: well under a second of the write lock
_MOST = 100_000
_PARTS = 50


class OvertakenError(OutfoldError):
    """The round has ended, or another process writes its findings."""


class FindingWriter:
    """Transactions in which one process writes the findings of a running round."""

    def __init__(self, app_context: AppContext, round_id: int) -> None:
        """Start after the last finding that an interrupted attempt left."""
        self._app_context = app_context
        self._round_id = round_id
        with app_context.database.read() as session:
            self._last = findings.last_stored(session, round_id)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session for the next findings.

        Raises:
            OvertakenError: another attempt took over.
        """
        with self._app_context.database.write() as session:
            status = rounds.get_round(session, self._round_id).status
            if status is not JobStatus.RUNNING or findings.last_stored(session, self._round_id) != self._last:
                raise OvertakenError(f"round {self._round_id} is {status.value}, or written by another process")
            yield session
            last = findings.last_stored(session, self._round_id)
        self._last = last


def at_once(count: int) -> int:
    """Return the number of findings to store in one transaction, in a round over so many images.

    Keys of three indexes come in random order, so a transaction writes about as many of their pages as it has rows, or
    all that there are. In large rounds, fewer and larger transactions write far less.
    """
    return min(max(CHUNK, count // _PARTS), _MOST)


def forget_unshown(app_context: AppContext, round_id: int) -> None:
    """Remove the findings of a round that ended before it was done."""
    with app_context.database.write() as session:
        status = rounds.get_round(session, round_id).status
        if status.ended and status is not JobStatus.DONE:
            findings.remove_findings(session, round_id)
