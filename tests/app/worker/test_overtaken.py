"""A worker that was silent for a minute goes on with a step that another one has taken over: it changes nothing."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import select

from app.services import reviews, rounds
from app.services.reviews import Choice
from app.services.workspace import Workspace
from app.worker import steps
from app.worker.recipes import RECIPES, RoundAtWork
from core.judge.found import Judged
from core.types import Recipe, RoundStatus, Verdict
from db.models import DecisionRow, FindingRow
from tests.app.worker.test_steps import PETS, found, go_on, opened_round

Act = Callable[[], object]


def rows_of(workspace: Workspace) -> list[int]:
    with workspace.database.read() as session:
        return list(session.scalars(select(FindingRow.rank).order_by(FindingRow.rank)))


def when_judged(monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
    """Have `act` done once, when the first process has judged and has not written yet."""
    own, acts = RECIPES[Recipe.CROSS_FOLD], [act]

    def judge(at_work: RoundAtWork) -> Judged:
        judged = own.judge(at_work)
        if acts:
            acts.pop()()
        return judged

    monkeypatch.setattr(steps, "RECIPES", {Recipe.CROSS_FOLD: replace(own, judge=judge)})


@pytest.mark.parametrize("decided", [False, True])
def test_who_judges_late_leaves_the_findings_that_another_worker_has_shown(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *, decided: bool
) -> None:
    round_id = opened_round(workspace)

    def other_worker() -> None:
        steps.judge(workspace, go_on, round_id=round_id)
        if decided:
            with workspace.database.read() as session:
                finding = session.scalars(select(FindingRow.id).limit(1)).one()
            reviews.decide(workspace, [Choice(finding, Verdict.ACCEPT)], by="ada")

    when_judged(monkeypatch, other_worker)
    steps.judge(workspace, go_on, round_id=round_id)
    assert rounds.get_round(workspace, round_id).status is RoundStatus.DONE
    assert found(workspace, round_id) == len(rows_of(workspace)) == len(PETS)
    with workspace.database.read() as session:
        assert len(list(session.scalars(select(DecisionRow.id)))) == decided


def test_who_judges_late_leaves_a_cancelled_round_without_findings(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_id = opened_round(workspace)
    when_judged(monkeypatch, partial(rounds.cancel_round, workspace, round_id))
    steps.judge(workspace, go_on, round_id=round_id)
    assert rounds.get_round(workspace, round_id).status is RoundStatus.CANCELLED
    assert rows_of(workspace) == []


@pytest.mark.parametrize("written", [0, 1, 3])
@pytest.mark.parametrize("written_by_other", [0, 1, 2, 3])
def test_of_two_that_write_at_once_one_writes_all(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, written: int, written_by_other: int
) -> None:
    """The first one sleeps after some chunks and wakes while the other one, which began later, writes."""
    round_id = opened_round(workspace)
    monkeypatch.setattr(steps, "CHUNK", 6)
    waits, goes_on = threading.Event(), threading.Event()

    def wait() -> None:
        waits.set()
        assert goes_on.wait(60)

    other = threading.Thread(
        target=lambda: steps.judge(workspace, after(written_by_other, wait), round_id=round_id), daemon=True
    )

    def wake_later() -> None:
        other.start()
        assert waits.wait(60)

    steps.judge(workspace, after(written, wake_later), round_id=round_id)
    goes_on.set()
    other.join(60)
    assert not other.is_alive()
    assert rounds.get_round(workspace, round_id).status is RoundStatus.DONE
    assert rows_of(workspace) == list(range(len(PETS)))
    assert found(workspace, round_id) == len(PETS)


def after(chunks: int, act: Act) -> Callable[[], bool]:
    """Return a `should_stop` that never stops and does `act` once after so many chunks."""
    asked = iter(range(1000))

    def should_stop() -> bool:
        if next(asked) == chunks:
            act()
        return False

    return should_stop
