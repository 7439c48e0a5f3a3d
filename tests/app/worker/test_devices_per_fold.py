"""The real worker with two processes a fold: a kill, a cancel, and what the round says of it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.app_context import AppContext, open_app
from app.services.rounds import jobs as rounds
from app.settings import Settings
from core.config import RoundConfig
from core.types import JobStatus
from tests.app.services.reviewed import import_folder
from tests.app.worker.test_worker import TINY, children_of, is_alive, start_worker, until

SECONDS = 5.0


@pytest.fixture
def installation(tmp_path: Path, digits_folder: Path) -> Iterator[AppContext]:
    settings = Settings(home=tmp_path / "home", demo=False, embedded_worker=False, devices_per_fold=2)
    opened = open_app(settings)
    import_folder(opened, digits_folder)
    yield opened
    opened.database.close()


def ranks_of(worker: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that train, once both are there; the other one of the job's process tracks semaphores."""
    for job in children_of(worker.pid):
        found = [pid for pid in children_of(job) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        if len(found) == 2:
            return found
    return []


@pytest.mark.slow
def test_a_fold_with_a_killed_process_is_retried_and_a_cancel_ends_both_processes(
    installation: AppContext, workers: list[subprocess.Popen[bytes]]
) -> None:
    worker = start_worker(installation)
    workers.append(worker)
    started = rounds.start_round(installation, 1, RoundConfig(epochs=200, **TINY), "ada")
    until(lambda: rounds.progress(installation, started.id).folds[0].epoch > 0)
    first = ranks_of(worker)
    os.kill(first[1], signal.SIGKILL)
    until(lambda: rounds.progress(installation, started.id).folds[0].attempt == 2)
    assert not any(map(is_alive, first))
    until(lambda: rounds.progress(installation, started.id).folds[0].status is JobStatus.DONE)
    info = rounds.get_round(installation, started.id)
    assert (info.versions or {})["device"].startswith("2 x ")

    second = until(lambda: ranks_of(worker))
    assert rounds.cancel_round(installation, started.id)
    cancelled_at = time.monotonic()
    until(lambda: not any(map(is_alive, second)))
    assert time.monotonic() - cancelled_at < SECONDS
    assert rounds.get_round(installation, started.id).status is JobStatus.CANCELLED
    assert worker.poll() is None
