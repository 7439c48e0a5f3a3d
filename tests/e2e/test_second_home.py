"""A person on the web app of a second home, in a real browser: all pages, a verdict, the mask editor."""

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext

from tests.e2e.conftest import sign_in, watch
from tests.e2e.mask_pages import READY as EDITING
from tests.e2e.review_home import PATIENCE_MS, READY, SAVED
from tests.e2e.test_every_page import PAGES, settle
from tools.fixtures.browser import wait_for

if TYPE_CHECKING:
    from tests.second_home import Homes

pytest_plugins = ["tests.object_store", "tests.postgres", "tests.second_home"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

# Every picture on the page, within the components too, has arrived.
SHOWN = """
() => {
  const roots = [document], pictures = [];
  for (const root of roots) {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) roots.push(node.shadowRoot);
      if (node.tagName === "IMG" && node.checkVisibility()) pictures.push(node);
    }
  }
  return pictures.length > 0 && pictures.every((one) => one.complete && one.naturalWidth > 0);
}
"""


def test_a_dataset_imported_in_one_web_app_is_reviewed_in_the_second(homes: "Homes", context: BrowserContext) -> None:
    round_id = homes.upload_scenes()
    url = str(homes.second.base_url).rstrip("/")
    sign_in(context, url)
    page, troubles = context.new_page(), list[str]()
    page.set_default_timeout(PATIENCE_MS)
    watch(page, troubles)
    for place in PAGES:
        page.goto(f"{url}/{place}?dataset=1")
        settle(page)
        assert not page.get_by_test_id("stException").count(), place
    page.goto(f"{url}/review?round={round_id}")
    page.wait_for_selector(READY)
    wait_for(page, SHOWN, patience_ms=PATIENCE_MS)
    judged = page.locator(".card.focus").get_attribute("data-id")
    page.keyboard.press("a")
    page.wait_for_selector(SAVED)
    assert homes.first.get(f"/outfold/findings/{judged}").json()["status"] == "accept"
    page.goto(f"{url}/masks?round={round_id}")
    page.wait_for_selector(EDITING)
    assert troubles == []
