"""Copies of databases: every row arrives as it was stored, in both directions, or none does."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, select, text, update

from app.services import members, people, reviews
from app.services.app_context import AppContext, open_app
from app.services.reviews import Choice, audits
from app.settings import Settings
from core.types import FindingFilter, FindingKind, Role, StorageError, Verdict
from db.copying import BATCH, copy_database, hash_tables
from db.engine import Database, alembic_config, known_revisions, revision_of
from db.home_id import find_home_id, note_home_id
from db.models import Base, DatasetRow, FindingRow, TaggingRow
from tools.fixtures.reviews import fill

pytest_plugins = ["tests.postgres"]

ROWS = BATCH + 1  # two batches
SUSPICIOUS = FindingFilter(round_id=1, kinds=frozenset({FindingKind.SUSPICIOUS}))
NOW = datetime(2026, 11, 29, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def filled(app_context: AppContext) -> AppContext:
    """Return an installation whose rows hold every kind of value: bytes, NULL beside JSON's null, times, umlauts."""
    fill(app_context, ROWS)
    people.add_user(app_context, "Käthe", "correct horse battery", Role.ADMIN, by="root")
    members.set_members(app_context, 1, ["Käthe"], by="Käthe")
    first, second = reviews.page(app_context, SUSPICIOUS, limit=2).items
    reviews.decide(app_context, [Choice(first.id, Verdict.KEEP), Choice(second.id, Verdict.ACCEPT)], by="Käthe")
    reviews.undo(app_context, 1, by="Käthe")
    audits.start(app_context, SUSPICIOUS, by="Käthe")
    with app_context.database.write() as session:
        session.execute(update(FindingRow).where(FindingRow.id == 1).values(region=bytes(range(256))))
        session.execute(update(DatasetRow).values(colours=None, classes=["a\tb\\N", "ü\n", '"']))
        session.execute(text("UPDATE round SET metrics = 'null', versions = NULL"))
        session.add(TaggingRow(sample_id=1, classes=[1], tagged_at=NOW))
        session.flush()
        session.add(TaggingRow(sample_id=1, classes=None, tagged_at=NOW, undoes_id=1))
    return app_context


def counts(url: str) -> dict[str, int]:
    return {one.table: one.rows for one in hash_tables(url)}


def nulls(url: str) -> tuple[object, ...]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT CAST(metrics AS VARCHAR), versions IS NULL FROM round")).one()
    engine.dispose()
    return tuple(found)


@pytest.mark.slow
def test_every_row_is_copied_to_postgresql_and_back(filled: AppContext, postgres_url: str, tmp_path: Path) -> None:
    told: list[str] = []
    there = copy_database(filled.database.url, postgres_url, lambda table: told.append(table.table))
    back_url = f"sqlite:///{tmp_path / 'back.sqlite'}"
    assert copy_database(postgres_url, back_url) == there == hash_tables(filled.database.url)
    assert told == [table.name for table in Base.metadata.sorted_tables]
    assert counts(back_url)["sample"] == ROWS
    assert counts(back_url)["changeset"] == 2
    assert counts(back_url)["dataset_member"] == 1, "whose key is of two other tables"
    for url in (filled.database.url, postgres_url, back_url):
        assert nulls(url) == ("null", True), url
    database = Database(postgres_url)
    with database.read() as session:
        dataset = session.scalars(select(DatasetRow)).one()
        finding = session.get_one(FindingRow, 1)
        tags = session.scalars(select(TaggingRow).order_by(TaggingRow.id)).all()
        assert dataset.classes == ["a\tb\\N", "ü\n", '"']
        assert finding.region == bytes(range(256))
        assert [(one.tagged_at, one.undoes_id) for one in tags] == [(NOW, None), (NOW, 1)]
    database.close()


def test_ids_in_the_postgresql_copy_continue_after_those_of_the_source(
    filled: AppContext, postgres_url: str, tmp_path: Path
) -> None:
    copy_database(filled.database.url, postgres_url)
    opened = open_app(Settings(home=tmp_path / "other", database_url=postgres_url, demo=False, embedded_worker=False))
    finding = reviews.page(opened, SUSPICIOUS, limit=1).items[0]
    assert reviews.decide(opened, [Choice(finding.id, Verdict.KEEP)], by="ada").changeset == 3
    opened.database.close()


def test_a_target_with_data_is_refused_and_left_unchanged(filled: AppContext, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.sqlite'}"
    copy_database(filled.database.url, url)
    before = hash_tables(url)
    with pytest.raises(StorageError, match=r"other\.sqlite: it holds rows already .*name an empty database"):
        copy_database(filled.database.url, url)
    assert hash_tables(url) == before
    with pytest.raises(StorageError, match="it is the source itself"):
        copy_database(url, url)


def test_a_source_without_tables_is_refused_and_not_created(postgres_url: str, tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path / 'none.sqlite'}", postgres_url):
        with pytest.raises(StorageError, match="holds no tables of Outfold"):
            copy_database(url, f"sqlite:///{tmp_path / 'target.sqlite'}")
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_does_not_fit_stores_nothing(filled: AppContext, postgres_url: str) -> None:
    """SQLite takes a text of any length, and the zero character, which PostgreSQL does not."""
    last = "(SELECT max(id) FROM sample)"
    for wrong in ("split = hex(zeroblob(30))", "name = 'a' || char(0)"):
        with filled.database.write() as session:
            session.execute(text(f"UPDATE sample SET split = '', name = 'a' WHERE id = {last}"))
            session.execute(text(f"UPDATE sample SET {wrong} WHERE id = {last}"))
        with pytest.raises(StorageError, match="a row of sample does not fit"):
            copy_database(filled.database.url, postgres_url)
        assert set(counts(postgres_url).values()) == {0}


@pytest.mark.slow
def test_rows_written_during_the_copy_are_not_in_it_and_no_writer_waits(filled: AppContext, postgres_url: str) -> None:
    before = hash_tables(filled.database.url)
    finding = reviews.page(filled, SUSPICIOUS, limit=1).items[0]

    def decide(_table: object) -> None:
        reviews.decide(filled, [Choice(finding.id, Verdict.EXCLUDE)], by="ada")

    assert copy_database(filled.database.url, postgres_url, decide) == before == hash_tables(postgres_url)
    assert counts(filled.database.url)["decision"] > counts(postgres_url)["decision"]


def test_the_number_of_the_home_is_copied(filled: AppContext, postgres_url: str) -> None:
    with filled.database.write() as session:
        note_home_id(session, 4711)
    copy_database(filled.database.url, postgres_url)
    database = Database(postgres_url)
    with database.read() as session:
        assert find_home_id(session) == 4711
    database.close()


def test_an_older_source_is_migrated_first(postgres_url: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    command.upgrade(alembic_config(url), known_revisions()[-2])
    copy_database(url, postgres_url)
    assert revision_of(url) == revision_of(postgres_url) == known_revisions()[-1]
