"""The Classes page: empty, and with the table mounted on the dataset and the merge that the address names."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.services.app_context import AppContext
from tests.app.small import add_dataset

MAIN = Path(__file__).parents[3] / "app" / "main.py"


@pytest.fixture
def screen(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    return AppTest.from_file(str(MAIN), default_timeout=30).switch_page("pages/classes.py")


def test_the_page_without_a_dataset_links_to_the_import(screen: AppTest) -> None:
    screen.run()
    assert not screen.exception
    assert screen.title[0].value == "No classes yet"
    assert screen.button("classes_datasets").label == "Datasets"


def test_the_table_shows_the_requested_dataset_with_both_classes_of_a_merge(
    screen: AppTest, app_context: AppContext
) -> None:
    first = add_dataset(app_context, [0, 1] * 10)
    for asked, merge in (
        ({"merge": "1", "into": "0"}, [1, 0]),
        ({"merge": "1"}, None),
        ({"merge": "1", "into": "1"}, None),
    ):
        screen.query_params.clear()
        for name, value in {"dataset": str(first), **asked}.items():
            screen.query_params[name] = value
        screen.run()
        assert not screen.exception
        (mounted,) = screen.get("bidi_component")
        data = json.loads(mounted.proto.json)
        assert (data["dataset"], data["merge"], data["datasets"]) == (first, merge, [[first, "pets"]])
    screen.query_params["dataset"] = "77"
    screen.run()
    assert screen.toast[0].value == "There is no dataset 77 to show; pets is shown instead."
