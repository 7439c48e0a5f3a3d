"""Several workers on one installation, real processes: killed children, lost workers, cancels."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.rounds import jobs as rounds, resume as resuming
from app.services.rounds.jobs import RoundInfo
from app.services.workers import slot_lock
from app.settings import Settings
from core.config import RoundConfig
from core.types import JobStatus
from db.queries.workers import list_workers
from tests.app.worker.test_worker import TINY, children_of, ended, is_alive, start_worker, until

pytest_plugins = ["tests.postgres"]


def new_home(home: Path, digits: Path, url: str = "") -> AppContext:
    opened = open_app(Settings(home=home, database_url=url, engine_url=url, demo=False, embedded_worker=False))
    imports.run_import(opened, imports.add_import(opened, ImportRequest(name="digits", source=str(digits))))
    return opened


def in_slot(app_context: AppContext, slot: str) -> AppContext:
    return replace(app_context, settings=app_context.settings.model_copy(update={"worker_slot": slot}))


@pytest.fixture
def installation(tmp_path: Path, digits_folder: Path) -> Iterator[AppContext]:
    opened = new_home(tmp_path / "home", digits_folder)
    yield opened
    opened.database.close()


@pytest.fixture
def fleet(postgres_url: str, tmp_path: Path, digits_folder: Path) -> Iterator[AppContext]:
    """Return an installation on PostgreSQL."""
    opened = new_home(tmp_path / "home", digits_folder, postgres_url)
    yield opened
    opened.database.close()


def trains(app_context: AppContext, started: RoundInfo, fold: int, attempt: int) -> bool:
    run = rounds.progress(app_context, started.id).folds[fold]
    return run.attempt == attempt and run.epoch > 0


def kill_child(worker: subprocess.Popen[bytes]) -> None:
    (child,) = children_of(worker.pid)
    os.kill(child, signal.SIGKILL)
    until(lambda: not is_alive(child))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_child_is_restarted_then_with_half_the_batch_and_the_failed_round_resumes(
    installation: AppContext, workers: list[subprocess.Popen[bytes]]
) -> None:
    config = RoundConfig(epochs=4000, **TINY)
    workers.append(start_worker(installation))
    started = rounds.start_round(installation, 1, config, "ada")
    for attempt in (1, 2):
        until(lambda attempt=attempt: trains(installation, started, 0, attempt))  # type: ignore[misc]
        kill_child(workers[0])
    until(lambda: trains(installation, started, 0, 3))
    first = rounds.progress(installation, started.id).folds[0]
    assert first.batch_size == 32
    assert "out of memory: batch halved to 32" in first.message
    assert (rounds.get_round(installation, started.id).versions or {})["batch size of fold 1"] == 32
    kill_child(workers[0])
    failed = ended(installation, started)
    assert failed.status is JobStatus.FAILED
    assert "killed again and again" in failed.message
    assert workers[0].poll() is None

    resuming.resume_round(installation, started.id)
    until(lambda: trains(installation, started, 0, 4))
    assert rounds.progress(installation, started.id).folds[0].batch_size == 32
    assert rounds.cancel_round(installation, started.id)


def doing(app_context: AppContext, what: str) -> str | None:
    """Return the slot of the worker that says that it does this."""
    with app_context.database.read() as session:
        return next((worker.slot for worker in list_workers(session) if what in worker.doing.split(", ")), None)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_fold_of_a_lost_worker_is_trained_again_and_a_cancel_ends_all_children(
    fleet: AppContext, workers: list[subprocess.Popen[bytes]]
) -> None:
    slots = [f"{place}" for place in range(3)]
    workers += [start_worker(in_slot(fleet, slot), impatient=True) for slot in slots]
    started = rounds.start_round(fleet, 1, RoundConfig(epochs=40_000, **TINY), "ada")
    until(lambda: trains(fleet, started, 0, 1) and trains(fleet, started, 1, 1))
    slot = until(lambda: doing(fleet, f"round {started.id}: fold 0"))
    lost = workers.pop(slots.index(slot.rpartition(":")[2]))
    lost.kill()
    lost.wait()
    slot_lock(fleet.settings, slot).unlink()  # as on another machine, whose locks nobody sees here
    until(lambda: doing(fleet, f"round {started.id}: fold 0") not in (None, slot))
    until(lambda: trains(fleet, started, 0, 2))
    assert rounds.progress(fleet, started.id).folds[1].attempt == 1

    children = [child for worker in workers for child in children_of(worker.pid)]
    assert len(children) >= 2
    assert rounds.cancel_round(fleet, started.id)
    until(lambda: not any(is_alive(child) for child in children), seconds=120)

    short = ended(fleet, rounds.start_round(fleet, 1, RoundConfig(epochs=1, **TINY), "ada"))
    assert short.status is JobStatus.DONE, short.message
    until(lambda: not any(children_of(worker.pid) for worker in workers), seconds=120)
