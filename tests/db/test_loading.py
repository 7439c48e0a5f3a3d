"""Rows loaded in bulk, the same on SQLite and PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import IntegrityError

from app.services.app_context import AppContext, open_app
from app.settings import Settings
from core.types import FindingKind, Task
from db.faults import DatabaseAwayError
from db.loading import POSTGRESQL, ROOMY_CACHE_KB, NewFinding, load_rows, roomy_cache
from db.models import DatasetRow, FindingRow
from db.queries.findings import add_findings
from tools.fixtures.reviews import fill

pytest_plugins = ["tests.postgres"]
COUNT = 30


@pytest.fixture(params=["sqlite", POSTGRESQL])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AppContext]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made = open_app(Settings(home=tmp_path, database_url=url, demo=False, embedded_worker=False))
    yield made
    made.database.close()


def test_findings_are_stored_as_they_are_given(opened: AppContext) -> None:
    fill(opened, COUNT, suspicious=0)
    region = NewFinding(
        1, 0, COUNT, FindingKind.SUSPICIOUS, 0, 1, 0.29, 0.1, 0.2, 3, "tést", [[1, 0.29], [0, 0.1]], None,
        1, 2, 3, 4, 12, b"\0\\x\xff", 2,
    )  # fmt: skip
    with opened.database.write() as session:
        add_findings(session, 1, [region])
        row = session.scalars(select(FindingRow).order_by(FindingRow.rank.desc()).limit(1)).one()
        assert {name: getattr(row, name) for name in NewFinding._fields} == region._asdict()
        assert (row.percent, row.status.name, row.painted, row.label) == (29, "OPEN", False, None)


def test_postgresql_loads_findings_by_copy_and_sqlite_by_insert(opened: AppContext) -> None:
    said: list[str] = []
    event.listen(opened.database.engine, "before_cursor_execute", lambda *asked: said.append(asked[2]))
    fill(opened, COUNT)
    inserted = any(one.startswith("INSERT INTO finding (") for one in said)
    assert inserted is (opened.database.engine.dialect.name == "sqlite")
    with opened.database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM finding")) == COUNT


def test_an_invalid_row_is_a_database_error_and_stores_nothing(opened: AppContext) -> None:
    now = str(datetime.now(UTC).replace(tzinfo=None))
    columns = ("name", "task", "root", "format", "classes", "options", "created_at")
    rows = [(name, Task.CLASSIFICATION.value, "/", "x", "[]", "{}", now) for name in ("a", "b", "a")]
    with pytest.raises(IntegrityError), opened.database.write() as session:
        load_rows(session.connection(), "dataset", columns, rows)
    with opened.database.write() as session:
        load_rows(session.connection(), "dataset", columns, rows[:2])
    with opened.database.read() as session:
        assert session.scalars(select(DatasetRow.name).order_by(DatasetRow.id)).all() == ["a", "b"]


def test_the_cache_is_larger_within_the_block_and_restored_afterwards(tmp_path: Path) -> None:
    opened = open_app(Settings(home=tmp_path, demo=False, embedded_worker=False))
    asked = text("PRAGMA cache_size")
    with opened.database.write() as session:
        before = session.scalar(asked)
        with roomy_cache(session):
            assert session.scalar(asked) == -ROOMY_CACHE_KB
        assert session.scalar(asked) == before != -ROOMY_CACHE_KB
    opened.database.close()


def test_a_server_lost_during_loading_is_reported_as_unreachable_and_can_be_used_again(
    postgres_url: str, tmp_path: Path
) -> None:
    opened = open_app(Settings(home=tmp_path, database_url=postgres_url, demo=False, embedded_worker=False))

    def load() -> None:
        with opened.database.write() as session:
            number = session.scalar(text("SELECT pg_backend_pid()"))
            load_rows(session.connection(), "annotator", ["name"], cut(number))

    def cut(number: int | None) -> Iterator[tuple[str]]:
        with opened.database.engine.connect() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({number})")
        for _ in range(100_000):
            yield ("x" * 1000,)

    with pytest.raises(DatabaseAwayError):
        load()
    with opened.database.write() as session:
        assert session.scalar(text("SELECT count(*) FROM annotator")) == 0
    opened.database.close()
