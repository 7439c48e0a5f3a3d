"""Tagging images by keys in a real browser against the real server: nothing that was pressed is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from app.services import deletions
from app.services.app_context import AppContext
from app.services.tags import current as tags
from tests.e2e.conftest import Server, serve, sign_in, watch
from tools.fixtures.scenes import CAR, HOUSE, ROAD, SKY, TREE, add_round, add_scenes, open_home

pytestmark = pytest.mark.browser

COUNT, BARE = 7, 5
FIRST = COUNT - BARE + 1
READY = ".tag-panel[data-ready='true']"
SAVED = ".tag-panel .status[data-unsaved='0'][data-state='saved']"
PATIENCE_MS = 60_000


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Server, AppContext]]:
    app_context = open_home(tmp_path / "home")
    add_round(app_context, add_scenes(app_context, tmp_path / "scenes", COUNT, unlabelled=BARE))
    app_context.database.close()
    with serve(tmp_path / "home") as opened:
        yield opened


def opened(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/tags?dataset=1")
    page.wait_for_selector(READY, timeout=PATIENCE_MS)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def said(app_context: AppContext) -> dict[int, list[int]]:
    return {one.image.id: one.image.classes or [] for one in tags.queue(app_context, 1, tags.TagFilter.TAGGED)}


def _watched(page: Page) -> list[str]:
    """Return the list to which the page's errors are added."""
    troubles: list[str] = []
    page.set_viewport_size({"width": 1440, "height": 900})
    watch(page, troubles)
    return troubles


def test_images_are_tagged_by_keys_and_nothing_is_lost(
    served: tuple[Server, AppContext], page: Page, context: BrowserContext
) -> None:
    server, app_context = served
    troubles = _watched(page)
    sign_in(context, server.url)
    opened(server, page)
    pressed = page.locator(".tag[aria-pressed='true'] .class-name")
    expect(pressed).to_have_text(["sky", "road", "house", "tree", "car"])  # what the round sees
    expect(page.locator(".image-name")).to_have_text(f"scene_{FIRST - 1:03d}.png")

    page.keyboard.press("5")  # no car
    expect(pressed).to_have_text(["sky", "road", "house", "tree"])
    press(page, "Enter", "c", "1", "2", "Enter", "s", "Enter")  # the last one as suggested
    page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    everything = {FIRST: [SKY, ROAD, HOUSE, TREE], FIRST + 1: [SKY, ROAD], FIRST + 3: [SKY, ROAD, HOUSE, TREE, CAR]}
    assert said(app_context) == everything
    expect(page.locator(".tag-panel .done")).to_contain_text("3 of 5 tagged")

    page.keyboard.press("u")
    page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    expect(page.locator(".image-name")).to_have_text(f"scene_{FIRST + 2:03d}.png")
    assert set(said(app_context)) == {FIRST, FIRST + 1}

    # the server is away: what is pressed waits in the browser, also over a reload
    server.kill()
    press(page, "c", "4", "Enter")
    page.wait_for_selector(".tag-panel .status[data-state='offline']", timeout=PATIENCE_MS)
    server.start()
    opened(server, page)
    page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    assert said(app_context) == {FIRST: [SKY, ROAD, HOUSE, TREE], FIRST + 1: [SKY, ROAD], FIRST + 3: [TREE]}

    page.keyboard.press("u")  # what was said in the visit before
    page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    expect(page.locator(".image-name")).to_have_text(f"scene_{FIRST + 2:03d}.png")
    press(page, "c", "/", *"hou", "Enter")
    expect(pressed).to_have_text(["house"])
    page.keyboard.press("Enter")
    page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    assert said(app_context)[FIRST + 3] == [HOUSE]
    _delete_and_restore(server, app_context, page)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert [one for one in troubles if "ERR_CONNECTION" not in one and "Failed to fetch" not in one] == []


def _delete_and_restore(server: Server, app_context: AppContext, page: Page) -> None:
    """Delete the dataset meanwhile: tags are kept in the browser, also over another page, until it is restored."""
    before = said(app_context)
    gone = deletions.delete_dataset(app_context, 1, "Ben")
    press(page, "c", "5", "Enter")
    status, toast = page.locator(".tag-panel .status"), page.locator(".tag-panel .toast")
    expect(status).to_have_text("⚠ 1 not stored")
    late = f"scene_{FIRST + 1:03d}.png"  # the one that was skipped
    expect(toast).to_contain_text(f"Tags of 1 image not stored, on {late}: {gone.name} was deleted by Ben")
    expect(toast).to_contain_text("restore it on the Datasets page within 7 days")
    toast.get_by_role("button", name="Datasets").click()
    page.locator(".st-key-deleted summary").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".st-key-deleted")).to_have_count(0)
    opened(server, page)
    page.wait_for_selector(f"{SAVED}[data-held='0']", timeout=PATIENCE_MS)
    assert said(app_context) == before | {FIRST + 2: [CAR]}
