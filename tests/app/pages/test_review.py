"""The Review page: choice of the round, and the empty state."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.services.app_context import AppContext
from core.types import JobStatus, Task
from db.models import DatasetRow, RoundRow

PAGE = Path(__file__).parents[3] / "app" / "pages" / "review.py"
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@pytest.fixture
def review(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    return AppTest.from_file(str(PAGE), default_timeout=20)


def add_rounds(app_context: AppContext, *statuses: JobStatus, dataset: str = "d") -> list[int]:
    with app_context.database.write() as session:
        row = DatasetRow(
            name=dataset, task=Task.CLASSIFICATION, root="/", format="imagefolder", options={}, created_at=NOW,
            classes=["a", "b"],
        )  # fmt: skip
        session.add(row)
        session.flush()
        rounds = [
            RoundRow(dataset_id=row.id, number=number + 1, config={"folds": 2}, status=status, created_at=NOW)
            for number, status in enumerate(statuses)
        ]
        session.add_all(rounds)
        session.flush()
        return [one.id for one in rounds]


def shown_round(review: AppTest) -> object:
    (element,) = review.get("bidi_component")
    return json.loads(element.proto.json)["round"]


def test_the_page_without_a_round_names_the_next_step(review: AppTest) -> None:
    review.run()
    assert not review.exception
    assert review.title[0].value == "Nothing to review yet"
    assert review.button("review_datasets")


def test_the_page_without_a_round_links_to_the_rounds_of_the_dataset(review: AppTest, app_context: AppContext) -> None:
    add_rounds(app_context)
    review.query_params["dataset"] = "1"
    review.run()
    assert not review.exception
    assert review.markdown[0].value.startswith("Start a round")
    assert [button.key for button in review.button] == ["review_rounds"]


def test_the_newest_finished_round_is_shown_even_while_another_runs(review: AppTest, app_context: AppContext) -> None:
    ids = add_rounds(app_context, JobStatus.DONE, JobStatus.DONE, JobStatus.RUNNING)
    review.run()
    assert shown_round(review) == ids[1]


def test_the_address_chooses_round_and_dataset(review: AppTest, app_context: AppContext) -> None:
    first = add_rounds(app_context, JobStatus.DONE, JobStatus.DONE)
    add_rounds(app_context, JobStatus.DONE, dataset="other")
    review.query_params["round"] = str(first[0])
    assert shown_round(review.run()) == first[0]
    del review.query_params["round"]
    review.query_params["dataset"] = "1"
    assert shown_round(review.run()) == first[1]


def test_an_invalid_address_shows_the_newest_round(review: AppTest, app_context: AppContext) -> None:
    ids = add_rounds(app_context, JobStatus.DONE)
    review.query_params["round"] = "1; drop table"
    review.query_params["dataset"] = "x"
    assert shown_round(review.run()) == ids[0]


@pytest.mark.parametrize(
    ("named", "said"),
    [({"round": "abc"}, "round abc"), ({"round": "999"}, "round 999"), ({"dataset": "999"}, "dataset 999")],
)
def test_a_missing_round_or_dataset_is_reported_and_the_newest_round_shown(
    named: dict[str, str], said: str, review: AppTest, app_context: AppContext
) -> None:
    ids = add_rounds(app_context, JobStatus.DONE)
    assert shown_round(review.run()) == ids[0]
    assert not review.toast
    review.query_params.update(named)
    assert shown_round(review.run()) == ids[0]
    assert review.toast[0].value == f"There is no {said} to show; Round 1 of d is shown instead."


def test_a_running_round_shows_its_progress(review: AppTest, app_context: AppContext) -> None:
    add_rounds(app_context, JobStatus.RUNNING)
    review.run()
    assert not review.exception
    assert "is running" in review.title[0].value


def test_a_failed_round_is_reported(review: AppTest, app_context: AppContext) -> None:
    add_rounds(app_context, JobStatus.FAILED)
    review.run()
    assert "failed" in review.title[0].value


def test_the_dataset_chosen_on_another_page_is_the_one_reviewed(review: AppTest, app_context: AppContext) -> None:
    first = add_rounds(app_context, JobStatus.DONE)
    second = add_rounds(app_context, JobStatus.DONE, dataset="other")
    assert shown_round(review.run()) == second[0]
    review.session_state["seen_dataset"] = 1
    assert shown_round(review.run()) == first[0]
    review.query_params["round"] = str(second[0])
    assert shown_round(review.run()) == second[0]
    assert review.session_state["seen_dataset"] == 2
