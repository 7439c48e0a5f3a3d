"""The real worker process on a real installation, killed and cancelled while it trains real networks on tiny images."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from dbos import DBOSClient

from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.jobs import fold_job, round_job
from app.services.rounds import jobs as rounds, resume as resuming
from app.services.rounds.jobs import RoundInfo
from app.services.workers import settled_worker_state, worker_state
from app.settings import Settings
from app.worker.children import child_environment
from core.config import RoundConfig, Weights
from core.data.networks import kept_networks
from core.types import FindingFilter, JobStatus
from db.queries import findings, rounds as round_rows

T = TypeVar("T")
IMPATIENT = "from app.worker import main, sweep; sweep.LOST_SECONDS /= 2; main.main()"
TINY = {"folds": 2, "input_size": 8, "grey": True, "batch_size": 64, "device": "cpu"}


def until(look: Callable[[], T | None], seconds: float = 240) -> T:
    """Return the first true thing `look` sees."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(0.05)
    pytest.fail(f"nothing came of it within {seconds} s")


def start_worker(app_context: AppContext, *, impatient: bool = False) -> subprocess.Popen[bytes]:
    """Start a worker; an impatient one takes another one for lost after half the time."""
    program = ["-c", IMPATIENT] if impatient else ["-m", "app.worker.main"]
    return subprocess.Popen(
        [sys.executable, *program, "--ends-with-parent"],
        stdin=subprocess.PIPE,
        env=child_environment(app_context.settings),
    )


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.glob("*/children") for child in task.read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def deafen(pid: int, app_context: AppContext) -> None:
    """Stop a process, but in the midst of no transaction: stopped there it would let nobody else write."""

    def stopped() -> bool:
        os.kill(pid, signal.SIGSTOP)
        connection = sqlite3.connect(app_context.settings.home / "outfold.sqlite", timeout=0.2)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            return False
        finally:
            connection.close()
        return True

    until(stopped)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[AppContext]:
    home = tmp_path_factory.mktemp("worker") / "home"
    opened = open_app(Settings(home=home, demo=False, embedded_worker=False))
    imports.run_import(opened, imports.add_import(opened, ImportRequest(name="digits", source=str(digits_folder))))
    yield opened
    opened.database.close()


@pytest.fixture
def worker(installation: AppContext) -> Iterator[subprocess.Popen[bytes]]:
    process = start_worker(installation)
    yield process
    process.kill()
    process.wait()


def ended(app_context: AppContext, started: RoundInfo) -> RoundInfo:
    def look() -> RoundInfo | None:
        info = rounds.get_round(app_context, started.id)
        return info if info.status.ended else None

    return until(look)


@pytest.mark.slow
def test_a_round_survives_kill_9_and_keeps_its_finished_folds(
    installation: AppContext, worker: subprocess.Popen[bytes]
) -> None:
    started = rounds.start_round(installation, 1, RoundConfig(epochs=200, **TINY), "ada")

    def second_fold_trains() -> bool:
        first, second = rounds.progress(installation, started.id).folds
        return first.status is JobStatus.DONE and second.epoch > 1

    until(second_fold_trains)
    finished = installation.round_folder(started.id) / "fold_0.npz"
    written = finished.stat().st_mtime_ns
    shown = rounds.progress(installation, started.id)
    assert settled_worker_state(installation).is_alive
    assert shown.seconds_left is not None
    assert shown.current is not None
    assert shown.current.loss is not None
    training = children_of(worker.pid)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    until(lambda: not any(is_alive(pid) for pid in training), seconds=60)

    second = start_worker(installation)
    try:
        info = ended(installation, started)
    finally:
        second.kill()
        second.wait()
    with installation.database.read() as session:
        folds = round_rows.folds_of(session, started.id)
        found = findings.count(session, FindingFilter(round_id=started.id, kinds=frozenset(), statuses=frozenset()))
    assert info.status is JobStatus.DONE, info.message
    assert [fold.attempt for fold in folds] == [1, 2]
    assert finished.stat().st_mtime_ns == written
    assert found == 300
    assert info.snapshot_hash
    assert info.versions
    assert info.accuracy is not None
    assert info.accuracy > 0.3
    kept = kept_networks(installation.round_folder(started.id))
    assert [fold.model_hash for fold in folds] == [one.hash for one in kept]


@pytest.mark.slow
def test_the_round_that_was_started_first_is_trained_first(installation: AppContext, digits_folder: Path) -> None:
    again = imports.add_import(installation, ImportRequest(name="again", source=str(digits_folder)))
    other = imports.run_import(installation, again).dataset_id
    assert other
    config = RoundConfig(epochs=1, **TINY)
    first, second = (rounds.start_round(installation, dataset_id, config, "ada") for dataset_id in (1, other))
    process = start_worker(installation)
    try:
        infos = [ended(installation, one) for one in (first, second)]
    finally:
        process.kill()
        process.wait()
    assert [info.status for info in infos] == [JobStatus.DONE] * 2
    with installation.database.read() as session:  # what is last, judging, is done beside other folds
        folds = [round_rows.folds_of(session, one.id) for one in (first, second)]
    ends = [max(fold.finished_at or datetime.max.replace(tzinfo=UTC) for fold in own) for own in folds]
    assert ends == sorted(ends)
    client = DBOSClient(system_database_url=installation.settings.dbos_url)
    ids = [fold_job(round_job(one.id), fold) for one in (first, second) for fold in range(2)]
    jobs = client.list_workflows(workflow_ids=ids)
    client.destroy()
    assert {job.workflow_id: job.priority for job in jobs} == {
        fold_job(round_job(one.id), fold): one.id for one in (first, second) for fold in range(2)
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cancelled_round_resumed_immediately_survives_kill_9_and_repeats_no_finished_fold(
    installation: AppContext, worker: subprocess.Popen[bytes]
) -> None:
    started = rounds.start_round(installation, 1, RoundConfig(epochs=1000, seed=5, **TINY), "ada")

    def second_fold_trains(attempt: int) -> bool:
        first, second = rounds.progress(installation, started.id).folds
        return first.status is JobStatus.DONE and second.attempt == attempt and second.epoch > 1

    until(lambda: second_fold_trains(1))
    finished = installation.round_folder(started.id) / "fold_0.npz"
    written = finished.stat().st_mtime_ns
    assert rounds.cancel_round(installation, started.id)
    resuming.resume_round(installation, started.id)  # while the cancelled process still ends
    until(lambda: second_fold_trains(2))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    second = start_worker(installation)
    try:
        info = ended(installation, started)
    finally:
        second.kill()
        second.wait()
    assert info.status is JobStatus.DONE, info.message
    assert [fold.attempt for fold in rounds.progress(installation, started.id).folds] == [1, 3]
    assert finished.stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_cancelled_round_stops_its_process_and_another_can_start_and_report_its_failure(
    installation: AppContext, worker: subprocess.Popen[bytes]
) -> None:
    started = rounds.start_round(installation, 1, RoundConfig(epochs=5000, **TINY), "ada")
    until(lambda: rounds.progress(installation, started.id).folds[0].epoch > 0)
    (training,) = children_of(worker.pid)
    assert rounds.cancel_round(installation, started.id)
    until(lambda: not is_alive(training), seconds=60)
    assert rounds.get_round(installation, started.id).status is JobStatus.CANCELLED
    assert not rounds.cancel_round(installation, started.id)

    broken = installation.settings.home / "broken.pth"
    broken.write_bytes(b"no weights at all")
    config = RoundConfig(epochs=1, model="resnet18", weights=Weights.FILE, weights_file=str(broken), **TINY)
    failed = ended(installation, rounds.start_round(installation, 1, config, "ada"))
    assert failed.status is JobStatus.FAILED
    assert "broken.pth" in failed.message
    assert worker.poll() is None


@pytest.mark.slow
def test_an_unresponsive_cancelled_process_is_killed(installation: AppContext, worker: subprocess.Popen[bytes]) -> None:
    started = rounds.start_round(installation, 1, RoundConfig(epochs=5000, **TINY), "ada")
    until(lambda: rounds.progress(installation, started.id).folds[0].epoch > 0)
    (training,) = children_of(worker.pid)
    deafen(training, installation)  # as in a batch that takes minutes
    assert rounds.cancel_round(installation, started.id)
    until(lambda: not is_alive(training), seconds=60)
    assert rounds.get_round(installation, started.id).status is JobStatus.CANCELLED
    assert worker.poll() is None


def test_a_second_worker_in_the_same_slot_is_refused_with_a_cure(installation: AppContext) -> None:
    from app.worker.slot import slot_is_free, take_slot

    with take_slot(installation.settings):
        assert not slot_is_free(installation.settings)
        second = start_worker(installation)
        second.wait(60)
    assert second.returncode == 4
    assert slot_is_free(installation.settings)


@pytest.mark.slow
def test_the_embedded_worker_starts_restarts_after_dying_and_ends_with_a_killed_app(
    tmp_path: Path,
) -> None:
    app_context = open_app(Settings(home=tmp_path / "home", demo=False))
    script = (
        "from app.services.app_context import app_context; from app.worker.embedded import EmbeddedWorker; import time;"
        "EmbeddedWorker(app_context()).start(); time.sleep(600)"
    )
    app = subprocess.Popen([sys.executable, "-c", script], env=child_environment(app_context.settings))
    try:
        first = until(lambda: _living_worker(app_context, not_pid=0))
        os.kill(first, signal.SIGKILL)
        second = until(lambda: _living_worker(app_context, not_pid=first))
    finally:
        app.kill()
        app.wait()
    until(lambda: not is_alive(second), seconds=60)


def _living_worker(app_context: AppContext, not_pid: int) -> int | None:
    alive = worker_state(app_context).alive
    fresh = [one for one in alive if one.pid != not_pid and is_alive(one.pid)]
    return fresh[0].pid if fresh else None
