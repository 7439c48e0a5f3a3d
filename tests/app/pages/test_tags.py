"""The Tags page: empty, and with the panel mounted on the dataset that is asked for."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.services.app_context import AppContext
from tests.app.small import add_dataset
from tools.fixtures.scenes import add_scenes

MAIN = Path(__file__).parents[3] / "app" / "main.py"


@pytest.fixture
def screen(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    return AppTest.from_file(str(MAIN), default_timeout=30).switch_page("pages/tags.py")


def test_the_page_without_masks_links_to_the_next_step(screen: AppTest, app_context: AppContext) -> None:
    add_dataset(app_context, [0, 1] * 10)
    screen.run()
    assert not screen.exception
    assert screen.title[0].value == "Nothing to tag yet"
    assert screen.button("empty_step_0").label == "Import a dataset"


def test_the_panel_shows_the_requested_dataset(screen: AppTest, app_context: AppContext, tmp_path: Path) -> None:
    first = add_scenes(app_context, tmp_path / "one", 2, unlabelled=1)
    add_scenes(app_context, tmp_path / "two", 2, name="others")
    screen.query_params["dataset"] = str(first)
    screen.run()
    assert not screen.exception
    (mounted,) = screen.get("bidi_component")
    data = json.loads(mounted.proto.json)
    assert (data["dataset"], data["sample"]) == (first, None)
    assert sorted(data["datasets"]) == [[1, "scenes"], [2, "others"]]
    assert not screen.toast
    classes = add_dataset(app_context, [0, 1] * 10)
    for named, said in (
        ("77", "There is no dataset 77 to show"),
        ("-1", "There is no dataset -1 to show"),
        (str(classes), "The labels of pets are classes, so there is nothing to tag"),
    ):
        screen.query_params["dataset"] = named
        screen.run()
        assert json.loads(screen.get("bidi_component")[0].proto.json)["dataset"] == first
        assert screen.toast[0].value == f"{said}; scenes is shown instead."
