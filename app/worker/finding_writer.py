"""Writer of a round's findings: short transactions, safe against a second writer.

A worker that was silent for too long loses its jobs to another one, but its process continues when it wakes. So each
transaction first checks that the round still runs and that the last finding and the block of ids are those of this
process. Otherwise another process writes, or has ended the round, and nothing more is changed.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from math import inf
from pathlib import Path

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from core.types import JobStatus, OutfoldError, RoundCancelledError, Task
from db.agreeing_file import remove_files, writing
from db.loading import NewFinding
from db.queries import agreeing, findings, rounds

# images from which on a round keeps agreeing findings in a file; regions of masks are always rows
LEAST_IMAGES: dict[Task, float] = {Task.CLASSIFICATION: 200_000, Task.SEGMENTATION: inf}
Transaction = Callable[[], AbstractContextManager[Session]]
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
            self._state = self._read(session)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session for the next findings.

        Raises:
            OvertakenError: another attempt took over.
        """
        with self._app_context.database.write() as session:
            status = rounds.get_round(session, self._round_id).status
            if status is not JobStatus.RUNNING or self._read(session) != self._state:
                raise OvertakenError(f"round {self._round_id} is {status.value}, or written by another process")
            yield session
            state = self._read(session)
        self._state = state

    def _read(self, session: Session) -> tuple[int | None, int | None]:
        """Return the last finding of the round and the first id of its block, which each attempt reserves anew."""
        return findings.last_stored(session, self._round_id), findings.first_id_of(session, self._round_id)


def store_findings(
    transaction: Transaction,
    folder: Path,
    round_id: int,
    rows: Iterable[NewFinding],
    task: Task,
    images: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Store the findings of a round over this number of images, and return the number stored in its file.

    In a large round, agreeing findings go to the file in its folder, the others to the database.

    Raises:
        RoundCancelledError: `should_stop` returned true.
        OvertakenError: another attempt took over.
    """
    if images < LEAST_IMAGES[task]:
        _store_rows(transaction, round_id, iter(rows), images, should_stop)
        return 0
    with transaction() as session:
        former = findings.first_id_of(session, round_id)
        first_id = findings.reserve_block(session, round_id, images)
    if former is not None:
        remove_files(folder, former)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with writing(folder, first_id) as writer:
            _store_rows(transaction, round_id, writer.pass_on(rows), images, should_stop)
    except FileNotFoundError:
        raise OvertakenError(f"round {round_id} is written by another process") from None
    return writer.count


def note_file(app_context: AppContext, transaction: Transaction, round_id: int, count: int) -> None:
    """Store the number of findings in a round's file, and make rows of those that need one from the start.

    In short transactions, since people may have decided on many. The transaction that shows the round does the same for
    later ones.
    """
    if not count:
        return
    with transaction() as session:
        findings.keep_in_file(session, round_id, count)
    with app_context.database.read() as session:
        concerned = agreeing.concerned_samples(session, round_id)
    for start in range(0, len(concerned), CHUNK):
        with transaction() as session:
            agreeing.make_rows(session, concerned[start : start + CHUNK])


def _store_rows(
    transaction: Transaction,
    round_id: int,
    rows: Iterator[NewFinding],
    images: int,
    should_stop: Callable[[], bool],
) -> None:
    while chunk := list(islice(rows, at_once(images))):
        if should_stop():
            raise RoundCancelledError(f"round {round_id} was cancelled")
        with transaction() as session:
            findings.add_findings(session, round_id, chunk)


def at_once(count: int) -> int:
    """Return the number of findings per transaction, in a round over this number of images.

    Keys of three indexes are in random order, so a transaction writes about as many of their pages as it has rows, or
    all of them. In large rounds, fewer and larger transactions write far less.
    """
    return min(max(CHUNK, count // _PARTS), _MOST)


def forget_unshown(app_context: AppContext, round_id: int) -> None:
    """Remove the findings of a round that ended before it was done."""
    with app_context.database.write() as session:
        status = rounds.get_round(session, round_id).status
        if status.ended and status is not JobStatus.DONE:
            findings.remove_findings(session, round_id)
