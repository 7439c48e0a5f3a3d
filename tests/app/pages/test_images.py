"""The Images page: empty, not yet checked, one click, what was found."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.components.links import review_address
from app.services.app_context import AppContext
from tests.app.services.test_image_checks import imported, root

__all__ = ["imported", "root"]
MAIN = Path(__file__).parents[3] / "app" / "main.py"


def open_page(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    return AppTest.from_file(str(MAIN), default_timeout=30).switch_page("pages/images.py").run()


def test_the_page_without_a_dataset_links_to_the_import(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = open_page(app_context, monkeypatch)
    assert not screen.exception
    assert screen.title[0].value == "No images to check yet"
    assert screen.button("empty_step_0").label == "Import a dataset"


def test_one_click_checks_the_images_and_shows_the_problems(
    imported: AppContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = open_page(imported, monkeypatch)
    screen.button(key="check_images").click().run()
    assert not screen.exception
    assert [tab.label for tab in screen.tabs] == [
        "Near-duplicates · 1",
        "Leaks between splits · 1",
        "Outliers · unknown",
        "Without content · 1",
    ]
    drawn = "".join(str(element.proto.body) for element in screen.get("html"))
    assert "different labels" in drawn
    assert "black.png" in drawn
    assert any("choose the method probe" in element.value for element in screen.info)
    again = open_page(imported, monkeypatch)  # the next visit finds it done
    assert not [button for button in again.button if button.key == "check_images"]
    assert {button.key for button in again.button} == {"by_filter_remove", "remove images without content"}


def test_a_card_is_linked_with_any_kind_and_status() -> None:
    address = review_address(7, 3, every_kind=True)
    assert address == "review?round=3&show=any&status=any&sample=7"
