"""The page while the server is away: our own line, without Streamlit's overlay."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from core.types import Status
from tests.e2e.conftest import Server
from tests.e2e.review_home import open_home, prepare
from tests.e2e.test_review import Review, sign_in

pytestmark = pytest.mark.browser

GIVES_UP_MS = 90_000  # how long Streamlit tries before its dialog


def test_a_server_that_is_away_is_told_in_one_line_and_keys_go_on(
    make_server: Callable[..., Server], digits_folder: Path, page: Page, context: BrowserContext, tmp_path: Path
) -> None:
    round_id = prepare(tmp_path / "home", digits_folder)
    server = make_server(tmp_path / "home", OUTFOLD_EMBEDDED_WORKER="false").start()
    sign_in(context, server.url)
    app_context = open_home(server.home)
    review = Review(page, app_context, server.url, round_id)
    review.open()
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
    app_context.database.close()
