"""The page while the server is away: our own line, without Streamlit's overlay."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.types import Status
from tests.e2e.review_home import reviewing

pytestmark = pytest.mark.browser

GIVES_UP_MS = 90_000  # how long Streamlit tries before its dialog


def test_an_unreachable_server_is_reported_in_one_line_and_keys_keep_working(
    digits_folder: Path, page: Page, tmp_path: Path
) -> None:
    with reviewing(tmp_path / "home", digits_folder, page) as (server, review):
        server.kill()
        line = page.locator("#outfold-connection")
        expect(line).to_contain_text("The server does not answer.", timeout=GIVES_UP_MS)
        expect(page.locator("[data-testid='stDialog']")).to_have_count(0)
        review.press("a", "k")
        expect(page.locator(".status")).to_contain_text("offline, 2 unsaved")
        server.start()
        expect(line).to_have_count(0)
        review.saved()
        assert review.statuses() == [Status.ACCEPT, Status.KEEP]
