"""Deletion in the browser: told before, gone after a reload, back by a click; late verdicts wait for the round."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.services import deletions, reviews
from app.services.app_context import AppContext
from core.types import FindingFilter
from tests.e2e.conftest import Server, open_home, serve
from tests.e2e.review_home import add_round, prepare

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("deletion") / "home"
    prepare(home, digits_folder)
    app_context = open_home(home)
    add_round(app_context, 1)
    app_context.database.close()
    with serve(home) as (server, _):
        yield server


def test_a_dataset_is_deleted_and_restored(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/datasets")
    page.locator(".st-key-cards_1_menu button").first.click()
    page.get_by_role("button", name="Delete…").click()
    dialog = page.get_by_role("dialog", name="Delete")
    expect(dialog).to_contain_text("digits holds 300 images and 2 rounds")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".of-name")).to_have_text("digits")

    page.reload()
    page.locator(".st-key-cards_1_menu button").first.click()
    page.get_by_role("button", name="Delete…").click()
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".of-name")).to_have_count(0)
    page.reload()
    page.locator(".st-key-deleted summary").click()
    expect(page.locator(".st-key-deleted")).to_contain_text("7 days left")
    expect(page.locator(".of-name")).to_have_count(0)
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".of-name")).to_have_text("digits")
    expect(page.locator(".st-key-deleted")).to_have_count(0)


def test_a_round_is_deleted_and_restored(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/rounds?dataset=1")
    table = page.locator(".st-key-rounds canvas").first
    table.wait_for()
    expect(page.get_by_role("button", name="Delete round")).to_have_count(0)
    table.click(position={"x": 15, "y": 52}, force=True)  # the first row's box
    page.get_by_role("button", name="Delete round 2…").click()
    dialog = page.get_by_role("dialog", name="Delete")
    expect(dialog).to_contain_text("Its verdicts and accepted labels stay")
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".stToast")).to_contain_text("Round 2 is deleted")
    page.goto(f"{server.url}/datasets")
    expect(page.locator(".of-state")).to_contain_text("Round 1")
    page.locator(".st-key-deleted summary").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".of-state")).to_contain_text("Round 2")


def decided(app_context: AppContext, round_id: int) -> int:
    return reviews.counts(app_context, FindingFilter(round_id=round_id)).decided


def test_late_verdicts_on_a_deleted_round_are_reported_kept_and_stored_once_it_is_restored(
    server: Server, page: Page
) -> None:
    home = open_home(server.home)
    page.context.add_cookies([{"name": "outfold_name", "value": "Ann", "url": server.url}])
    page.goto(f"{server.url}/review?round=1")
    ready = page.locator(".outfold[data-ready='true']")
    expect(ready).to_be_visible()
    deletions.delete_round(home, 1, "Ben")
    first, second = page.locator(".card[data-id]").nth(0), page.locator(".card[data-id]").nth(1)
    page.keyboard.press("a")
    status, toast = page.locator(".status"), page.locator(".toast")
    expect(status).to_have_text("⚠ 1 not stored")
    expect(toast).to_contain_text("1 verdict not stored, on")
    page.keyboard.press("k")
    expect(status).to_have_text("⚠ 2 not stored")
    names = [reviews.findings(home, [int(one.get_attribute("data-id") or 0)])[0].name for one in (first, second)]
    expect(toast).to_contain_text(f"2 verdicts not stored, on {', '.join(names)}: digits, Round 1 was deleted by Ben")
    expect(toast).to_contain_text("restore it on the Datasets page within 7 days")
    page.keyboard.press("x")
    expect(status).to_have_text("⚠ 3 not stored")
    page.keyboard.press("u")
    expect(status).to_have_text("⚠ 2 not stored")

    page.goto(f"{server.url}/review?round=2")  # another page of the same person tells it again
    expect(ready).to_be_visible()
    expect(toast).to_contain_text(f"2 verdicts not stored, on {', '.join(names)}")
    toast.get_by_role("button", name="Datasets").click()
    page.locator(".st-key-deleted summary").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".st-key-deleted")).to_have_count(0)
    page.goto(f"{server.url}/review?round=1")
    expect(page.locator(".status[data-unsaved='0'][data-held='0']")).to_be_visible()
    expect(page.locator(".done")).to_contain_text("2 of")
    assert decided(home, 1) == 2
    home.database.close()
