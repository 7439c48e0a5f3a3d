"""Impact of cleaning, as a person measures it: draw a split, judge it by keys, clean the rest, one click."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.services.evaluation import impact, splits as evaluation
from tests.e2e.conftest import Server, open_home
from tests.e2e.review_home import add_copy, prepare, serve_reviewed

DATASET = 1
JUDGED = 30
JOB_MS, STEP_MS = 300_000, 60_000
READY = ".outfold[data-ready='true']"
SAVED = ".status[data-unsaved='0'][data-state='saved']"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def served(digits_folder: Path, tmp_path: Path, make_server: Callable[..., Server]) -> Server:
    """Return a server whose digits have a finished round that doubts nine of ten labels, and no splits."""
    prepare(tmp_path / "home", digits_folder)
    return make_server(tmp_path / "home").start()


@pytest.mark.timeout(900)
def test_a_person_measures_the_impact_of_cleaning(page: Page, served: Server) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.set_default_timeout(STEP_MS)
    _draw_split(page, served)
    page.goto(f"{served.url}/worth?dataset={DATASET}")  # the former address
    page.locator(".st-key-impact_start button").wait_for()  # a page that opens takes its time, its texts do not
    expect(page).to_have_url(f"{served.url}/impact?dataset={DATASET}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Impact of cleaning")
    expect(page.get_by_text("people judged 0 images of the evaluation split,")).to_be_visible()
    expect(page.locator(".st-key-impact_start button")).to_be_disabled()
    page.get_by_role("link", name="Judge the evaluation split").click()
    _judge_all(page)
    _clean_some(page, served)

    page.goto(f"{served.url}/impact?dataset={DATASET}")
    page.locator(".st-key-impact_start button").click()
    expect(page.get_by_text("won and lost images")).to_be_visible(timeout=JOB_MS)
    expect(page.get_by_text(f"on {JUDGED} judged images the accuracy is")).to_be_visible()
    expect(page.get_by_text("points gained by cleaning")).to_be_visible()
    opened = open_home(served.home)
    (said,) = impact.comparisons(opened, DATASET)
    opened.database.close()
    assert said.impact is not None
    assert (said.impact["count"], len(said.impact["seeds"])) == (JUDGED, 3)


def test_the_evaluation_splits_of_a_dataset_far_below_are_scrolled_into_view(
    page: Page, digits_folder: Path, tmp_path: Path
) -> None:
    with serve_reviewed(tmp_path / "home", digits_folder) as (server, opened):
        for number in range(16):
            add_copy(opened, f"copy {number:02}", 20)
        _open_the_lowest_splits(page, server)


def _open_the_lowest_splits(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 1024, "height": 700})
    page.set_default_timeout(STEP_MS)
    page.goto(f"{server.url}/datasets")
    menus = [page.locator(f".st-key-cards_{dataset}_menu button").first for dataset in (DATASET, DATASET + 16)]
    for menu in menus:
        expect(menu).to_be_visible()
    max(menus, key=lambda menu: (menu.bounding_box() or {"y": 0})["y"]).click()
    page.get_by_role("button", name="Evaluation splits").click()
    expect(page.get_by_text("Evaluation splits of")).to_be_in_viewport()


def _draw_split(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/datasets")
    page.locator(f".st-key-cards_{DATASET}_menu button").first.click()
    page.get_by_role("button", name="Evaluation splits").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Draw 30 images").click()
    expect(page.get_by_role("button", name="Include in training")).to_be_visible()
    expect(page.get_by_text("30 for evaluation")).to_be_visible()  # on the card too


def _judge_all(page: Page) -> None:
    """Keep every label of the split, also where the round agrees with it: the link leads to all of them."""
    page.wait_for_selector(READY)
    page.get_by_placeholder("Your name").fill("Ada Lovelace")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    for count in range(JUDGED):
        page.keyboard.press("k")
        expect(page.get_by_text(f"{count + 1} of {JUDGED} decided")).to_be_visible()
    page.wait_for_selector(SAVED)


def _clean_some(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/review?dataset={DATASET}")
    page.wait_for_selector(READY)
    for _ in range(2):
        page.keyboard.press("a")
    page.wait_for_selector(SAVED)
    opened = open_home(server.home)
    stands = evaluation.protection(opened, DATASET)
    opened.database.close()
    assert (stands.protected, stands.judged) == (("evaluation",), JUDGED)
