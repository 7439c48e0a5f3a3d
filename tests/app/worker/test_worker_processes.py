"""A job that fails while its row cannot be written: its end is stored as soon as it can be."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds
from app.worker import worker_processes
from app.worker.worker_processes import WorkerProcesses
from core.config import RoundConfig
from core.types import JobStatus, KilledError, RoundError, StorageError
from db.engine import Database
from db.faults import DatabaseAwayError
from db.queries.rounds import noted_batch
from tests.app.small import add_dataset


class Broken:
    """A child whose disk is full."""

    alive = True

    async def run(self, _command: str, **_arguments: int) -> None:
        raise RoundError("/var/files/x: the disk is full; free some space, then try again")

    async def stop(self) -> None: ...


def test_a_round_that_failed_on_a_full_disk_reports_it_once_there_is_space(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, [0, 1] * 5), RoundConfig(folds=2), "ada")
    place, tries = WorkerProcesses(app_context), 0
    write: Callable[..., object] = Database.write

    def sometimes(database: Database) -> object:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise StorageError("outfold.sqlite: its disk is full; free some space, then try again")
        return write(database)

    async def child(_self: WorkerProcesses, _round_id: int) -> Broken:
        return Broken()

    monkeypatch.setattr(worker_processes, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(WorkerProcesses, "_child", child)
    monkeypatch.setattr(Database, "write", sometimes)
    with ThreadPoolExecutor(1) as pool:  # a browser test of the same process has a loop of its own in this thread
        pool.submit(asyncio.run, place.train(started.id, 0)).result()
    ended = rounds.get_round(app_context, started.id)
    assert tries == 3
    assert ended.status is JobStatus.FAILED
    assert "disk is full; free some space" in ended.message


class Killed:
    """A child that is killed at its first commands; notes each one's number."""

    alive = True
    pid = 0

    def __init__(self, times: int) -> None:
        self.left, self.runs = times, 0

    async def run(self, _command: str, **_arguments: int) -> None:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise KilledError("the training process was killed", "close other programs")

    async def stop(self) -> None: ...


@pytest.mark.parametrize(
    ("kills", "runs", "batch", "status"),
    [
        (1, 2, 256, JobStatus.QUEUED),
        (2, 3, 128, JobStatus.QUEUED),
        (3, 3, 128, JobStatus.FAILED),
    ],
)
def test_a_killed_fold_is_retried_unchanged_then_with_half_the_batch_then_fails(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch, kills: int, runs: int, batch: int, status: JobStatus
) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, [0, 1] * 5), RoundConfig(folds=2), "ada")
    place, killed = WorkerProcesses(app_context), Killed(kills)

    async def child(_self: WorkerProcesses, _round_id: int) -> Killed:
        return killed

    monkeypatch.setattr(WorkerProcesses, "_child", child)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, place.train(started.id, 1)).result()
    ended = rounds.get_round(app_context, started.id)
    assert killed.runs == runs
    assert ended.status is status
    noted = [noted_batch(ended, "fold", fold) for fold in range(2)]
    assert noted == [None, None if batch == 256 else batch]
    assert (ended.versions or {}) == ({} if batch == 256 else {"batch size of fold 2": batch})


def test_a_shard_killed_twice_is_embedded_with_half_the_batch(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, [0, 1] * 5), RoundConfig(folds=2), "ada")
    place, killed = WorkerProcesses(app_context), Killed(2)

    async def child(_self: WorkerProcesses, _round_id: int) -> Killed:
        return killed

    monkeypatch.setattr(WorkerProcesses, "_child", child)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, place.embed(started.id, 1)).result()
    info = rounds.get_round(app_context, started.id)
    assert killed.runs == 3
    assert (info.versions or {}) == {"batch size of shard 2": 128}
    assert noted_batch(info, "shard", 1) == 128
    assert noted_batch(info, "fold", 1) is None


class WithoutDatabase(Killed):
    """A child that loses its database at its first commands."""

    async def run(self, _command: str, **_arguments: int) -> None:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise DatabaseAwayError("postgresql://127.0.0.1: the connection broke", "start the server")


def test_a_round_waits_for_an_unreachable_database_and_continues(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, [0, 1] * 5), RoundConfig(folds=2), "ada")
    place, cut_off, reads = WorkerProcesses(app_context), WithoutDatabase(4), 0
    read: Callable[..., object] = Database.read

    def sometimes(database: Database) -> object:
        nonlocal reads
        reads += 1
        if reads % 2:
            raise DatabaseAwayError("postgresql://127.0.0.1: it does not answer", "start the server")
        return read(database)

    async def child(_self: WorkerProcesses, _round_id: int) -> WithoutDatabase:
        return cut_off

    monkeypatch.setattr(worker_processes, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(WorkerProcesses, "_child", child)
    with monkeypatch.context() as away, ThreadPoolExecutor(1) as pool:
        away.setattr(Database, "read", sometimes)
        pool.submit(asyncio.run, place.train(started.id, 0)).result()
    assert cut_off.runs == 5
    assert reads > 2
    assert not rounds.get_round(app_context, started.id).status.ended


@pytest.mark.parametrize("work", ["run_import", "run_export"])
def test_imports_and_exports_wait_for_an_unreachable_database(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    place, cut_off = WorkerProcesses(app_context), WithoutDatabase(3)

    async def start(_settings: object) -> WithoutDatabase:
        return cut_off

    monkeypatch.setattr(worker_processes, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(worker_processes.Child, "start", start)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(
            asyncio.run, getattr(place, work)(1)
        ).result()  # fails if the job's end were stored: there is no job 1
    assert cut_off.runs == 4
    assert not place.doing


def test_a_killed_snapshot_is_retried_once_and_then_fails(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, [0, 1] * 5), RoundConfig(folds=2), "ada")
    place, killed = WorkerProcesses(app_context), Killed(2)

    async def child(_self: WorkerProcesses, _round_id: int) -> Killed:
        return killed

    monkeypatch.setattr(WorkerProcesses, "_child", child)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, place.open_round(started.id)).result()
    ended = rounds.get_round(app_context, started.id)
    assert killed.runs == 2
    assert ended.status is JobStatus.FAILED
    assert "killed" in ended.message
