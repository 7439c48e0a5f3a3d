"""A worker that was silent for a minute goes on with a step that another one has taken over: it changes nothing."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import select, update

from app.services import reviews
from app.services.app_context import AppContext
from app.services.recipes import RECIPES
from app.services.recipes.entry import RoundContext
from app.services.reviews import Choice
from app.services.rounds import jobs as rounds
from app.worker import finding_writer, steps
from core.config import RoundConfig
from core.data.snapshot import Snapshot
from core.judge.found import Judged
from core.types import JobStatus, Recipe, RoundError, Verdict
from db.models import DecisionRow, FindingRow, SampleRow
from tests.app.small import add_dataset
from tests.app.worker.test_steps import PETS, found, go_on, opened_round

Act = Callable[[], object]


def rows_of(app_context: AppContext) -> list[int]:
    with app_context.database.read() as session:
        return list(session.scalars(select(FindingRow.rank).order_by(FindingRow.rank)))


def when_judged(monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
    """Have `act` done once, when the first process has judged and has not written yet."""
    own, acts = RECIPES[Recipe.CROSS_FOLD], [act]

    def judge(at_work: RoundContext) -> Judged:
        judged = own.judge(at_work)
        if acts:
            acts.pop()()
        return judged

    monkeypatch.setattr(steps, "RECIPES", {Recipe.CROSS_FOLD: replace(own, judge=judge)})


@pytest.mark.parametrize("decided", [False, True])
def test_a_late_worker_does_not_change_findings_shown_by_another_worker(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch, *, decided: bool
) -> None:
    round_id = opened_round(app_context)

    def other_worker() -> None:
        steps.judge(app_context, go_on, round_id=round_id)
        if decided:
            with app_context.database.read() as session:
                finding = session.scalars(select(FindingRow.id).limit(1)).one()
            reviews.decide(app_context, [Choice(finding, Verdict.ACCEPT)], by="ada")

    when_judged(monkeypatch, other_worker)
    steps.judge(app_context, go_on, round_id=round_id)
    assert rounds.get_round(app_context, round_id).status is JobStatus.DONE
    assert found(app_context, round_id) == len(rows_of(app_context)) == len(PETS)
    with app_context.database.read() as session:
        assert len(list(session.scalars(select(DecisionRow.id)))) == decided


def test_a_late_worker_stores_no_findings_of_a_cancelled_round(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_id = opened_round(app_context)
    when_judged(monkeypatch, partial(rounds.cancel_round, app_context, round_id))
    steps.judge(app_context, go_on, round_id=round_id)
    assert rounds.get_round(app_context, round_id).status is JobStatus.CANCELLED
    assert rows_of(app_context) == []


@pytest.mark.parametrize("written", [0, 1, 3])
@pytest.mark.parametrize("written_by_other", [0, 1, 2, 3])
def test_only_one_of_two_concurrent_writers_stores_all_findings(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch, written: int, written_by_other: int
) -> None:
    """The first one sleeps after some chunks and wakes while the other one, which began later, writes."""
    round_id = opened_round(app_context)
    monkeypatch.setattr(finding_writer, "CHUNK", 6)
    assert judge_twice(app_context, round_id, written, written_by_other)
    assert rounds.get_round(app_context, round_id).status is JobStatus.DONE
    assert rows_of(app_context) == list(range(len(PETS)))
    assert found(app_context, round_id) == len(PETS)


def test_a_late_opening_does_not_replace_the_folder_of_a_running_round(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = add_dataset(app_context, PETS)
    round_id = rounds.start_round(app_context, dataset_id, RoundConfig(folds=2), "ada").id
    folder, own = app_context.round_folder(round_id), steps.store_changes
    others = [partial(steps.take_snapshot, app_context, go_on, round_id=round_id)]

    def store_changes(at_work: RoundContext, snapshot: Snapshot) -> None:
        own(at_work, snapshot)
        if others:
            with app_context.database.write() as session:
                session.execute(update(SampleRow).where(SampleRow.id == 1).values(label=1))
            others.pop()()
            (folder / "fold_0.npz").write_bytes(b"hours of training")

    monkeypatch.setattr(steps, "store_changes", store_changes)
    steps.take_snapshot(app_context, go_on, round_id=round_id)  # asleep when it had read the labels
    assert sorted(path.name for path in folder.iterdir()) == ["fold_0.npz", "label_changes.json", "snapshot.npz"]
    kept = Snapshot.load(folder)
    assert kept.labels[0] == 1
    assert rounds.get_round(app_context, round_id).snapshot_hash == kept.hash
    steps.take_snapshot(app_context, go_on, round_id=round_id)  # asleep before it began
    assert rounds.get_round(app_context, round_id).stage == "waiting for the worker"
    assert (folder / "fold_0.npz").exists()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_failed_late_opening_does_not_end_the_round(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    round_id = rounds.start_round(app_context, add_dataset(app_context, PETS), RoundConfig(folds=2), "ada").id
    others = [partial(steps.take_snapshot, app_context, go_on, round_id=round_id)]
    own = RECIPES[Recipe.CROSS_FOLD]

    def open_(*_: object) -> None:
        if others:
            others.pop()()
            raise RoundError("every label is 'cat'")

    monkeypatch.setattr(steps, "RECIPES", {Recipe.CROSS_FOLD: replace(own, open=open_)})
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    assert rounds.get_round(app_context, round_id).status is JobStatus.RUNNING
    info = rounds.get_round(app_context, round_id)
    assert Snapshot.load(app_context.round_folder(round_id)).hash == info.snapshot_hash


def test_files_of_a_killed_opening_are_removed_once_the_round_is_open(app_context: AppContext) -> None:
    round_id = rounds.start_round(app_context, add_dataset(app_context, PETS), RoundConfig(folds=2), "ada").id
    folder = app_context.round_folder(round_id)
    mine, others = (folder.with_name(f".{one}.0123456789ab.partial") for one in (round_id, round_id + 1))
    for left in (mine, others):
        left.mkdir(parents=True)
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    assert set(folder.parent.iterdir()) == {folder, others}


def test_a_round_cancelled_during_opening_gets_no_folder(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_id = rounds.start_round(app_context, add_dataset(app_context, PETS), RoundConfig(folds=2), "ada").id
    monkeypatch.setattr(steps, "store_changes", lambda *_: rounds.cancel_round(app_context, round_id))
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    assert rounds.get_round(app_context, round_id).status is JobStatus.CANCELLED
    assert list(app_context.round_folder(round_id).parent.iterdir()) == []


def judge_twice(app_context: AppContext, round_id: int, written: int, written_by_other: int) -> bool:
    """Judge a round by two threads; return whether the other, which sleeps after its chunks, came to sleep.

    The first begins the other after `written` chunks, and goes on once that sleeps or has ended.
    """
    waits, slept, goes_on = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        slept.set()
        waits.set()
        assert goes_on.wait(60)

    def judge_as_other() -> None:
        steps.judge(app_context, after(written_by_other, wait), round_id=round_id)
        waits.set()

    other = threading.Thread(target=judge_as_other, daemon=True)

    def wake_later() -> None:
        other.start()
        assert waits.wait(60)

    steps.judge(app_context, after(written, wake_later), round_id=round_id)
    goes_on.set()
    other.join(60)
    assert not other.is_alive()
    return slept.is_set()


def after(chunks: int, act: Act) -> Callable[[], bool]:
    """Return a `should_stop` that never stops and does `act` once after so many chunks."""
    asked = iter(range(1000))

    def should_stop() -> bool:
        if next(asked) == chunks:
            act()
        return False

    return should_stop


def test_large_rounds_are_stored_in_larger_transactions() -> None:
    sizes = [finding_writer.at_once(count) for count in (10, 1_000_000, 2_000_000, 10_000_000)]
    assert sizes == [20_000, 20_000, 40_000, 100_000]
