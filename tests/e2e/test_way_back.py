"""The browser's Back leaves a page that completed its own address with one step."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server
from tests.e2e.review_home import serve_reviewed

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[Server]:
    with serve_reviewed(tmp_path_factory.mktemp("back") / "home", digits_folder) as (server, _):
        yield server


@pytest.mark.parametrize("name", ["Rounds", "Export", "Insight"])
def test_one_back_press_leaves_a_page(page: Page, server: Server, name: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{server.url}/datasets")
    expect(page.locator(".st-key-cards")).to_be_visible()
    page.get_by_role("link", name=name, exact=True).first.click()
    expect(page).to_have_url(re.compile("[?&]dataset="))
    page.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']")
    page.go_back()
    expect(page.locator(".st-key-cards")).to_be_visible()
    expect(page).to_have_url(f"{server.url}/datasets")
