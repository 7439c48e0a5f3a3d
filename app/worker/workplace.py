"""What one worker does: each job in a process of its own, each end written into the job's row.

Nothing here raises for a failed job: the row says failed and why, and the engine's workflow ends in peace. Only a
cancelled one goes on raising, after its process is gone.

A cancelled round's process is gone within two seconds: its row is looked at every `LOOK_SECONDS` and the process given
`GRACE_SECONDS` to stop between two batches. The engine's own word, up to a second later, would leave nothing to spare.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from app.services.workspace import Workspace
from app.worker.children import Child
from app.worker.writing import forget_unshown
from core.types import RoundCancelledError, RoundError, RoundStatus, StorageError
from db.queries import exports, imports, rounds

log = logging.getLogger("outfold.worker")

LOOK_SECONDS = 0.25
RETRY_SECONDS = 2.0


class Workplace:
    """The processes of one worker: one a round at work, kept between its folds, and one an import or export."""

    def __init__(self, workspace: Workspace) -> None:
        """Begin with no process."""
        self._workspace = workspace
        self._children: dict[int, Child] = {}
        self._doing: list[str] = []

    @property
    def doing(self) -> str:
        """Return what is being done, for people."""
        return ", ".join(self._doing)

    async def open_round(self, round_id: int) -> None:
        """Freeze the labels a round opens with."""
        await self._for_round(round_id, "snapshot")

    async def train(self, round_id: int, fold: int) -> None:
        """Train one fold, unless the round has ended."""
        await self._for_round(round_id, "fold", fold=fold)

    async def close_round(self, round_id: int) -> None:
        """Judge a round whose folds are all done and write its findings; its process is not needed any more."""
        try:
            await self._for_round(round_id, "judge")
        finally:
            await self._dismiss(round_id)

    async def run_import(self, import_id: int) -> None:
        """Do an import."""
        error = await self._alone("import", import_id=import_id)
        if error is not None:
            await self._note(partial(self._fail_import, import_id, error))

    async def run_export(self, export_id: int) -> None:
        """Do an export."""
        error = await self._alone("export", export_id=export_id)
        if error is not None:
            await self._note(partial(self._fail_export, export_id, error))

    async def _for_round(self, round_id: int, command: str, **arguments: int) -> None:
        if await asyncio.to_thread(self._has_ended, round_id):
            await self._dismiss(round_id)
            return
        said = f"round {round_id}: {command} {arguments.get('fold', '')}".strip()
        self._doing.append(said)
        log.info("%s begins", said)
        try:
            await self._watched(round_id, command, **arguments)
            log.info("%s done", said)
            if await asyncio.to_thread(self._has_ended, round_id):  # done, or the process saw a cancel first
                await self._dismiss(round_id)
        except RoundError as error:
            log.warning("%s failed: %s", said, error)
            await self._note(partial(self._fail, round_id, str(error)))
            await self._dismiss(round_id)
        except RoundCancelledError:  # a cancel the process saw first; otherwise somebody stopped only the process
            await self._note(partial(self._fail, round_id, "its process was stopped from outside; start it again"))
            await self._dismiss(round_id)
        except asyncio.CancelledError:
            log.info("%s cancelled", said)
            await self._dismiss(round_id)
            raise
        finally:
            self._doing.remove(said)

    async def _watched(self, round_id: int, command: str, **arguments: int) -> None:
        """Have a round's process do a command; stop it as soon as the round's row says cancelled."""
        child = await self._child(round_id)
        work = asyncio.create_task(child.run(command, round_id=round_id, **arguments))
        try:
            while not (await asyncio.wait({work}, timeout=LOOK_SECONDS))[0]:
                if await asyncio.to_thread(self._is_cancelled, round_id):
                    await child.stop()
                    await asyncio.wait({work})
                    raise RoundCancelledError(f"round {round_id} was cancelled")
            work.result()
        finally:
            if not work.cancel():
                work.exception()  # looked at: what a stopped process leaves is nobody's concern

    async def _alone(self, command: str, **arguments: int) -> str | None:
        """Do a command in a process of its own; return why it failed."""
        said = f"{command} {next(iter(arguments.values()))}"
        self._doing.append(said)
        child = await Child.start(self._workspace.settings)
        try:
            await child.run(command, **arguments)
        except RoundError as error:
            log.warning("%s failed: %s", said, error)
            return str(error)
        except RoundCancelledError:
            return "stopped; start it again"
        finally:
            self._doing.remove(said)
            await child.stop()
        return None

    async def _child(self, round_id: int) -> Child:
        known = self._children.get(round_id)
        if known is not None and known.alive:
            return known
        child = self._children[round_id] = await Child.start(self._workspace.settings)
        return child

    async def _dismiss(self, round_id: int) -> None:
        child = self._children.pop(round_id, None)
        if child is not None:
            await child.stop()
            await asyncio.to_thread(forget_unshown, self._workspace, round_id)

    async def _note(self, act: Callable[[], None]) -> None:
        """Write why a job ended; where the disk is full or the server away, again and again until it is stored."""
        while True:
            try:
                return await asyncio.to_thread(act)
            except StorageError as error:
                log.warning("a failed job waits to be written down: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    def _has_ended(self, round_id: int) -> bool:
        with self._workspace.database.read() as session:
            return rounds.get_round(session, round_id).status.ended

    def _is_cancelled(self, round_id: int) -> bool:
        with self._workspace.database.read() as session:
            return rounds.get_round(session, round_id).status is RoundStatus.CANCELLED

    def _fail(self, round_id: int, reason: str) -> None:
        with self._workspace.database.write() as session:
            rounds.end_round(session, round_id, RoundStatus.FAILED, reason, datetime.now(UTC))

    def _fail_import(self, import_id: int, reason: str) -> None:
        with self._workspace.database.write() as session:
            imports.finish_import(session, import_id, RoundStatus.FAILED, reason)

    def _fail_export(self, export_id: int, reason: str) -> None:
        with self._workspace.database.write() as session:
            exports.finish_export(session, export_id, RoundStatus.FAILED, reason)
