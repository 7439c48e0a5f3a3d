"""Processes of a worker: each job runs in its own process, and its end is written to the job's row.

A failed job raises nothing: the row holds status and reason, and the engine's workflow ends normally. A cancelled job
raises, after its process is gone.

A process that was killed, most likely for lack of memory, is started once more for the same command. A fold or shard
whose process is killed again is run with half the batch, stored in the round's row (`db.queries.rounds.halve_batch`).

A cancelled round's process is gone within two seconds: its row is read every `POLL_SECONDS`, and the process has
`GRACE_SECONDS` to stop between two batches. The engine's own notice comes up to a second later.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from app.services.app_context import AppContext
from app.worker.children import Child
from app.worker.finding_writer import forget_unshown
from core.types import JobStatus, KilledError, RoundCancelledError, RoundError, StorageAwayError, StorageError
from db.queries import exports, imports, rounds

log = logging.getLogger("outfold.worker")
T = TypeVar("T")

POLL_SECONDS = 0.25
RETRY_SECONDS = 2.0
_KILLS_AS_IT_IS = 2  # kills of a command before its batch is halved
LEISURE_SECONDS = 1.0  # seconds between checks whether an idle process has more work


class _CancelSeenError(RoundCancelledError):
    """The round's row was cancelled, so its process has been stopped."""


class WorkerProcesses:
    """Processes of one worker: one for each running round, kept between its pieces, and one for an import or export."""

    def __init__(self, app_context: AppContext) -> None:
        """Start without a process."""
        self._app_context = app_context
        self._children: dict[int, Child] = {}
        self._opened: set[int] = set()  # rounds that this worker also closes
        self._doing: list[str] = []
        self._watchers: dict[int, asyncio.Task[None]] = {}  # tasks, by round; asyncio itself keeps none alive
        self._turns: dict[int, asyncio.Lock] = {}  # a resumed round waits until its cancelled job is gone

    @property
    def doing(self) -> str:
        """Return the running jobs as text."""
        return ", ".join(self._doing)

    async def open_round(self, round_id: int) -> int:
        """Freeze the labels of a round and return the number of its shards, 0 without shards."""
        self._opened.add(round_id)
        await self._for_round(round_id, "snapshot")
        return await self._patiently(partial(self._count_shards, round_id))

    async def embed(self, round_id: int, shard: int) -> None:
        """Embed the images of one shard, unless the round has ended."""
        await self._for_round(round_id, "shard", shard=shard)

    async def train(self, round_id: int, fold: int) -> None:
        """Train one fold, unless the round has ended."""
        await self._for_round(round_id, "fold", fold=fold)

    async def close_round(self, round_id: int) -> None:
        """Judge a round whose folds are done, write its findings, and end its process."""
        try:
            await self._for_round(round_id, "judge")
        finally:
            self._opened.discard(round_id)
            await self._dismiss(round_id)

    async def run_import(self, import_id: int) -> None:
        """Run an import."""
        error = await self._run_alone("import", import_id=import_id)
        if error is not None:
            await self._store(partial(self._fail_import, import_id, error))

    async def run_export(self, export_id: int) -> None:
        """Run an export."""
        error = await self._run_alone("export", export_id=export_id)
        if error is not None:
            await self._store(partial(self._fail_export, export_id, error))

    async def _for_round(self, round_id: int, command: str, **arguments: int) -> None:
        async with self._turns.setdefault(round_id, asyncio.Lock()):
            await self._do_for_round(round_id, command, **arguments)

    async def _do_for_round(self, round_id: int, command: str, **arguments: int) -> None:
        if await self._patiently(partial(self._has_ended, round_id)):
            await self._dismiss(round_id)
            return
        name = " ".join([f"round {round_id}: {command}", *map(str, arguments.values())])
        self._doing.append(name)
        log.info("%s begins", name)
        try:
            await self._run_despite_kills(round_id, command, **arguments)
            log.info("%s done", name)
            if await self._patiently(partial(self._has_ended, round_id)):  # done, or the process saw a cancel first
                await self._dismiss(round_id)
        except RoundError as error:
            log.warning("%s failed: %s", name, error)
            await self._store(partial(self._fail, round_id, str(error)))
            await self._dismiss(round_id)
        except _CancelSeenError:  # nothing to store: the round may already be resumed
            await self._dismiss(round_id)
        except RoundCancelledError:
            await self._store(partial(self._fail, round_id, "its process was stopped from outside; start it again"))
            await self._dismiss(round_id)
        except asyncio.CancelledError:
            log.info("%s cancelled", name)
            await self._dismiss(round_id)
            raise
        finally:
            self._doing.remove(name)

    async def _run_despite_kills(self, round_id: int, command: str, **arguments: int) -> None:
        """Run a command; again after a kill, and a fold or shard with half the batch after a second kill.

        While a storage server is unreachable, wait and run it again.
        """
        kills = 0
        while True:
            try:
                return await self._run_watched(round_id, command, **arguments)
            except KilledError as error:
                kills += 1
                await self._dismiss(round_id)
                if kills == _KILLS_AS_IT_IS:
                    if not await self._patiently(partial(self._halve_batch, round_id, arguments)):
                        raise
                elif kills > _KILLS_AS_IT_IS:
                    raise
                log.warning("%s of round %s, kill %d: %s", command, round_id, kills, error)
            except StorageAwayError as error:
                log.warning("%s of round %s waits: %s", command, round_id, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _run_watched(self, round_id: int, command: str, **arguments: int) -> None:
        """Run a command in a round's process; stop it as soon as the round's row is cancelled."""
        child = await self._child(round_id)
        work = asyncio.create_task(child.run(command, round_id=round_id, **arguments))
        try:
            while not (await asyncio.wait({work}, timeout=POLL_SECONDS))[0]:
                if await self._patiently(partial(self._is_cancelled, round_id)):
                    await child.stop()
                    await asyncio.wait({work})
                    raise _CancelSeenError(f"round {round_id} was cancelled")
            work.result()
        finally:
            if not work.cancel():
                work.exception()  # retrieved, or it would be logged as never retrieved

    async def _run_alone(self, command: str, **arguments: int) -> str | None:
        """Run a command in its own process; return the cause of its failure, else None.

        While a storage server is unreachable, wait and run it again.
        """
        name = f"{command} {next(iter(arguments.values()))}"
        self._doing.append(name)
        child = await Child.start(self._app_context.settings)
        try:
            while True:
                try:
                    await child.run(command, **arguments)
                    return None  # noqa: TRY300
                except StorageAwayError as error:
                    log.warning("%s waits: %s", name, error)
                    await asyncio.sleep(RETRY_SECONDS)
        except RoundError as error:
            log.warning("%s failed: %s", name, error)
            return str(error)
        except RoundCancelledError:
            return "stopped; start it again"
        finally:
            self._doing.remove(name)
            await child.stop()

    async def _child(self, round_id: int) -> Child:
        known = self._children.get(round_id)
        if known is not None and known.alive:
            return known
        child = self._children[round_id] = await Child.start(self._app_context.settings)
        self._watchers[round_id] = asyncio.create_task(self._dismiss_idle(round_id, child))
        return child

    async def _dismiss_idle(self, round_id: int, child: Child) -> None:
        """End an idle process once its round has no more commands for it."""
        while self._children.get(round_id) is child:
            await asyncio.sleep(LEISURE_SECONDS)
            async with self._turns[round_id]:
                try:
                    if self._children.get(round_id) is child and not await asyncio.to_thread(self._has_work, round_id):
                        log.info("round %s has no more work for process %s", round_id, child.pid)
                        await self._dismiss(round_id)
                except StorageError as error:
                    log.warning("whether round %s has more work is asked again: %s", round_id, error)

    async def _dismiss(self, round_id: int) -> None:
        child = self._children.pop(round_id, None)
        if child is not None:
            await child.stop()
            await self._patiently(partial(forget_unshown, self._app_context, round_id))

    async def _store(self, act: Callable[[], None]) -> None:
        """Store the end of a job; retry while the disk is full or the database unreachable."""
        await self._patiently(act, StorageError)

    async def _patiently(self, act: Callable[[], T], fault: type[StorageError] = StorageAwayError) -> T:
        """Run a database call; retry while there is such a fault."""
        while True:
            try:
                return await asyncio.to_thread(act)
            except fault as error:
                log.warning("a job waits for the database: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    def _has_work(self, round_id: int) -> bool:
        """Return whether a fold is queued, or this worker has yet to close the round that it opened."""
        with self._app_context.database.read() as session:
            if rounds.get_round(session, round_id).status.ended:
                return False
            return round_id in self._opened or rounds.has_waiting_fold(session, round_id)

    def _count_shards(self, round_id: int) -> int:
        with self._app_context.database.read() as session:
            return rounds.count_shards(session, round_id)

    def _halve_batch(self, round_id: int, piece: Mapping[str, int]) -> bool:
        """Halve the batch of a fold or shard, {kind: number}; False for any other command."""
        with self._app_context.database.write() as session:
            return any(rounds.halve_batch(session, round_id, kind, number) for kind, number in piece.items())

    def _has_ended(self, round_id: int) -> bool:
        with self._app_context.database.read() as session:
            return rounds.get_round(session, round_id).status.ended

    def _is_cancelled(self, round_id: int) -> bool:
        with self._app_context.database.read() as session:
            return rounds.get_round(session, round_id).status is JobStatus.CANCELLED

    def _fail(self, round_id: int, reason: str) -> None:
        with self._app_context.database.write() as session:
            rounds.end_round(session, round_id, JobStatus.FAILED, reason, datetime.now(UTC))

    def _fail_import(self, import_id: int, reason: str) -> None:
        with self._app_context.database.write() as session:
            imports.finish_import(session, import_id, JobStatus.FAILED, reason)

    def _fail_export(self, export_id: int, reason: str) -> None:
        with self._app_context.database.write() as session:
            exports.finish_export(session, export_id, JobStatus.FAILED, reason)
