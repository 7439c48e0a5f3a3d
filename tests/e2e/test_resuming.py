"""A round that is cancelled and resumed, or whose worker is killed, goes on, and its page says how it stands."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.services.rounds import jobs as rounds
from core.config import RoundConfig
from tests.app.services.reviewed import import_folder
from tests.app.worker.test_worker import TINY, start_worker
from tests.e2e.conftest import Server, open_home

JOB_MS = 300_000

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.timeout(900)
def test_a_cancelled_round_shows_what_is_kept_and_resumes_after_a_reload(
    page: Page, digits_folder: Path, tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    home = tmp_path / "home"
    opened = open_home(home)
    import_folder(opened, digits_folder)
    opened.database.close()
    server = make_server(home).start()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{server.url}/rounds?dataset=1")
    for name, value in (("folds", "2"), ("epochs", "500")):
        field = page.locator(f".st-key-form_1_{name} input")
        field.fill(value)
        field.press("Enter")
        expect(field).to_have_value(value)
    page.locator(".st-key-form_1_start button").click()
    expect(page.locator(".st-key-live")).to_contain_text("training, fold 2 of 2 · epoch", timeout=JOB_MS)
    expect(page.get_by_text("is still running: wait for it, or cancel it first")).to_be_visible()
    finished = home / "files" / "rounds" / "1" / "fold_0.npz"
    written = finished.stat().st_mtime_ns

    page.locator(".st-key-live_cancel button").click()
    expect(page.locator(".st-key-live_question")).to_contain_text("1 of 2 folds is done and stays")
    page.locator(".st-key-live_cancel_no button").click()
    expect(page.locator(".st-key-live_question")).to_be_hidden()
    page.locator(".st-key-live_cancel button").click()
    page.locator(".st-key-live_cancel_yes button").click()
    expect(page.get_by_text("Round 1 was cancelled")).to_be_visible()
    page.reload()
    page.locator(".st-key-resume_go button").click()
    expect(page.get_by_role("link", name="Review round 1")).to_be_visible(timeout=JOB_MS)
    assert finished.stat().st_mtime_ns == written
    opened = open_home(home)
    assert [fold.attempt for fold in rounds.progress(opened, 1).folds] == [1, 2]
    opened.database.close()


@pytest.mark.timeout(900)
def test_the_page_shows_the_state_of_a_round_while_its_worker_is_killed_and_restarted(
    page: Page, digits_folder: Path, tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    opened = open_home(tmp_path / "home")
    import_folder(opened, digits_folder)
    rounds.start_round(opened, 1, RoundConfig(epochs=400, **TINY), "Ann")
    server = make_server(tmp_path / "home", OUTFOLD_EMBEDDED_WORKER="false").start()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{server.url}/rounds?dataset=1")
    live = page.locator(".st-key-live")
    expect(live).to_contain_text("waiting")
    expect(live).to_contain_text("No worker is running it now")
    worker = start_worker(opened)
    try:
        expect(live).to_contain_text(re.compile(r"training, fold 2 of 2 · epoch \d"), timeout=JOB_MS)
        expect(live).to_contain_text("running")
        expect(live).to_contain_text("time left")
        expect(live).not_to_contain_text("No worker is running it now")
        finished = opened.round_folder(1) / "fold_0.npz"
        written = finished.stat().st_mtime_ns
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        for again in (False, True):
            if again:
                page.reload()
            expect(live).to_contain_text("No worker is running it now: no worker: silent for")
            expect(live).to_contain_text("which resumes where it stopped")
            expect(live).to_contain_text("waiting")
            expect(live).not_to_contain_text("time left")
        worker = start_worker(opened)
        expect(live.locator("[title*='taken up 2 times']")).to_have_count(1, timeout=JOB_MS)
        expect(live).to_contain_text(re.compile(r"training, fold 2 of 2 · epoch \d"), timeout=JOB_MS)
        expect(live).not_to_contain_text("No worker is running it now")
        expect(page.get_by_role("link", name="Review round 1")).to_be_visible(timeout=JOB_MS)
    finally:
        worker.kill()
        worker.wait()
    assert finished.stat().st_mtime_ns == written
    assert [fold.attempt for fold in rounds.progress(opened, 1).folds] == [1, 2]
    opened.database.close()
