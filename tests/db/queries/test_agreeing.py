"""Findings of a large round that have no row: the same pages, counts and orders as with one, and no silent loss."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from app.services import reviews
from app.services.app_context import AppContext, open_app
from app.services.deletions import delete_round
from app.services.reviews import Choice
from app.settings import Settings
from app.worker import finding_writer
from core.types import FindingFilter, FindingKind, Order, Status, StorageError, Task, Verdict
from db import agreeing_file
from db.agreeing_file import file_of
from db.models import FindingRow, RoundRow
from db.queries import agreeing, audits, findings
from tools.fixtures.reviews import add_round, fill

pytest_plugins = ["tests.postgres"]

COUNT = 120
EVERYTHING = FindingFilter(round_id=1, kinds=frozenset(), statuses=frozenset())
AGREEING = replace(EVERYTHING, kinds=frozenset({FindingKind.AGREEING}))


def opened(home: Path, url: str | None = None) -> AppContext:
    chosen = {"database_url": url, "engine_url": url} if url else {}
    return open_app(Settings(home=home, demo=False, embedded_worker=False, **chosen))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreeing_file, "PART", 7)
    monkeypatch.setattr(agreeing_file, "_SAMPLES_PART", 5)


@pytest.fixture
def in_rows(tmp_path: Path) -> Iterator[AppContext]:
    made = opened(tmp_path / "rows")
    fill(made, COUNT)
    yield made
    made.database.close()


@pytest.fixture
def in_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[AppContext]:
    monkeypatch.setitem(finding_writer.LEAST_IMAGES, Task.CLASSIFICATION, 1)
    made = opened(tmp_path / "file", database_url)
    fill(made, COUNT)
    yield made
    made.database.close()


def stored_rows(app_context: AppContext) -> int:
    with app_context.database.read() as session:
        return session.scalar(select(func.count(FindingRow.id))) or 0


FILTERS = [
    EVERYTHING,
    AGREEING,
    replace(AGREEING, given=3),
    replace(AGREEING, pseudo=4, split="test"),
    replace(AGREEING, without_splits=frozenset({"test"})),
    replace(AGREEING, fold=2),
    replace(AGREEING, min_confidence=0.8),
    replace(AGREEING, min_confidence=0.7512, max_confidence=0.9031),
    replace(EVERYTHING, path_contains="7/"),
    replace(EVERYTHING, path_contains="03"),
    replace(EVERYTHING, sample_id=17),
    replace(EVERYTHING, similar=(3, 90, 100, 119)),
    replace(EVERYTHING, class_percents=(50, 99, 80, 80, 80, 80, 80, 80, 100)),
    replace(EVERYTHING, statuses=frozenset({Status.KEEP})),
    replace(EVERYTHING, annotator="ada"),
    replace(EVERYTHING, min_area=1),
]


def test_a_file_gives_the_same_results_as_rows(in_rows: AppContext, in_file: AppContext) -> None:
    assert stored_rows(in_file) < stored_rows(in_rows) == COUNT
    for step in ("as stored", "one decided", "all of a class accepted"):
        if step == "one decided":
            with in_rows.database.read() as session:
                card = findings.findings_page(session, AGREEING, Order.SUSPICION, None, 30)[-1]
            for one in (in_rows, in_file):
                reviews.decide(one, [Choice(card.id, Verdict.KEEP)], by="ada")
        if step == "all of a class accepted":
            for one in (in_rows, in_file):
                assert reviews.accept_all(one, replace(AGREEING, given=3), by="ada").size > 0
        with in_rows.database.read() as rows, in_file.database.read() as file:
            for chosen in FILTERS:
                assert findings.count(file, chosen) == findings.count(rows, chosen), chosen
                assert findings.count_by_status(file, chosen) == findings.count_by_status(rows, chosen)
                assert findings.count_by_kind(file, chosen) == findings.count_by_kind(rows, chosen)
                assert findings.count_by_pair(file, chosen) == findings.count_by_pair(rows, chosen)
                assert findings.count_by_percent(file, chosen) == findings.count_by_percent(rows, chosen)
                for first in (None, 4):
                    drawn = [audits.random_order(one, chosen, 5, first).tolist() for one in (rows, file)]
                    assert drawn[0] == drawn[1]
    assert stored_rows(in_file) < COUNT


@pytest.mark.parametrize(("order", "limit"), list(product(Order, [1, 7, 50])))
def test_pages_are_the_same_in_every_order(in_rows: AppContext, in_file: AppContext, order: Order, limit: int) -> None:
    for chosen in FILTERS[:8]:
        with in_rows.database.read() as rows, in_file.database.read() as file:
            after: list[float] | None = None
            for _ in range(4):
                expected = findings.findings_page(rows, chosen, order, after, limit)
                found = findings.findings_page(file, chosen, order, after, limit)
                assert found == expected
                if not found:
                    break
                after = findings.page_end(found[-1], order)


def test_ids_of_a_round_are_unique(in_file: AppContext) -> None:
    add_round(in_file, 1, range(1, 31), seed=1, number=2)
    with in_file.database.read() as session:
        blocks = session.execute(select(RoundRow.first_finding_id, RoundRow.reserved_ids).order_by(RoundRow.id)).all()
        ids = [one.id for round_id in (1, 2) for one in everything(session, round_id)]
    assert [tuple(one) for one in blocks] == [(1, COUNT), (1 + COUNT, 30)]
    assert sorted(ids) == list(range(1, 1 + COUNT + 30))


def everything(session: object, round_id: int) -> list[findings.Finding]:
    chosen = replace(EVERYTHING, round_id=round_id)
    return findings.findings_page(session, chosen, Order.SUSPICION, None, 1000)  # type: ignore[arg-type]


def test_a_round_stored_later_gets_ids_beyond_the_block_of_the_file(
    in_file: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(finding_writer.LEAST_IMAGES, Task.CLASSIFICATION, 10**6)
    add_round(in_file, 1, range(1, 31), seed=1, number=2)
    with in_file.database.read() as session:
        assert sorted(one.id for one in everything(session, 2)) == list(range(1 + COUNT, 31 + COUNT))


@pytest.mark.parametrize("harm", ["removed", "cut", "another"])
def test_an_unreadable_file_is_an_error_with_a_cure(in_file: AppContext, harm: str) -> None:
    path = file_of(in_file.round_folder(1), 1)
    with in_file.database.read() as session:
        card = everything(session, 1)[-1]
    if harm == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100] if harm == "cut" else b"")
    in_file.database.agreeing_files._open.clear()  # as in another process
    with pytest.raises(StorageError, match=r"restore the round's folder from a backup"):
        reviews.page(in_file, AGREEING)
    with pytest.raises(StorageError, match=r"agreeing\.1\.parquet"):
        reviews.decide(in_file, [Choice(card.id, Verdict.KEEP)], by="ada")
    assert reviews.page(in_file, FindingFilter(round_id=1)).items, "suspicious findings are rows"


def test_a_round_with_a_lost_file_can_be_deleted_and_other_rounds_stay_usable(in_file: AppContext) -> None:
    add_round(in_file, 1, range(1, COUNT + 1), seed=2, number=2)
    file_of(in_file.round_folder(1), 1).unlink()
    in_file.database.agreeing_files._open.clear()
    delete_round(in_file, 1, by="ada")
    with in_file.database.read() as session:
        card = everything(session, 2)[-1]
    assert reviews.decide(in_file, [Choice(card.id, Verdict.KEEP)], by="ada").size == 1


def test_rows_made_by_a_failed_transaction_are_not_used(in_file: AppContext) -> None:
    with in_file.database.read() as session:
        cards = findings.findings_page(session, AGREEING, Order.SUSPICION, None, COUNT)
    with in_file.database.write() as session:
        agreeing.make_rows(session, [one.sample_id for one in cards])
        assert findings.findings_page(session, AGREEING, Order.SUSPICION, None, COUNT) == cards
        session.rollback()
    reviews.decide(in_file, [Choice(cards[3].id, Verdict.KEEP)], by="ada")
    with in_file.database.read() as session:
        again = findings.findings_page(session, AGREEING, Order.SUSPICION, None, COUNT)
    assert [one.id for one in again] == [one.id for one in cards]
    assert [one.status for one in again].count(Status.KEEP) == 1


def test_parts_outside_the_bounds_are_skipped(in_file: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    own = agreeing_file.AgreeingFile.read

    def note(self: agreeing_file.AgreeingFile, part: int, names: object) -> object:
        read.append(part)
        return own(self, part, names)  # type: ignore[arg-type]

    with in_file.database.read() as session:
        cards = findings.findings_page(session, AGREEING, Order.SUSPICION, None, COUNT)
        monkeypatch.setattr(agreeing_file.AgreeingFile, "read", note)
        ids = agreeing.first_ids(session, AGREEING, Order.SUSPICION, None, 5)
        assert ids == [one.id for one in cards[:5]]
        assert read == [0]
        agreeing.first_ids(session, AGREEING, Order.SUSPICION, [cards[40].rank], 3)
        assert np.ptp(read[1:]) <= 1
