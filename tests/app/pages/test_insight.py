"""The Insight page: empty, of a finished round of labels or of masks, reached by a link that names just the round."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.services.workspace import Workspace
from tests.app.masked import add_round, add_scenes
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


def test_a_round_of_masks_shows_iou_pixels_and_its_worst_images(
    screen: AppTest, workspace: Workspace, tmp_path: Path
) -> None:
    round_id = add_round(workspace, add_scenes(workspace, tmp_path / "scenes"))
    screen.run()
    assert not screen.exception
    shown = "".join(element.proto.body for element in screen.get("html"))
    for figure in ("72.0%", "mIoU", "94.0%", "pixel accuracy", "regions found", "wobble set apart"):
        assert figure in shown, figure
    assert shown.count("<img ") == 5
    assert f"review?round={round_id}&amp;status=any&amp;sample=1" in shown
    assert f"masks?round={round_id}&amp;sample=1" in shown
    assert list(screen.dataframe[0].value["IoU"]) == [0.7] * 5
    (confusion, _) = screen.get("plotly_chart")
    assert "of what was given" in confusion.proto.spec
    assert "method" not in screen.table[0].value.index
    assert "boundary" in screen.table[0].value.index
