from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from sqlalchemy import event, text

from app.services.app_context import AppContext, open_app
from app.settings import Settings
from core.types import FindingFilter, FindingKind, Order
from db.loading import NewFinding, percent_of
from db.queries import findings
from db.queries.findings import add_findings, open_findings, remove_findings
from tools.fixtures.reviews import fill

COUNT = 60
CHOSEN = FindingFilter(round_id=1)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppContext]:
    opened = open_app(Settings(home=tmp_path_factory.mktemp("queue"), demo=False, embedded_worker=False))
    fill(opened, COUNT)
    yield opened
    opened.database.close()


def plans(app_context: AppContext, chosen: FindingFilter, order: Order) -> list[str]:
    """Return how SQLite walks one page of the queue, line by line."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    engine = app_context.database.engine
    event.listen(engine, "before_cursor_execute", note)
    with app_context.database.read() as session:
        findings.findings_page(session, chosen, order, None, 10)
    event.remove(engine, "before_cursor_execute", note)
    statement, parameters = next(one for one in asked if "UNION" in one[0] or "LIMIT" in one[0])
    with engine.connect() as connection:
        return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]


def test_the_queue_follows_its_index_and_reads_only_the_findings_shown(filled: AppContext) -> None:
    steps = plans(filled, CHOSEN, Order.SUSPICION)
    searched = [step for step in steps if step.startswith("SEARCH finding")]
    assert searched
    assert all("COVERING INDEX ix_finding_queue (round_id=? AND kind=? AND status=?" in step for step in searched)


@pytest.mark.parametrize(
    ("order", "index"),
    [
        (Order.CONFIDENCE, "ix_finding_confidence"),
        (Order.PAIR, "ix_finding_pair"),
        (Order.SIMILARITY, "ix_finding_similarity"),
    ],
)
def test_a_large_set_is_read_through_the_index_of_its_order(
    filled: AppContext, monkeypatch: pytest.MonkeyPatch, order: Order, index: str
) -> None:
    monkeypatch.setattr(findings, "MOST_SORTED", 0)
    searched = [step for step in plans(filled, CHOSEN, order) if step.startswith("SEARCH finding")]
    assert searched
    assert all(index in step for step in searched)


@pytest.mark.parametrize(("order", "kinds"), list(product(Order, [CHOSEN.kinds, frozenset(FindingKind)])))
def test_both_query_plans_return_the_same_pages(
    filled: AppContext, monkeypatch: pytest.MonkeyPatch, order: Order, kinds: frozenset[FindingKind]
) -> None:
    chosen = FindingFilter(round_id=1, kinds=kinds)
    ways = []
    for most in (0, 10**9):
        monkeypatch.setattr(findings, "MOST_SORTED", most)
        with filled.database.read() as session:
            first = findings.findings_page(session, chosen, order, None, 20)
            ways.append(first + findings.findings_page(session, chosen, order, findings.page_end(first[-1], order), 20))
    assert ways[0] == ways[1]
    assert len({finding.id for finding in ways[0]}) == len(ways[0])


def test_a_confidence_equal_to_a_whole_percent_belongs_to_it() -> None:
    assert [percent_of(value) for value in (0.0, 0.29, 0.57, 0.999, 1.0)] == [0, 29, 57, 99, 100]


def test_a_partially_stored_round_can_be_stored_again(app_context: AppContext) -> None:
    fill(app_context, 10)
    row = NewFinding(1, 0, 0, FindingKind.SUSPICIOUS, 0, 1, 0.9, 0.1, 0.1, 0, "", [[1, 0.9]], None)
    with app_context.database.write() as session:
        remove_findings(session, 1)
        add_findings(session, 1, [row])
        remove_findings(session, 1)
        add_findings(session, 1, [row, row._replace(sample_id=2, row=1, rank=1)])
        open_findings(session, 1)
        assert findings.count(session, CHOSEN) == 2
        assert session.scalar(text("SELECT count(*) FROM finding")) == 2
