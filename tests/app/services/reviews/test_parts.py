"""Bulk acts in parts: whole however they are interrupted, and never over a verdict that came first."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import enumerate as threads

import pytest
from sqlalchemy import func, select

from app import lifespan
from app.services import people, reviews
from app.services.app_context import AppContext, app_context, open_app
from app.services.evaluation import splits
from app.services.reviews import ActKey, Choice, RefusedError, Saved, parts
from app.settings import Settings, settings
from core.types import DatasetError, FindingFilter, FindingKind, LoggedAct, Status, Verdict
from db.models import ChangesetRow, DecisionRow, FindingRow
from db.queries import decisions
from db.queries.decisions import UNFINISHED
from tests.app.in_files import move_into_file
from tests.app.services.test_reviews import assert_projections_hold
from tools.fixtures.reviews import fill

pytest_plugins = ["tests.postgres"]
COUNT, PART = 120, 20
EVERY = FindingFilter(round_id=1, kinds=frozenset())
KEY = ActKey("browser", 7)


@pytest.fixture
def filled(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppContext]:
    """Return a finished round on a database of either kind, whose bulk acts have parts of 20 findings."""
    monkeypatch.setattr(parts, "PART", PART)
    urls = {"database_url": database_url, "engine_url": database_url}
    opened = open_app(Settings(home=tmp_path / "home", demo=False, embedded_worker=False, **urls))
    fill(opened, COUNT)
    yield opened
    opened.database.close()


def by_status(opened: AppContext) -> dict[Status, int]:
    return reviews.counts(opened, EVERY).by_status


def open_ids(opened: AppContext) -> list[int]:
    """Return the open findings with a row, the most suspicious first."""
    with opened.database.read() as session:
        found = select(FindingRow.id).where(FindingRow.status == Status.OPEN).order_by(FindingRow.rank)
        return list(session.scalars(found))


def unfinished(opened: AppContext) -> list[int]:
    with opened.database.read() as session:
        return [act.id for act in decisions.unfinished_bulk_acts(session)]


def accept(opened: AppContext, between: Callable[[int], object] = lambda _done: None) -> Saved:
    """Accept everything; `between` is called after the first two parts."""
    calls: list[int] = []

    def report(done: int, size: int) -> None:
        assert size == COUNT
        calls.append(done)
        if len(calls) == 2:
            between(done)

    return reviews.accept_all(opened, EVERY, by="bob", key=KEY, report=report)


def logged(opened: AppContext) -> list[dict[str, object]]:
    return [entry.details for entry in people.log_entries(opened, [LoggedAct.BULK_ACT], 10)]


@pytest.mark.parametrize("kept", ["rows", "file"])
def test_a_large_act_is_one_act_that_is_consistent_after_each_part(filled: AppContext, kept: str) -> None:
    if kept == "file":
        move_into_file(filled, 1)
    done: list[int] = []

    def report(accepted: int, _size: int) -> None:
        done.append(accepted)
        assert_projections_hold(filled)
        assert by_status(filled) == {Status.BULK: accepted} | (
            {Status.OPEN: COUNT - accepted} if accepted < COUNT else {}
        )
        with filled.database.read() as session:
            assert session.scalar(select(ChangesetRow.size)) == accepted
            assert session.scalar(select(func.count(DecisionRow.id))) == accepted

    saved = reviews.accept_all(filled, EVERY, by="bob", expected=COUNT, report=report)
    assert done == list(range(PART, COUNT + 1, PART))
    assert (saved.changeset, saved.size) == (1, COUNT)
    assert unfinished(filled) == []
    assert logged(filled) == [{"round": 1, "findings": COUNT, "certified": False}]
    with filled.database.read() as session:
        act = decisions.find_changeset(session, 1)
        assert act is not None
        assert act.live
        assert act.note.keys() == {"filter", "threshold", "known"}
    assert reviews.undo(filled, 1, by="bob").undone == reviews.Undone(1, act.act, COUNT, f"accepted {COUNT}")
    assert by_status(filled) == {Status.OPEN: COUNT}
    reviews.redo(filled, 1, by="bob")
    assert by_status(filled) == {Status.BULK: COUNT}
    assert_projections_hold(filled)


def test_verdicts_stored_between_two_parts_are_kept(filled: AppContext) -> None:
    *_, last = open_ids(filled)
    first, *_ = open_ids(filled)

    def between(_done: int) -> None:
        for one in (first, last):  # accepted already, and about to be
            reviews.decide(filled, [Choice(one, Verdict.EXCLUDE)], by="ada")

    saved = accept(filled, between)
    assert saved.size == COUNT - 1
    assert by_status(filled) == {Status.BULK: COUNT - 2, Status.EXCLUDE: 2}
    assert logged(filled)[0]["findings"] == COUNT - 1
    assert_projections_hold(filled)
    reviews.undo(filled, 1, by="bob", changeset_id=saved.changeset)
    assert by_status(filled) == {Status.OPEN: COUNT - 2, Status.EXCLUDE: 2}
    assert_projections_hold(filled)


def test_an_act_undone_between_two_parts_is_undone_completely(filled: AppContext) -> None:
    saved = accept(filled, lambda _done: reviews.undo(filled, 1, by="bob"))
    assert by_status(filled) == {Status.OPEN: COUNT}
    assert unfinished(filled) == []
    assert saved.size == 2 * PART
    assert [entry["findings"] for entry in logged(filled)] == [2 * PART]
    assert_projections_hold(filled)
    reviews.redo(filled, 1, by="bob")
    assert by_status(filled) == {Status.BULK: 2 * PART, Status.OPEN: COUNT - 2 * PART}
    assert_projections_hold(filled)


def test_another_act_between_two_parts_decides_its_own_findings(filled: AppContext) -> None:
    some = FindingFilter(round_id=1, kinds=frozenset(), max_confidence=0.6)
    shares: list[int] = []

    def between(_done: int) -> None:
        shares.append(reviews.accept_all(filled, some, by="ada").size)

    saved = accept(filled, between)
    assert shares[0] > 0
    assert saved.size + shares[0] == COUNT
    assert_projections_hold(filled)


def test_protecting_a_split_and_merging_classes_are_refused_between_two_parts(filled: AppContext) -> None:
    def between(_done: int) -> None:
        for act in (lambda: splits.protect(filled, 1, "train"), lambda: splits.draw(filled, 1, share=0.1)):
            with pytest.raises(DatasetError, match=f"bob is accepting {COUNT} labels; wait for its end, or undo"):
                act()
        with pytest.raises(RefusedError, match="bob is accepting"):
            reviews.merge_classes(filled, 1, [3], 2, by="ada")

    assert accept(filled, between).size == COUNT
    assert reviews.merge_classes(filled, 1, [3], 2, by="ada").changeset


def test_other_pages_are_notified_of_each_part_and_of_the_end(filled: AppContext) -> None:
    heard: list[tuple[int, bool]] = []

    def between(_done: int) -> None:
        for client in ("another", KEY.client):
            news = reviews.news(filled, 1, after=0, client=client)
            heard.append((news.state, news.acted))

    accept(filled, between)
    assert heard == [(0, True), (1, False)]
    after = reviews.news(filled, 1, after=0, client="another")
    assert (after.state, after.acted) == (1, True)
    assert not reviews.news(filled, 1, after=1, client="another").acted


_ACCEPT_AND_DIE = """
import os, sys
from app.services import reviews
from app.services.app_context import open_app
from app.services.reviews import ActKey, parts
from app.settings import Settings
from core.types import FindingFilter
home, url, part, client, seq, dies = sys.argv[1:]
parts.PART = int(part)
opened = open_app(Settings(home=home, database_url=url, engine_url=url, demo=False, embedded_worker=False))
calls = []
def report(done, size):
    calls.append(done)
    if len(calls) == int(dies):
        os.kill(os.getpid(), 9)
every = FindingFilter(round_id=1, kinds=frozenset())
reviews.accept_all(opened, every, by="bob", key=ActKey(client, int(seq)), report=report)
"""


def killed_in_the_midst(opened: AppContext, url: str, part: int) -> None:
    """Let a process accept everything, and kill it after this part."""
    arguments = [str(opened.settings.home), url, str(PART), KEY.client, str(KEY.seq), str(part)]
    ended = subprocess.run([sys.executable, "-c", _ACCEPT_AND_DIE, *arguments], check=False, env=dict(os.environ))
    assert ended.returncode == -9


@pytest.mark.slow
@pytest.mark.parametrize("dies", [1, 4, COUNT // PART])
@pytest.mark.parametrize("by", ["the next start", "the same request"])
def test_an_act_of_a_killed_process_is_finished(filled: AppContext, database_url: str, by: str, dies: int) -> None:
    killed_in_the_midst(filled, database_url, dies)
    assert by_status(filled)[Status.BULK] == dies * PART
    assert unfinished(filled) == [1]
    assert logged(filled) == []
    assert_projections_hold(filled)
    *_, last = open_ids(filled) or [0]
    if last:
        reviews.decide(filled, [Choice(last, Verdict.KEEP)], by="ada")
    if by == "the next start":
        parts.finish_all(filled)
    else:
        assert accept(filled).changeset == 1
    kept = {Status.KEEP: 1} if last else {}
    assert by_status(filled) == {Status.BULK: COUNT - len(kept)} | kept
    assert unfinished(filled) == []
    assert [entry["findings"] for entry in logged(filled)] == [COUNT - len(kept)]
    assert accept(filled).size == COUNT - len(kept)  # the request may come once more
    assert_projections_hold(filled)
    reviews.undo(filled, 1, by="bob", changeset_id=1)
    assert by_status(filled) == {Status.OPEN: COUNT - len(kept)} | kept


def test_an_act_in_work_by_another_process_is_left_to_it(filled: AppContext) -> None:
    seen: list[int] = []

    def between(_done: int) -> None:
        parts.finish_all(filled)
        seen.extend(unfinished(filled))

    assert accept(filled, between).size == COUNT
    assert seen == [1]


def test_the_web_app_finishes_interrupted_acts_at_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", PART)
    monkeypatch.setenv("OUTFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OUTFOLD_DEMO", "false")
    settings.cache_clear()
    opened = open_app(settings())
    fill(opened, COUNT)
    with pytest.raises(KeyboardInterrupt):
        accept(opened, lambda _done: (_ for _ in ()).throw(KeyboardInterrupt))
    assert unfinished(opened) == [1]
    before = sys.getswitchinterval()
    try:
        started = lifespan.open_or_end()
        for thread in threads():
            if thread.name == "unfinished acts":
                thread.join()
        assert by_status(started) == {Status.BULK: COUNT}
        started.database.close()
    finally:
        sys.setswitchinterval(before)
        settings.cache_clear()
        app_context.cache_clear()
    opened.database.close()


def test_a_small_act_is_one_transaction(filled: AppContext) -> None:
    few = FindingFilter(round_id=1, kinds=frozenset({FindingKind.SUSPICIOUS}), min_confidence=0.97)
    told: list[int] = []
    saved = reviews.accept_all(filled, few, by="bob", report=lambda done, _size: told.append(done))
    assert 0 < saved.size <= PART
    assert told == []
    with filled.database.read() as session:
        act = decisions.find_changeset(session, 1)
    assert act is not None
    assert UNFINISHED not in act.note
