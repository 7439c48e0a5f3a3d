"""Cancelled and failed rounds go on with their finished folds, on the same snapshot, or say why they cannot."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from app.services import jobs
from app.services.app_context import AppContext
from app.services.recipes import RECIPES
from app.services.recipes.entry import RecipeEntry, RoundContext
from app.services.rounds import jobs as rounds, resume as resuming
from app.worker import steps
from core.config import RoundConfig
from core.types import JobStatus, RoundError
from db.models import RoundRow
from db.queries import rounds as rows
from tests.app.small import add_dataset

PETS = [0, 1] * 10
CONFIG = RoundConfig(folds=2)


def go_on() -> bool:
    return False


def learn(folder: Path, fold: int) -> None:
    """Write what a fold leaves behind."""
    held = np.arange(fold, len(PETS), 2)
    logits = 4 * np.eye(2, dtype=np.float32)[np.array(PETS)[held]]
    np.savez(folder / f"fold_{fold}.npz", rows=held, logits=logits)


@pytest.fixture
def half_done(app_context: AppContext) -> int:
    """Return a round whose first fold is done and whose second one was at work when it was cancelled."""
    round_id = rounds.start_round(app_context, add_dataset(app_context, PETS), CONFIG, "ada").id
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    now = datetime.now(UTC)
    with app_context.database.write() as session:
        for fold in range(2):
            assert rows.begin_fold(session, round_id, fold, now) == 1
        learn(app_context.round_folder(round_id), 0)
        rows.end_fold(session, round_id, 0, 1, now)
    assert rounds.cancel_round(app_context, round_id)
    return round_id


def test_a_cancelled_round_resumes_with_its_finished_fold(
    app_context: AppContext, half_done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rounds.get_round(app_context, half_done)
    resumed = resuming.resume_round(app_context, half_done)
    assert resumed.status is JobStatus.QUEUED
    assert jobs.round_is_active(app_context, half_done)
    assert not jobs.is_active(app_context, jobs.round_job(half_done)), "the cancelled job is another one"

    learnt: list[int] = []
    monkeypatch.setitem(RECIPES, before.recipe, _learning(RECIPES[before.recipe], learnt))
    steps.take_snapshot(app_context, go_on, round_id=half_done)
    for fold in range(2):
        steps.train_fold(app_context, go_on, round_id=half_done, fold=fold)
    steps.judge(app_context, go_on, round_id=half_done)
    done = rounds.get_round(app_context, half_done)
    assert learnt == [1]
    assert (done.status, done.snapshot_hash) == (JobStatus.DONE, before.snapshot_hash)
    assert done.finished_at is not None
    assert [fold.attempt for fold in rounds.progress(app_context, half_done).folds] == [1, 2]


def test_the_time_of_a_pause_does_not_count_and_a_changed_device_is_named(
    app_context: AppContext, half_done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = rounds.get_round(app_context, half_done).recipe
    monkeypatch.setitem(RECIPES, recipe, _learning(RECIPES[recipe], []))
    begun = datetime.now(UTC) - timedelta(hours=3)
    values = {"started_at": begun, "finished_at": begun + timedelta(minutes=20), "versions": {"device": "a large GPU"}}
    with app_context.database.write() as session:
        session.execute(update(RoundRow).values(**values))
    resuming.resume_round(app_context, half_done)
    steps.take_snapshot(app_context, go_on, round_id=half_done)
    for fold in range(2):
        steps.train_fold(app_context, go_on, round_id=half_done, fold=fold)
    steps.judge(app_context, go_on, round_id=half_done)
    done = rounds.get_round(app_context, half_done)
    assert done.started_at == begun
    assert rounds.duration(done) == pytest.approx(20 * 60, abs=60)
    assert done.versions is not None
    assert done.versions["device"].startswith("a large GPU, then ")
    assert done.versions["device"].count("then") == 1


def _learning(doing: RecipeEntry, learnt: list[int]) -> RecipeEntry:
    def note(at_work: RoundContext, fold: int) -> None:
        learnt.append(fold)
        learn(at_work.folder, fold)

    return replace(doing, learn=note)


def test_a_failed_round_can_be_resumed_and_its_former_process_is_ignored(
    app_context: AppContext, half_done: int
) -> None:
    resuming.resume_round(app_context, half_done)
    with app_context.database.write() as session:
        rows.end_round(session, half_done, JobStatus.FAILED, "no memory", datetime.now(UTC))
    resumed = resuming.resume_round(app_context, half_done)
    assert resumed.message == ""
    with app_context.database.read() as session:
        assert not rows.holds_fold(session, half_done, 1, 1)


def test_waiting_folds_of_a_failed_job_do_not_run_for_the_resumed_round(app_context: AppContext) -> None:
    round_id = rounds.start_round(app_context, add_dataset(app_context, PETS), CONFIG, "ada").id
    assert jobs.is_active(app_context, jobs.round_job(round_id))
    with app_context.database.write() as session:
        rows.end_round(session, round_id, JobStatus.FAILED, "no memory", datetime.now(UTC))
    resuming.resume_round(app_context, round_id)
    assert not jobs.is_active(app_context, jobs.round_job(round_id))
    assert jobs.round_is_active(app_context, round_id)


def test_a_round_that_never_opened_opens_on_resuming(app_context: AppContext) -> None:
    round_id = rounds.start_round(app_context, add_dataset(app_context, PETS), CONFIG, "ada").id
    rounds.cancel_round(app_context, round_id)
    resuming.resume_round(app_context, round_id)
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    assert rounds.get_round(app_context, round_id).snapshot_hash


def test_a_resumed_round_can_be_cancelled_and_resumed_again(app_context: AppContext, half_done: int) -> None:
    for _ in range(2):
        resuming.resume_round(app_context, half_done)
        with pytest.raises(RoundError, match="only a cancelled or failed round"):
            resuming.resume_round(app_context, half_done)
        assert rounds.cancel_round(app_context, half_done)
        assert not jobs.round_is_active(app_context, half_done)


def lose_fold(app_context: AppContext, round_id: int) -> None:
    (app_context.round_folder(round_id) / "fold_0.npz").unlink()


def lose_snapshot(app_context: AppContext, round_id: int) -> None:
    (app_context.round_folder(round_id) / "snapshot.npz").unlink()


def start_another(app_context: AppContext, round_id: int) -> None:
    rounds.start_round(app_context, rounds.get_round(app_context, round_id).dataset_id, CONFIG, "ada")


def update_torch(app_context: AppContext, round_id: int) -> None:
    with app_context.database.write() as session:
        rows.reopen_round(session, round_id)
        rows.set_facts(session, round_id, {"versions": {"python": "3", "torch": "1.0"}})
        rows.end_round(session, round_id, JobStatus.CANCELLED, "", datetime.now(UTC))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lose_fold, "fold_0.npz is gone"),
        (lose_snapshot, "snapshot.npz is gone"),
        (start_another, "Round 2 .* is still queued"),
        (update_torch, "was trained with torch 1.0"),
    ],
)
def test_a_round_that_cannot_be_resumed_is_refused_with_the_cause(
    app_context: AppContext, half_done: int, change: Callable[[AppContext, int], None], why: str
) -> None:
    assert resuming.resumption_problem(app_context, rounds.get_round(app_context, half_done)) == ""
    change(app_context, half_done)
    info = rounds.get_round(app_context, half_done)
    assert resuming.resumption_problem(app_context, info)
    with pytest.raises(RoundError, match=why):
        resuming.resume_round(app_context, half_done)
    assert rounds.get_round(app_context, half_done).status is JobStatus.CANCELLED


def test_a_finished_round_is_not_resumed(app_context: AppContext, half_done: int) -> None:
    with app_context.database.write() as session:
        rows.reopen_round(session, half_done)
        rows.end_round(session, half_done, JobStatus.DONE, "", datetime.now(UTC))
    with pytest.raises(RoundError, match="is done; only a cancelled or failed round"):
        resuming.resume_round(app_context, half_done)
