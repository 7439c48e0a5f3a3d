"""Sweep of a worker: jobs that never reached the engine or were abandoned, workers that never return."""

import errno
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from app.services import jobs, workers
from app.services.app_context import AppContext
from app.services.exports import jobs as exports, run as export_run
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.rounds import jobs as rounds
from app.services.workers import beat, settled_worker_state
from app.worker import slot, sweep
from app.worker.children import child_environment
from app.worker.slot import Heartbeat
from app.worker.sweep import release_lost, settle_orphans
from app.worker.worker_processes import WorkerProcesses
from core.config import RoundConfig
from core.data.export.items import ExportOptions
from core.types import JobStatus
from db.models import ExportRow
from db.queries import exports as export_rows, rounds as rows
from db.queries.workers import WorkerInfo, list_workers
from tests.app.small import NOW, add_dataset

LATER = datetime(2100, 1, 1, tzinfo=UTC)


def test_a_round_without_a_job_is_enqueued(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, [0, 1] * 5)
    with app_context.database.write() as session:
        round_id = rows.add_round(session, dataset_id, RoundConfig(folds=2).to_json(), "ada", NOW)
    settle_orphans(app_context, before=NOW - timedelta(seconds=1))
    assert not jobs.is_active(app_context, jobs.round_job(round_id)), "it may be on its way"
    settle_orphans(app_context, before=LATER)
    assert jobs.is_active(app_context, jobs.round_job(round_id))


def test_a_running_round_given_up_by_the_engine_fails_with_the_cause(app_context: AppContext) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, [0, 1] * 5), RoundConfig(folds=2), "ada")
    with app_context.database.write() as session:
        rows.begin_round(session, started.id, "training", NOW)
    settle_orphans(app_context, before=LATER)
    assert rounds.get_round(app_context, started.id).status is JobStatus.RUNNING
    jobs.cancel_round(app_context, started.id)
    settle_orphans(app_context, before=LATER)
    ended = rounds.get_round(app_context, started.id)
    assert ended.status is JobStatus.FAILED
    assert "start it again" in ended.message


def test_a_worker_with_a_constant_heartbeat_is_removed_whatever_its_clock(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [0.0]
    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: passed[0]))
    now = datetime.now(UTC)
    beat(app_context, WorkerInfo("behind:0", 1, "2 CPU cores", "", now, now - timedelta(hours=1)))
    beat(app_context, WorkerInfo("ahead:0", 2, "2 CPU cores", "", now, now + timedelta(hours=1)))
    release_lost(app_context, silent_seconds=60)
    passed[0] = 61
    beat(app_context, WorkerInfo("behind:0", 1, "2 CPU cores", "", now, now - timedelta(minutes=59)))
    release_lost(app_context, silent_seconds=60)
    with app_context.database.read() as session:
        assert [worker.slot for worker in list_workers(session)] == ["behind:0"]


def test_an_import_run_by_a_command_is_not_touched_and_an_abandoned_one_fails(
    app_context: AppContext, digits_folder: Path
) -> None:
    import_id = imports.add_import(app_context, ImportRequest(name="digits", source=str(digits_folder)))
    script = (
        "import sys; from app.services.imports import jobs as imports;"
        "from app.services.app_context import app_context;"
        "wait = lambda _done, _total, stage: stage == 'storing' and (print('running', flush=True), sys.stdin.read());"
        f"imports.run_import(app_context(), {import_id}, wait)"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(app_context.settings),
    )
    try:
        assert command.stdout is not None
        assert command.stdout.readline() == b"running\n"
        settle_orphans(app_context, before=LATER)
        assert imports.get_import(app_context, import_id).status is JobStatus.RUNNING
    finally:
        command.kill()
        command.communicate()
    settle_orphans(app_context, before=LATER)
    assert imports.get_import(app_context, import_id).status is JobStatus.FAILED


def test_a_failed_clean_up_step_stops_neither_the_heartbeat_nor_the_other_steps(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset_id = add_dataset(app_context, [0, 1] * 5)
    broken, sound = (abandoned_export(app_context, dataset_id, tmp_path / name) for name in ("broken", "sound"))

    def clear(path: Path, *, confirmed: bool) -> None:
        if path.name == "broken":
            raise OSError(errno.EIO, "Input/output error", str(path))  # as of a share that went away

    def no_lost_workers(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(export_run, "clear_remains", clear)
    monkeypatch.setattr(sweep, "release_lost", no_lost_workers)
    monkeypatch.setattr(slot, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(slot, "SWEEP_SECONDS", 0.1)
    heartbeat = Heartbeat(app_context, WorkerProcesses(app_context))
    heartbeat.start()
    try:
        until_failed(app_context, sound)
        assert exports.get_export(app_context, broken).status is JobStatus.RUNNING
        monkeypatch.undo()  # the share is back
        monkeypatch.setattr(slot, "HEARTBEAT_SECONDS", 0.05)
        monkeypatch.setattr(slot, "SWEEP_SECONDS", 0.1)
        until_failed(app_context, broken)
        assert settled_worker_state(app_context).is_alive
    finally:
        heartbeat.stop()


def test_heartbeats_continue_after_a_failed_one(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[WorkerInfo] = []

    def failing(_app_context: AppContext, info: WorkerInfo) -> None:
        beats.append(info)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(slot.workers, "beat", failing)
    monkeypatch.setattr(slot, "HEARTBEAT_SECONDS", 0.01)
    heartbeat = Heartbeat(app_context, WorkerProcesses(app_context))
    heartbeat.start()
    try:
        for _ in range(1000):
            if len(beats) > 2:
                return
            time.sleep(0.01)
        pytest.fail(f"{len(beats)} beats")
    finally:
        heartbeat.stop()


def abandoned_export(app_context: AppContext, dataset_id: int, folder: Path) -> int:
    """Return an export that began long ago and that neither the engine nor any process works on."""
    request = ExportRequest(
        dataset_id=dataset_id, options=ExportOptions.from_json({"format": "csv"}), folder=str(folder)
    )
    export_id = exports.add_export(app_context, request).id
    with app_context.database.write() as session:
        export_rows.note_progress(session, export_id, 0, 1, "copying")
        session.execute(update(ExportRow).where(ExportRow.id == export_id).values(created_at=NOW - timedelta(days=1)))
    return export_id


def until_failed(app_context: AppContext, export_id: int) -> None:
    for _ in range(1000):
        if exports.get_export(app_context, export_id).status is JobStatus.FAILED:
            return
        time.sleep(0.02)
    pytest.fail(f"export {export_id} was never settled")
