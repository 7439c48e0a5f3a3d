"""A job that fails while its row cannot be written: its end is stored as soon as it can be."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services import rounds
from app.services.workspace import Workspace
from app.worker import workplace
from app.worker.workplace import Workplace
from core.config import RoundConfig
from core.types import RoundError, RoundStatus, StorageError
from db.engine import Database
from tests.app.small import add_dataset


class Broken:
    """A child whose disk is full."""

    alive = True

    async def run(self, _command: str, **_arguments: int) -> None:
        raise RoundError("/var/files/x: the disk is full; free some space, then try again")

    async def stop(self) -> None: ...


def test_a_round_that_fails_on_a_full_disk_says_so_once_there_is_space(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = rounds.start_round(workspace, add_dataset(workspace, [0, 1] * 5), RoundConfig(folds=2), "ada")
    place, tries = Workplace(workspace), 0
    write: Callable[..., object] = Database.write

    def sometimes(database: Database) -> object:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise StorageError("outfold.sqlite: its disk is full; free some space, then try again")
        return write(database)

    async def child(_self: Workplace, _round_id: int) -> Broken:
        return Broken()

    monkeypatch.setattr(workplace, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(Workplace, "_child", child)
    monkeypatch.setattr(Database, "write", sometimes)
    with ThreadPoolExecutor(1) as pool:  # a browser test of the same process has a loop of its own in this thread
        pool.submit(asyncio.run, place.train(started.id, 0)).result()
    ended = rounds.get_round(workspace, started.id)
    assert tries == 3
    assert ended.status is RoundStatus.FAILED
    assert "disk is full; free some space" in ended.message
