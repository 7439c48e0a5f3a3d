"""A folder of pictures without any label: imported, labelled by keys and by look-alikes, learnt from, reviewed."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.services.reviews import resolved_labels
from tests.e2e.conftest import Server, open_home
from tools.fixtures.browser import wait_for

DATASET, IMAGES = 1, 120
JOB_MS, STEP_MS = 300_000, 60_000
READY = ".outfold[data-ready='true']"
SAVED = ".status[data-unsaved='0'][data-state='saved']"
BAR = ".labelling-bar"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def pictures(digits_folder: Path, tmp_path: Path) -> Path:
    """Return a folder of digits; each file is called after its digit, as only the test knows."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    chosen = np.random.default_rng(0).permutation(sorted(digits_folder.glob("*/*.png")))[:IMAGES]
    for place, path in enumerate(map(Path, chosen)):
        shutil.copy(path, folder / f"{path.parent.name}-{place}.png")
    return folder


@pytest.mark.timeout(900)
def test_unlabelled_images_are_labelled_by_hand_and_trained_on(
    page: Page, pictures: Path, make_server: Callable[..., Server]
) -> None:
    server = make_server().start()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.set_default_timeout(STEP_MS)
    page.goto(f"{server.url}/datasets")
    page.locator(".st-key-import_source input").fill(str(pictures))
    page.locator(".st-key-import_source input").press("Enter")
    page.locator(".st-key-import_go button").click()
    page.locator(".st-key-report_1").get_by_role("link", name="Label images").click(timeout=JOB_MS)

    page.get_by_label("Classes, one per line").fill("\n".join("0123456789"))
    page.locator(".st-key-review_label_go button").click()
    page.wait_for_selector(READY, timeout=JOB_MS)
    page.get_by_placeholder("Your name").fill("Ada Lovelace")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(BAR)).to_contain_text("0 of 60 labels for a first round")
    expect(page.get_by_text("Accept all above")).to_have_count(0)
    page.keyboard.press("a")
    expect(page.get_by_text("Nothing is suggested yet")).to_be_visible()

    _label_cards(page, 12)
    page.wait_for_selector(SAVED)
    _label_look_alikes(page)
    page.keyboard.press("u")
    expect(page.locator(BAR)).to_contain_text("12 of 60 labels")
    page.keyboard.press("Control+Shift+z")
    expect(page.locator(BAR)).not_to_contain_text("12 of 60 labels")
    page.wait_for_selector(SAVED)
    page.reload()
    page.wait_for_selector(READY)
    labelled = _labelled(server.home)
    assert labelled > 12
    expect(page.locator(BAR)).to_contain_text(f"{labelled} of 60 labels")
    expect(page.get_by_role("link", name="Start the first round")).to_be_hidden()
    _label_cards(page, 66 - labelled)
    page.wait_for_selector(SAVED)
    assert _labelled(server.home) == 66

    page.get_by_role("link", name="Start the first round").click()
    for name, value in (("folds", "2"), ("epochs", "10")):
        field = page.locator(f".st-key-form_{DATASET}_{name} input")
        field.fill(value)
        field.press("Enter")
        expect(field).to_have_value(value)
    page.locator(f".st-key-form_{DATASET}_start button").click()
    page.get_by_role("link", name="Review round 2").click(timeout=JOB_MS)
    page.wait_for_selector(".outfold")
    page.goto(f"{server.url}/review?round=2&show=unlabelled")
    page.wait_for_selector(READY)
    expect(page.locator(".done")).to_contain_text(f"of {IMAGES - 66}")


def _label_cards(page: Page, count: int) -> None:
    """Label so many cards by the digit that their file's name begins with."""
    for _ in range(count):
        name = page.locator(".card.focus").get_attribute("aria-label") or ""
        before = page.locator(".card.focus").get_attribute("data-id")
        page.keyboard.press(name[0])
        wait_for(page, "id => document.querySelector('.card.focus')?.dataset.id !== id", before)


def _label_look_alikes(page: Page) -> None:
    """Label the look-alikes of the focused card with one key, and come back to the rest of the queue."""
    page.keyboard.press("m")
    expect(page).to_have_url(re.compile("[?&]similar="))
    page.wait_for_selector(f"{READY} .card.sel")
    name = page.locator(".card.focus").get_attribute("aria-label") or ""
    page.keyboard.press(name[0])
    expect(page).not_to_have_url(re.compile("[?&]similar="))
    page.wait_for_selector(READY)


def _labelled(home: Path) -> int:
    opened = open_home(home)
    resolved = resolved_labels(opened, DATASET).values()
    opened.database.close()
    return sum(one.label is not None for one in resolved)
