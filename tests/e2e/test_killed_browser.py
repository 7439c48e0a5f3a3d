"""Verdicts that no server has taken yet, when the browser itself is killed."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Playwright, expect

from core.types import Status
from tests.e2e.conftest import sign_in
from tests.e2e.review_home import FIRST_ROUND, Review, serve_reviewed

pytestmark = pytest.mark.browser

VERDICTS = 30


def test_verdicts_survive_a_browser_killed_while_the_server_is_unreachable(
    digits_folder: Path,
    tmp_path: Path,
    playwright: Playwright,
    browser_type_launch_args: dict[str, Any],
) -> None:
    profile = tmp_path / "profile"
    with serve_reviewed(tmp_path / "home", digits_folder) as (server, app_context):
        context = opened(playwright, profile, browser_type_launch_args, server.url)
        review = Review(context.pages[0], app_context, server.url, FIRST_ROUND)
        review.open()
        server.kill()
        review.press(*["k"] * VERDICTS)
        expect(review.page.locator(".status")).to_contain_text(f"offline, {VERDICTS} unsaved")
        kill_browser(profile)

        server.start()
        context = opened(playwright, profile, browser_type_launch_args, server.url)
        review.page = context.pages[0]
        review.open()
        review.saved()
        assert (review.statuses(), review.decisions()) == ([Status.KEEP] * VERDICTS, VERDICTS)
        context.close()


def opened(playwright: Playwright, profile: Path, options: dict[str, Any], url: str) -> BrowserContext:
    context = playwright.chromium.launch_persistent_context(profile, **options)
    sign_in(context, url)
    return context


def kill_browser(profile: Path) -> None:
    """Kill every process of the browser that uses this profile, as a power cut would."""
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and f"--user-data-dir={profile}".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile, with the browser
