"""Facts about a dataset's images that the form of a round asks for: right, and without reading every image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text, update

from app.services.app_context import AppContext, open_app
from app.settings import Settings
from db.models import SampleRow
from db.queries import evaluation, snapshots
from tools.fixtures.reviews import fill

COUNT = 60


@pytest.fixture
def app_context(tmp_path: Path) -> Iterator[AppContext]:
    """Two datasets of `COUNT` images in splits; of the second, every tenth has no label and every third is wider."""
    made = open_app(Settings(home=tmp_path, demo=False, embedded_worker=False))
    fill(made, COUNT)
    with made.database.write() as session:
        session.execute(text("UPDATE dataset SET name = 'other'"))
    fill(made, COUNT)
    of_second = SampleRow.dataset_id == 2
    with made.database.write() as session:
        session.execute(update(SampleRow).where(of_second, SampleRow.id % 10 == 0).values(label=None))
        session.execute(update(SampleRow).where(of_second, SampleRow.id % 3 == 0).values(width=99))
    yield made
    made.database.close()


def test_first_samples_are_the_labelled_ones_of_the_dataset_then_the_others(app_context: AppContext) -> None:
    ids = range(COUNT + 1, 2 * COUNT + 1)
    expected = [one for one in ids if one % 10] + [one for one in ids if not one % 10]
    with app_context.database.read() as session:
        for most in (5, 57, 2 * COUNT):
            assert [one.id for one in snapshots.first_samples(session, 2, most)] == expected[:most]


def test_sizes_are_counted_over_all_splits(app_context: AppContext) -> None:
    with app_context.database.read() as session:
        sizes = {width: count for width, _, _, count in snapshots.image_sizes(session, 2)}
        assert sizes == {28: 40, 99: 20}
        assert len(evaluation.splits(session, 2)) == 2


def test_images_without_label_count_as_separable_only_once_decided(app_context: AppContext) -> None:
    with app_context.database.read() as session:
        assert snapshots.count_separable(session, 1) == COUNT
        assert snapshots.count_separable(session, 2) == COUNT - 6
        assert (snapshots.count_unlabelled(session, 1), snapshots.count_unlabelled(session, 2)) == (0, 6)
        assert snapshots.has_labels(session, 2)


def test_counts_for_the_form_of_a_round_are_read_from_indexes_alone(app_context: AppContext) -> None:
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if "FROM sample" in statement:
            statements.append((statement, parameters))

    event.listen(app_context.database.engine, "before_cursor_execute", note)
    try:
        with app_context.database.read() as session:
            snapshots.image_sizes(session, 1)
            evaluation.splits(session, 1)
            snapshots.count_separable(session, 1)
            snapshots.count_unlabelled(session, 1)
    finally:
        event.remove(app_context.database.engine, "before_cursor_execute", note)
    with app_context.database.read() as session:
        connection = session.connection()
        for statement, parameters in statements:
            plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
            assert "COVERING INDEX ix_sample_counted" in plan or "ix_sample_bare" in plan, statement
    assert len(statements) == 5
