"""Insight, Rounds, dataset cards and exports in a browser: unknown before random samples, intervals after both."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.types import FindingKind
from tests.app.sampled import sample
from tests.e2e.conftest import Server, open_home
from tests.e2e.review_home import prepare

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WAIT = 60_000
PAGES = ("insight?round=1", "rounds?dataset=1", "datasets", "exports?dataset=1")


@pytest.fixture
def server(make_server: Callable[..., Server], tmp_path: Path, digits_folder: Path) -> Server:
    home = tmp_path / "home"
    prepare(home, digits_folder)
    return make_server(home, OUTFOLD_EMBEDDED_WORKER="false").start()


def test_numbers_are_unknown_before_both_samples_and_have_intervals_after(server: Server, page: Page) -> None:
    page.set_default_timeout(WAIT)
    unknown = re.compile(
        r"Wrong labels: unknown until a random sample is judged: 30 suspicious and 30 agreeing findings"
    )
    for address in PAGES:
        page.goto(f"{server.url}/{address}")
        expect(page.get_by_text(unknown).first).to_be_visible(timeout=WAIT)
        expect(page.get_by_text(re.compile("estimated wrong|expects|proposed threshold", re.IGNORECASE))).to_have_count(
            0
        )
    judge_both(server.home)
    known = re.compile(r"Wrong labels: about \d+ of the 300 .*95 % interval \d+ to \d+; 70 random verdicts")
    for address in PAGES:
        page.goto(f"{server.url}/{address}")
        expect(page.get_by_text(known).first).to_be_visible(timeout=WAIT)
        expect(page.get_by_text(unknown)).to_have_count(0)


def judge_both(home: Path) -> None:
    """Judge forty suspicious findings and all thirty agreeing ones."""
    opened = open_home(home)
    try:
        sample(opened, 1, FindingKind.SUSPICIOUS)
        sample(opened, 1, FindingKind.AGREEING, count=30)
    finally:
        opened.database.close()


def test_a_click_on_insight_starts_a_random_sample(server: Server, page: Page) -> None:
    page.set_default_timeout(WAIT)
    page.goto(f"{server.url}/insight?round=1")
    page.get_by_role("button", name="Check a random sample of suspicious findings").click()
    page.wait_for_url(re.compile(r"/review\?.*audit=1"))
