"""The ways from images without labels to labelling: Datasets, Rounds, Review and Insight."""

from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds, labelling
from app.services.rounds.preview import Estimates
from core.types import JobStatus, Recipe
from tests.app.services.reviewed import import_folder

MAIN = Path(__file__).parents[3] / "app" / "main.py"


@pytest.fixture
def bare(app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a dataset of pictures that nobody labelled."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (32, 24), (40 * number, 90, 160)).save(folder / f"{number}.png")
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    monkeypatch.setattr("app.services.rounds.preview.known_times", lambda *_: Estimates((), pending=False))
    return import_folder(app_context, folder, "bare")


def opened(name: str, dataset_id: int) -> AppTest:
    screen = AppTest.from_file(str(MAIN), default_timeout=30).switch_page(f"pages/{name}.py")
    screen.query_params["dataset"] = str(dataset_id)
    return screen.run()


@pytest.mark.parametrize("name", ["review", "rounds"])
def test_a_page_without_labels_asks_for_classes_and_starts_labelling(
    app_context: AppContext, bare: int, name: str
) -> None:
    screen = opened(name, bare)
    key = "review_label" if name == "review" else "rounds_label"
    screen.button(f"{key}_go").click().run()
    assert "has no classes yet; name at least one" in screen.error[0].value
    screen.text_area(f"{key}_classes").set_value("cat\n\ndog ").run()
    screen.button(f"{key}_go").click().run()
    assert not screen.exception
    (started,) = rounds.list_rounds(app_context, bare)
    assert (started.recipe, started.status) == (Recipe.LABELLING, JobStatus.QUEUED)
    assert rounds.classes_of(app_context, bare) == ["cat", "dog"]


def test_the_start_button_is_disabled_with_the_cause(bare: int) -> None:
    screen = opened("rounds", bare)
    assert screen.button(f"form_{bare}_start").disabled
    assert "No image has a label yet: label some first." in [one.value for one in screen.caption]


def test_labels_can_be_masks(app_context: AppContext, bare: int) -> None:
    screen = opened("review", bare)
    screen.radio("review_label_kind").set_value("Masks: a class for each pixel").run()
    screen.text_area("review_label_classes").set_value("background\ncell").run()
    screen.button("review_label_go").click().run()
    assert not screen.exception
    now = labelling.labelling_state(app_context, bare)
    assert (now.in_grid, now.classes) == (False, ["background", "cell"])
    screen = opened("rounds", bare)
    assert [one.label for one in screen.get("page_link") if one.label in ("Paint masks", "Tag images")] == [
        "Paint masks",
        "Tag images",
    ]


def test_the_card_of_a_dataset_leads_to_labelling(bare: int) -> None:
    assert "Label images" in [one.label for one in opened("datasets", bare).get("page_link")]


def test_insight_of_a_dataset_without_labels_leads_to_labelling(bare: int) -> None:
    assert opened("insight", bare).button("empty_step_0").label == "Label images"
