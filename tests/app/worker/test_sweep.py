"""What one worker does for others: jobs that never reached the engine or were given up, workers that never return."""

import errno
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from app.services import export_run, exports, imports, jobs, rounds, workers
from app.services.exports import ExportRequest
from app.services.imports import ImportRequest
from app.services.workers import beat, settled_worker_state
from app.services.workspace import Workspace
from app.worker import slot, sweep
from app.worker.parent import child_environment
from app.worker.slot import Heartbeat
from app.worker.sweep import release_lost, settle_orphans
from app.worker.workplace import Workplace
from core.config import RoundConfig
from core.data.export.items import ExportOptions
from core.types import RoundStatus
from db.models import ExportRow
from db.queries import exports as export_rows
from db.queries import rounds as rows
from db.queries.workers import WorkerInfo, list_workers
from tests.app.small import NOW, add_dataset

LATER = datetime(2100, 1, 1, tzinfo=UTC)


def test_a_round_whose_job_was_never_enqueued_is_enqueued(workspace: Workspace) -> None:
    dataset_id = add_dataset(workspace, [0, 1] * 5)
    with workspace.database.write() as session:
        round_id = rows.add_round(session, dataset_id, RoundConfig(folds=2).to_json(), "ada", NOW)
    settle_orphans(workspace, before=NOW - timedelta(seconds=1))
    assert not jobs.is_active(workspace, jobs.round_job(round_id)), "it may be on its way"
    settle_orphans(workspace, before=LATER)
    assert jobs.is_active(workspace, jobs.round_job(round_id))


def test_a_running_round_that_the_engine_gave_up_fails_and_says_so(workspace: Workspace) -> None:
    started = rounds.start_round(workspace, add_dataset(workspace, [0, 1] * 5), RoundConfig(folds=2), "ada")
    with workspace.database.write() as session:
        rows.begin_round(session, started.id, "training", NOW)
    settle_orphans(workspace, before=LATER)
    assert rounds.get_round(workspace, started.id).status is RoundStatus.RUNNING
    jobs.cancel_round(workspace, started.id)
    settle_orphans(workspace, before=LATER)
    ended = rounds.get_round(workspace, started.id)
    assert ended.status is RoundStatus.FAILED
    assert "start it again" in ended.message


def test_a_worker_whose_heartbeat_stands_still_is_forgotten_whatever_its_clock_says(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [0.0]
    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: passed[0]))
    now = datetime.now(UTC)
    beat(workspace, WorkerInfo("behind:0", 1, "2 CPU cores", "", now, now - timedelta(hours=1)))
    beat(workspace, WorkerInfo("ahead:0", 2, "2 CPU cores", "", now, now + timedelta(hours=1)))
    release_lost(workspace, silent_seconds=60)
    passed[0] = 61
    beat(workspace, WorkerInfo("behind:0", 1, "2 CPU cores", "", now, now - timedelta(minutes=59)))
    release_lost(workspace, silent_seconds=60)
    with workspace.database.read() as session:
        assert [worker.slot for worker in list_workers(session)] == ["behind:0"]


def test_an_import_that_a_command_runs_by_itself_is_left_alone_and_an_abandoned_one_fails(
    workspace: Workspace, digits_folder: Path
) -> None:
    import_id = imports.start_import(workspace, ImportRequest(name="digits", source=str(digits_folder)))
    script = (
        "import sys; from app.services import imports; from app.services.workspace import workspace;"
        "wait = lambda at: at.stage == 'storing' and (print('running', flush=True), sys.stdin.read());"
        f"imports.run_import(workspace(), {import_id}, wait)"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(workspace.settings),
    )
    try:
        assert command.stdout is not None
        assert command.stdout.readline() == b"running\n"
        settle_orphans(workspace, before=LATER)
        assert imports.get_import(workspace, import_id).status is RoundStatus.RUNNING
    finally:
        command.kill()
        command.communicate()
    settle_orphans(workspace, before=LATER)
    assert imports.get_import(workspace, import_id).status is RoundStatus.FAILED


def test_what_cannot_be_settled_stops_neither_the_heartbeat_nor_what_else_is_left(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset_id = add_dataset(workspace, [0, 1] * 5)
    broken, sound = (abandoned_export(workspace, dataset_id, tmp_path / name) for name in ("broken", "sound"))

    def clear(path: Path, *, confirmed: bool) -> None:
        if path.name == "broken":
            raise OSError(errno.EIO, "Input/output error", str(path))  # as of a share that went away

    def no_lost_workers(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(export_run, "clear_remains", clear)
    monkeypatch.setattr(sweep, "release_lost", no_lost_workers)
    monkeypatch.setattr(slot, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(slot, "SWEEP_SECONDS", 0.1)
    heartbeat = Heartbeat(workspace, Workplace(workspace))
    heartbeat.start()
    try:
        until_failed(workspace, sound)
        assert exports.get_export(workspace, broken).status is RoundStatus.RUNNING
        monkeypatch.undo()  # the share is back
        monkeypatch.setattr(slot, "HEARTBEAT_SECONDS", 0.05)
        monkeypatch.setattr(slot, "SWEEP_SECONDS", 0.1)
        until_failed(workspace, broken)
        assert settled_worker_state(workspace).is_alive
    finally:
        heartbeat.stop()


def test_a_beat_that_fails_is_followed_by_others(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[WorkerInfo] = []

    def failing(_workspace: Workspace, info: WorkerInfo) -> None:
        beats.append(info)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(slot.workers, "beat", failing)
    monkeypatch.setattr(slot, "HEARTBEAT_SECONDS", 0.01)
    heartbeat = Heartbeat(workspace, Workplace(workspace))
    heartbeat.start()
    try:
        for _ in range(1000):
            if len(beats) > 2:
                return
            time.sleep(0.01)
        pytest.fail(f"{len(beats)} beats")
    finally:
        heartbeat.stop()


def abandoned_export(workspace: Workspace, dataset_id: int, folder: Path) -> int:
    """Return an export that began long ago and that neither the engine nor any process works on."""
    request = ExportRequest(
        dataset_id=dataset_id, options=ExportOptions.from_json({"format": "csv"}), folder=str(folder)
    )
    export_id = exports.add_export(workspace, request).id
    with workspace.database.write() as session:
        export_rows.note_progress(session, export_id, 0, 1, "copying")
        session.execute(update(ExportRow).where(ExportRow.id == export_id).values(created_at=NOW - timedelta(days=1)))
    return export_id


def until_failed(workspace: Workspace, export_id: int) -> None:
    for _ in range(1000):
        if exports.get_export(workspace, export_id).status is RoundStatus.FAILED:
            return
        time.sleep(0.02)
    pytest.fail(f"export {export_id} was never settled")
