"""Workers as others see them: by the change of a heartbeat between two looks, never by a clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.services import workers
from app.services.app_context import AppContext
from app.services.workers import (
    ALIVE_SECONDS,
    beat,
    heartbeat_ages,
    is_beating,
    settled_worker_state,
    silent_workers,
    slot_lock,
    worker_state,
)
from app.worker.slot import slot_name, take_slot
from db.queries.workers import WorkerInfo

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """The monotonic clock of this process, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(workers, "time", made)
    return made


def beats(app_context: AppContext, at: datetime, slot: str = "there:0", pid: int = 1) -> None:
    beat(app_context, WorkerInfo(slot, pid, "2 CPU cores", "", NOW, at))


def test_an_installation_without_workers_reports_no_worker(app_context: AppContext, clock: Clock) -> None:
    state = worker_state(app_context)
    assert state.is_silent
    assert not state.is_alive
    assert "one is starting" in state.text


@pytest.mark.parametrize("hours", [-1000, -1, 0, 1, 1000])
def test_a_changing_heartbeat_means_alive_and_a_constant_one_silent(
    app_context: AppContext, clock: Clock, hours: int
) -> None:
    there = NOW + timedelta(hours=hours)
    beats(app_context, there)
    first = worker_state(app_context)
    assert not first.is_alive
    assert not first.is_silent
    clock.now += 2
    beats(app_context, there + timedelta(seconds=2))
    assert worker_state(app_context).is_alive
    clock.now += ALIVE_SECONDS - 1
    assert worker_state(app_context).is_alive
    clock.now += 1
    state = worker_state(app_context)
    assert state.is_silent
    assert "starts one" in state.text


def test_setting_the_clock_back_does_not_end_a_worker(app_context: AppContext, clock: Clock) -> None:
    for at in (NOW, NOW + timedelta(seconds=2), NOW - timedelta(hours=3)):
        beats(app_context, at)
        state = worker_state(app_context)
        clock.now += 2
    assert state.is_alive


def test_one_heartbeat_between_two_distant_checks_does_not_mean_alive(app_context: AppContext, clock: Clock) -> None:
    beats(app_context, NOW)
    worker_state(app_context)
    clock.now += 3600
    beats(app_context, NOW + timedelta(seconds=2))  # the worker's last, shortly after the first look
    assert not worker_state(app_context).is_alive
    clock.now += ALIVE_SECONDS
    assert worker_state(app_context).is_silent


def test_waiting_for_the_worker_state_ends_with_alive_or_silent(app_context: AppContext, clock: Clock) -> None:
    beats(app_context, NOW + timedelta(hours=1))
    assert settled_worker_state(app_context).is_silent
    assert clock.now == pytest.approx(1000 + ALIVE_SECONDS)


def test_a_slot_with_a_free_lock_has_no_worker_after_one_check(app_context: AppContext, clock: Clock) -> None:
    slot = slot_name(app_context.settings)
    with take_slot(app_context.settings):
        beats(app_context, NOW, slot)
        assert worker_state(app_context).unknown
    assert slot_lock(app_context.settings, slot).exists()
    assert worker_state(app_context).is_silent


def test_a_gpu_is_detected_by_its_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(workers, "_GPUS", tmp_path)
    assert not workers.has_gpu()
    assert "CPU cores" in workers.device_name()
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "information").write_text("Model: \t NVIDIA H200\nIRQ: 0\n")
    assert workers.has_gpu()
    assert workers.device_name() == "NVIDIA H200"


def test_a_local_worker_with_a_free_lock_is_lost_soon_and_remote_ones_after_a_longer_silence(
    app_context: AppContext, clock: Clock
) -> None:
    here, there = slot_name(app_context.settings), "there:0"
    with take_slot(app_context.settings):
        slot_lock(app_context.settings, there).touch()  # a lock that this machine cannot see
    for slot in (here, there):
        beats(app_context, NOW, slot)
    assert silent_workers(app_context, 30) == []
    clock.now += ALIVE_SECONDS
    assert [worker.slot for worker in silent_workers(app_context, 30)] == [here]
    with take_slot(app_context.settings):  # it was started again
        assert silent_workers(app_context, 30) == []
    clock.now += 30
    assert [worker.slot for worker in silent_workers(app_context, 30)] == [here, there]


def test_a_slot_is_beating_while_its_worker_is(app_context: AppContext, clock: Clock) -> None:
    assert not is_beating(app_context, "there:0"), "there is none"
    beats(app_context, NOW)
    assert not is_beating(app_context, "there:0"), "it stands still"
    assert heartbeat_ages(app_context)["there:0"] >= ALIVE_SECONDS
    beats(app_context, NOW + timedelta(seconds=2))
    assert heartbeat_ages(app_context) == {"there:0": 0}
    assert is_beating(app_context, "there:0")
    assert not is_beating(app_context, "there:1"), "another place's beat is not its own"
