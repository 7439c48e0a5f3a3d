"""The Insight page: empty, of a finished round, and reached by a link that names only the round."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.services.workspace import Workspace
from tests.app.small import add_dataset, add_done_round

MAIN = Path(__file__).parents[3] / "app" / "main.py"
PETS = [0, 1] * 10


@pytest.fixture
def screen(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.workspace.workspace", lambda: workspace)
    return AppTest.from_file(str(MAIN), default_timeout=30).switch_page("pages/insight.py")


def test_without_a_finished_round_the_page_says_where_to_go(screen: AppTest) -> None:
    screen.run()
    assert not screen.exception
    assert "when a round is done" in screen.info[0].value


def test_a_finished_round_shows_its_figures_confusion_and_classes(screen: AppTest, workspace: Workspace) -> None:
    add_done_round(workspace, add_dataset(workspace, PETS))
    screen.run()
    assert not screen.exception
    figures = "".join(element.proto.body for element in screen.get("html"))
    assert "90.0%" in figures
    assert "80.0%" in figures
    charts = screen.get("plotly_chart")
    assert len(charts) == 2
    classes = screen.dataframe[0].value
    assert list(classes["Most often taken for"]) == ["dog (1)", ""]
    settings, versions = (table.value for table in screen.table)
    assert settings.loc["folds"].item() == "2"
    assert versions.loc["snapshot"].item() == "00ff"


def test_a_link_that_names_only_the_round_finds_its_dataset(screen: AppTest, workspace: Workspace) -> None:
    first = add_done_round(workspace, add_dataset(workspace, PETS))
    add_done_round(workspace, add_dataset(workspace, PETS, name="others"))
    screen.query_params["round"] = str(first)
    screen.run()
    assert screen.selectbox("pick_round").value == first
    assert screen.query_params["dataset"] == "1"
