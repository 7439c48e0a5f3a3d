"""Verdicts that no server has taken yet, when the browser itself is killed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from core.types import Status
from tests.e2e.conftest import Server
from tests.e2e.review_home import open_home, prepare
from tests.e2e.test_review import READY, SAVED, Review, sign_in

pytestmark = pytest.mark.browser

VERDICTS = 30


def test_verdicts_outlive_a_browser_that_is_killed_while_the_server_is_away(
    make_server: Callable[..., Server],
    digits_folder: Path,
    tmp_path: Path,
    playwright: Playwright,
    browser_type_launch_args: dict[str, Any],
) -> None:
    round_id = prepare(tmp_path / "home", digits_folder)
    server = make_server(tmp_path / "home", OUTFOLD_EMBEDDED_WORKER="false").start()
    profile = tmp_path / "profile"
    context = opened(playwright, profile, browser_type_launch_args, server.url)
    page = _review(context, server.url, round_id)
    server.kill()
    for _ in range(VERDICTS):
        page.keyboard.press("k")
    expect(page.locator(".status")).to_contain_text(f"offline, {VERDICTS} unsaved")
    kill_browser(profile)

    server.start()
    context = opened(playwright, profile, browser_type_launch_args, server.url)
    page = _review(context, server.url, round_id)
    page.wait_for_selector(SAVED)
    app_context = open_home(server.home)
    try:
        review = Review(page, app_context, server.url, round_id)
        assert (review.statuses(), review.decisions()) == ([Status.KEEP] * VERDICTS, VERDICTS)
    finally:
        app_context.database.close()
        context.close()


def opened(playwright: Playwright, profile: Path, options: dict[str, Any], url: str) -> BrowserContext:
    context = playwright.chromium.launch_persistent_context(profile, **options)
    sign_in(context, url)
    return context


def _review(context: BrowserContext, url: str, round_id: int) -> Page:
    page = context.pages[0]
    page.goto(f"{url}/review?round={round_id}")
    page.wait_for_selector(READY)
    return page


def kill_browser(profile: Path) -> None:
    """Kill every process of the browser that uses this profile, as a power cut would."""
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and f"--user-data-dir={profile}".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile, with the browser
