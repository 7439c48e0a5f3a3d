"""Large rounds: rows for suspicious findings alone, and one file for the others, by whichever process writes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.services import removals, reviews
from app.services.app_context import AppContext, open_app
from app.services.backups.make import make
from app.services.backups.restore import restore
from app.services.evaluation import splits as evaluation
from app.services.reviews import Choice, audits
from app.services.rounds import jobs as rounds
from app.settings import Settings
from app.worker import finding_writer, steps
from core.config import RoundConfig
from core.data.remote import Remote
from core.data.store import close_store
from core.types import Finding, FindingFilter, FindingKind, JobStatus, RoundCancelledError, Status, Task, Verdict
from db.agreeing_file import FindingsAwayError
from db.engine import Database
from db.models import AuditRow, FindingRow, SampleRow
from db.queries import findings
from tests.app.worker.test_finding_writer import judge_twice
from tests.app.worker.test_steps import PETS, found, go_on, opened_round
from tools.fixtures.object_store import ObjectStore

pytest_plugins = ["tests.object_store"]


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(finding_writer.LEAST_IMAGES, Task.CLASSIFICATION, 1)
    monkeypatch.setattr(finding_writer, "CHUNK", 6)


def shown(app_context: AppContext, round_id: int) -> list[Finding]:
    return reviews.page(app_context, FindingFilter(round_id=round_id, kinds=frozenset(), statuses=frozenset())).items


def rows_of(app_context: AppContext, round_id: int) -> list[int]:
    with app_context.database.read() as session:
        return list(session.scalars(select(FindingRow.sample_id).where(FindingRow.round_id == round_id)))


def files_of(app_context: AppContext, round_id: int) -> list[str]:
    return sorted(path.name for path in app_context.round_folder(round_id).iterdir() if "agreeing" in path.name)


def test_only_suspicious_findings_get_a_row(app_context: AppContext) -> None:
    round_id = opened_round(app_context)
    steps.judge(app_context, go_on, round_id=round_id)
    assert rows_of(app_context, round_id) == [1]
    cards = shown(app_context, round_id)
    assert [card.rank for card in cards] == list(range(len(PETS)))
    assert {card.sample_id for card in cards} == set(range(1, 1 + len(PETS)))
    assert found(app_context, round_id) == len(PETS)


def test_small_rounds_are_stored_only_as_rows(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(finding_writer.LEAST_IMAGES, Task.CLASSIFICATION, len(PETS) + 1)
    round_id = opened_round(app_context)
    steps.judge(app_context, go_on, round_id=round_id)
    assert len(rows_of(app_context, round_id)) == len(PETS)
    assert files_of(app_context, round_id) == []


def test_an_interrupted_attempt_leaves_no_file_and_can_be_repeated(app_context: AppContext) -> None:
    round_id = opened_round(app_context)
    with pytest.raises(RoundCancelledError):
        steps.judge(app_context, lambda: True, round_id=round_id)
    assert files_of(app_context, round_id) == []
    steps.judge(app_context, go_on, round_id=round_id)
    assert len(files_of(app_context, round_id)) == 2
    assert len(shown(app_context, round_id)) == len(PETS)


def test_files_of_a_killed_attempt_are_removed_by_the_next(app_context: AppContext) -> None:
    round_id = opened_round(app_context)
    with pytest.raises(RoundCancelledError):
        steps.judge(app_context, lambda: True, round_id=round_id)  # which has reserved ids from 1 on
    folder = app_context.round_folder(round_id)
    for name in (".agreeing.1.parquet.0123456789ab.partial", "agreeing.1.samples.parquet"):
        (folder / name).write_bytes(b"left by a kill")
    steps.judge(app_context, go_on, round_id=round_id)
    assert len(files_of(app_context, round_id)) == 2
    assert not any(".1." in name for name in files_of(app_context, round_id))


@pytest.mark.parametrize("written_by_other", [0, 1])
def test_only_one_of_two_concurrent_writers_is_read(app_context: AppContext, written_by_other: int) -> None:
    round_id = opened_round(app_context)
    judge_twice(app_context, round_id, 0, written_by_other)
    assert rounds.get_round(app_context, round_id).status is JobStatus.DONE
    cards = shown(app_context, round_id)
    assert [card.rank for card in cards] == list(range(len(PETS)))
    assert len({card.id for card in cards}) == len(PETS) == found(app_context, round_id)


def test_former_decisions_of_people_hold_in_the_next_round(app_context: AppContext) -> None:
    first = opened_round(app_context)
    steps.judge(app_context, go_on, round_id=first)
    card = shown(app_context, first)[-1]
    reviews.decide(app_context, [Choice(card.id, Verdict.KEEP)], by="ada")
    assert sorted(rows_of(app_context, first)) == sorted([1, card.sample_id])
    second = rounds.start_round(app_context, 1, RoundConfig(folds=2), "ada").id
    steps.take_snapshot(app_context, go_on, round_id=second)
    predict(app_context, second)
    steps.judge(app_context, go_on, round_id=second)
    kept = {one.sample_id: (one.kind, one.status) for one in shown(app_context, second)}
    assert kept[card.sample_id] == (FindingKind.AGREEING, Status.KEEP)
    assert card.sample_id in rows_of(app_context, second)


def predict(app_context: AppContext, round_id: int) -> None:
    """Let both folds agree with every label."""
    labels = np.array(PETS)
    for fold in range(2):
        rows = np.arange(fold, len(PETS), 2)
        logits = 4 * np.eye(2, dtype=np.float32)[labels[rows]]
        np.savez(app_context.round_folder(round_id) / f"fold_{fold}.npz", rows=rows, logits=logits)


@pytest.mark.parametrize("step", ["share_finished", "note_file"])
def test_an_image_moved_to_another_split_during_the_round_is_shown_there(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    round_id = opened_round(app_context)
    own = getattr(steps, step)

    def move(*arguments: Any) -> None:
        if step == "note_file":
            own(*arguments)
        with app_context.database.write() as session:
            session.execute(update(SampleRow).where(SampleRow.id == 7).values(split="evaluation"))
        if step == "share_finished":
            own(*arguments)

    monkeypatch.setattr(steps, step, move)
    steps.judge(app_context, go_on, round_id=round_id)
    assert {one.split for one in shown(app_context, round_id) if one.sample_id == 7} == {"evaluation"}
    chosen = FindingFilter(round_id=round_id, kinds=frozenset(), split="evaluation")
    assert reviews.count(app_context, chosen) == 1


def test_a_backup_includes_agreeing_findings(app_context: AppContext, tmp_path: Path) -> None:
    round_id = opened_round(app_context)
    steps.judge(app_context, go_on, round_id=round_id)
    make(app_context, tmp_path / "backup.tar")
    chosen = Settings(home=tmp_path / "restored", demo=False, embedded_worker=False)
    restore(chosen, tmp_path / "backup.tar")
    restored = open_app(chosen)
    assert shown(restored, round_id) == shown(app_context, round_id)
    restored.database.close()


@pytest.fixture
def homes(tmp_path: Path, bucket: ObjectStore) -> Iterator[tuple[AppContext, AppContext]]:
    """Return two homes on one database and one store; the first has judged a round that the second never opened."""
    urls = [f"sqlite:///{tmp_path / name}.sqlite" for name in ("shared", "engine")]
    shared = {"database_url": urls[0], "engine_url": urls[1], "files_url": bucket.url}
    one, other = (
        open_app(Settings(home=tmp_path / name, demo=False, embedded_worker=False, **shared))
        for name in ("one", "other")
    )
    steps.judge(one, go_on, round_id=opened_round(one))
    yield one, other
    for app_context in (one, other):
        app_context.database.close()
        close_store(app_context.files)


def test_another_home_reads_published_agreeing_findings(homes: tuple[AppContext, AppContext]) -> None:
    one, other = homes
    cards = shown(other, 1)
    assert cards == shown(one, 1)
    assert len(cards) == len(PETS)
    assert reviews.decide(other, [Choice(cards[-1].id, Verdict.KEEP)], by="ada").size == 1
    assert shown(one, 1)[-1].status.name == "KEEP"


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the keys that are fetched from now on; a fetch during a transaction that writes fails the test."""
    writing: list[Database] = []
    keys: list[str] = []
    own_write, own_get = Database.write, Remote.get

    @contextmanager
    def write(database: Database) -> Iterator[Session]:
        with own_write(database) as session:
            writing.append(database)
            try:
                yield session
            finally:
                writing.pop()

    def get(remote: Remote, key: str, target: Path) -> None:
        assert not writing, f"{key} is fetched while everybody's verdicts wait"
        keys.append(key)
        own_get(remote, key, target)

    monkeypatch.setattr(Database, "write", write)
    monkeypatch.setattr(Remote, "get", get)
    return keys


def accept_agreeing(app_context: AppContext, _card: Finding) -> object:
    return reviews.accept_all(app_context, FindingFilter(round_id=1, kinds=frozenset({FindingKind.AGREEING})), by="ada")


def hand_out(app_context: AppContext, _card: Finding) -> object:
    with app_context.database.read() as session:
        [audit_id] = session.scalars(select(AuditRow.id))
    return audits.hand_out(app_context, audit_id, by="bob")


def judge_again(app_context: AppContext, _card: Finding) -> object:
    second = rounds.start_round(app_context, 1, RoundConfig(folds=2), "ada").id
    steps.take_snapshot(app_context, go_on, round_id=second)
    predict(app_context, second)
    steps.judge(app_context, go_on, round_id=second)
    return rounds.get_round(app_context, second).status is JobStatus.DONE


@pytest.mark.parametrize(
    "act",
    [
        lambda other, card: reviews.decide(other, [Choice(card.id, Verdict.KEEP)], by="ada").size,
        lambda other, card: reviews.add_note(other, card.id, "blurred", by="ada").size,
        accept_agreeing,
        hand_out,
        lambda other, card: removals.remove(other, 1, [card.sample_id], "ada"),
        lambda other, _card: evaluation.draw(other, 1, share=0.2),
        judge_again,
    ],
    ids=["verdict", "note", "bulk act", "audit", "removal", "split", "next round"],
)
def test_the_first_act_of_a_home_fetches_a_round_before_it_takes_the_write_lock(
    homes: tuple[AppContext, AppContext], fetched: list[str], act: Callable[[AppContext, Finding], object]
) -> None:
    one, other = homes
    *_, decided, card = shown(one, 1)
    reviews.decide(one, [Choice(decided.id, Verdict.KEEP)], by="ada")
    audits.start(one, FindingFilter(round_id=1, kinds=frozenset({FindingKind.AGREEING})), by="ada")
    fetched.clear()
    assert act(other, card)
    assert any("agreeing" in key for key in fetched)


def test_a_transaction_that_writes_is_refused_a_file_that_is_not_here_and_finds_it_the_next_time(
    homes: tuple[AppContext, AppContext], fetched: list[str]
) -> None:
    _, other = homes
    chosen = FindingFilter(round_id=1, kinds=frozenset({FindingKind.AGREEING}), path_contains="1")
    with pytest.raises(FindingsAwayError), other.database.write() as session:
        findings.count(session, chosen)
    came = len(fetched)
    assert came
    with other.database.write() as session:
        assert findings.count(session, chosen)
    assert len(fetched) == came
