"""Statements of one verdict: each is a message to the database and back, while every other writer waits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from app.services import reviews
from app.services.app_context import AppContext, open_app
from app.services.reviews import ActKey, Choice
from app.settings import Settings
from core.types import FindingFilter, Status, Verdict
from db.models import FindingCountRow
from db.queries import projection
from tools.fixtures.reviews import add_round, fill

pytest_plugins = ["tests.postgres"]

IMAGES = 120
MOST = {"sqlite": 14, "postgresql": 12}  # BEGIN of SQLite and the lock of PostgreSQL among them


@pytest.fixture
def installation(database_url: str, tmp_path: Path) -> Iterator[AppContext]:
    settings = Settings(home=tmp_path / "home", database_url=database_url, demo=False, embedded_worker=False)
    made = open_app(settings)
    fill(made, IMAGES, suspicious=1)
    yield made
    made.database.close()


def test_a_verdict_takes_few_sql_statements(installation: AppContext) -> None:
    reviews.decide(installation, [Choice(1, Verdict.KEEP)], by="ada", key=ActKey("tab", 1))
    engine, said = installation.database.engine, list[str]()

    def note(*asked: Any) -> None:
        said.append(asked[2])

    event.listen(engine, "before_cursor_execute", note)
    saved = reviews.decide(installation, [Choice(2, Verdict.EXCLUDE)], by="ada", key=ActKey("tab", 2))
    event.remove(engine, "before_cursor_execute", note)
    assert [one.status for one in saved.items] == [Status.EXCLUDE]
    assert len(said) <= MOST[engine.dialect.name], "\n\n".join(said)
    by_status = reviews.counts(installation, FindingFilter(round_id=1)).by_status
    assert by_status == {Status.OPEN: IMAGES - 2, Status.KEEP: 1, Status.EXCLUDE: 1}


@pytest.mark.parametrize("count", [projection.FEW // 2, projection.FEW])
def test_counts_follow_few_and_many_verdicts_of_one_act(installation: AppContext, count: int) -> None:
    second = add_round(installation, 1, range(1, 1 + IMAGES), suspicious=0.5, number=2)
    verdicts = [Choice(one, (Verdict.EXCLUDE, Verdict.AMBIGUOUS)[one % 2]) for one in range(1, 1 + count)]
    reviews.decide(installation, verdicts, by="ada")  # each stands in both rounds over its image
    reviews.decide(installation, [Choice(one.finding_id, Verdict.KEEP) for one in verdicts[1:]], by="bob")
    for round_id in (1, second):
        assert counted(installation, round_id) == counted(installation, round_id, anew=True)


def counted(app_context: AppContext, round_id: int, *, anew: bool = False) -> list[tuple[Any, ...]]:
    columns = [getattr(FindingCountRow, name) for name in (*projection.COUNTED, "count")]
    some = select(*columns).where(FindingCountRow.round_id == round_id, FindingCountRow.count != 0)
    with app_context.database.write() as session:
        if anew:
            projection.count_again(session, round_id)
        return sorted(tuple(row) for row in session.execute(some))
