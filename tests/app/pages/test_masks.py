"""The Masks page: first image, and the empty state."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from app.services.app_context import AppContext
from db.models import SampleRow
from tests.app.services.reviewed import digits, digits_home
from tests.app.small import add_dataset, add_done_round
from tools.fixtures.scenes import add_round, add_scenes

__all__ = ["digits", "digits_home"]

PAGE = Path(__file__).parents[3] / "app" / "pages" / "masks.py"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    return AppTest.from_file(str(PAGE), default_timeout=20)


def use(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)


def shown(page: AppTest) -> tuple[int | None, int, int | None]:
    assert not page.exception
    (element,) = page.get("bidi_component")
    data = json.loads(element.proto.json)
    return data["round"], data["sample"], data["finding"]


def test_the_page_without_a_round_names_the_next_step(
    page: AppTest, app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(app_context, monkeypatch)
    page.run()
    assert not page.exception
    assert page.title[0].value == "No masks to edit yet"


def test_a_round_of_class_labels_has_no_masks(
    page: AppTest, digits: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(digits, monkeypatch)
    page.query_params["round"] = "1"
    page.run()
    assert page.title[0].value == "No masks to edit yet"


def test_the_newest_round_of_masks_opens_with_its_worst_image(
    page: AppTest, scenes: AppContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(scenes, monkeypatch)
    assert shown(page.run()) == (1, 1, None)
    other = add_scenes(scenes, tmp_path / "more", 2, name="more")
    newer = add_round(scenes, other)
    with scenes.database.read() as session:
        ids = set(session.scalars(select(SampleRow.id).where(SampleRow.dataset_id == other)))
    round_id, sample, _ = shown(page.run())
    assert round_id == newer
    assert sample in ids


def test_the_address_chooses_round_image_and_region(
    page: AppTest, scenes: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(scenes, monkeypatch)
    page.query_params.update({"round": "1", "sample": "4", "finding": "7"})
    assert shown(page.run()) == (1, 4, 7)
    assert page.session_state["seen_round"] == 1


def test_a_dataset_without_a_round_can_be_opened(
    page: AppTest, app_context: AppContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(app_context, monkeypatch)
    add_scenes(app_context, tmp_path / "fresh", 2, name="fresh")
    assert shown(page.run()) == (None, 1, None)
    page.query_params.update({"dataset": "1", "sample": "2"})
    assert shown(page.run()) == (None, 2, None)


def test_an_image_outside_the_round_is_not_opened(
    page: AppTest, scenes: AppContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(scenes, monkeypatch)
    add_scenes(scenes, tmp_path / "more", 1, name="more")
    for named in ("7", "999", "1; drop table"):
        page.query_params.update({"round": "1", "sample": named})
        assert shown(page.run())[:2] == (1, 1)


def test_an_image_that_cannot_be_edited_is_named_and_another_opened(
    page: AppTest, scenes: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(scenes, monkeypatch)
    classes = add_dataset(scenes, [0, 1] * 10)
    with scenes.database.read() as session:
        name = session.scalar(select(SampleRow.name).where(SampleRow.id == 1))
    for named, said in (
        ({"round": "1", "sample": "99999"}, f"There is no image 99999 in scenes; {name} is shown instead."),
        ({"round": "999"}, "There is no round 999 to show; scenes is shown instead."),
        ({"dataset": "x"}, "There is no dataset x to show; scenes is shown instead."),
        (
            {"round": str(add_done_round(scenes, classes))},
            "The labels of pets are classes, so there is nothing to paint; scenes is shown instead.",
        ),
    ):
        page.query_params.clear()
        page.query_params.update(named)
        assert shown(page.run()) == (1, 1, None)
        assert [toast.value.replace("\\", "") for toast in page.toast] == [said]
    page.query_params.clear()
    page.query_params.update({"round": "1", "sample": "4"})
    assert shown(page.run())[:2] == (1, 4)
    assert not page.toast
