"""Datasets of members in a real browser: a lead restricts one, and another person no longer finds it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.services import members, people
from app.services.app_context import AppContext
from core.types import Role
from tests.e2e.conftest import Server, open_home, serve
from tests.e2e.review_home import READY, add_copy, prepare
from tests.e2e.test_access import PASSWORD, fill_login

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[tuple[Server, AppContext]]:
    """Return a server with two datasets and the users Ada, an admin, Lea, a lead, and Ben."""
    home = tmp_path_factory.mktemp("members") / "home"
    prepare(home, digits_folder)
    app_context = open_home(home)
    add_copy(app_context, "open to all")
    for name, role in (("Ada", Role.ADMIN), ("Lea", Role.LEAD), ("Ben", Role.ANNOTATOR)):
        people.add_user(app_context, name, PASSWORD, role, by="root")
    app_context.database.close()
    with serve(home) as opened:
        yield opened


def sign_in(page: Page, address: str, name: str) -> None:
    page.goto(address)
    fill_login(page, name)


def test_a_lead_restricts_a_dataset_and_others_no_longer_find_it(
    served: tuple[Server, AppContext], page: Page, other_context: BrowserContext
) -> None:
    server, app_context = served
    ben = other_context.new_page()
    sign_in(ben, f"{server.url}/review?dataset=1", "Ben")
    ben.wait_for_selector(READY)
    expect(ben.get_by_role("heading", name="digits")).to_be_visible()

    sign_in(page, f"{server.url}/datasets", "Lea")
    card = page.locator(".st-key-cards_1")
    expect(card.locator(".of-name")).to_contain_text("digits")
    expect(card.locator(".of-members")).to_have_count(0)
    page.locator(".st-key-cards_1_menu button").first.click()
    page.get_by_role("button", name="Members…").click()
    dialog = page.get_by_role("dialog", name="Members")
    dialog.get_by_text("Its members and admins").click()
    expect(dialog.get_by_test_id("stMultiSelect")).to_be_visible()
    dialog.get_by_role("button", name="Save").click()
    expect(card.locator(".of-members")).to_have_text("Only for Lea and admins")
    assert members.membership(app_context, 1).members == ("Lea",)

    ben.goto(f"{server.url}/review?dataset=1&round=1")
    ben.wait_for_selector(READY)
    expect(ben.get_by_role("heading", name="open to all")).to_be_visible()
    expect(ben.get_by_text("There is no round 1 to show")).to_be_visible()
    assert ben.request.get(f"{server.url}/outfold/rounds/1").status == 404


def test_a_lead_who_is_not_a_member_does_not_see_the_dataset(served: tuple[Server, AppContext], page: Page) -> None:
    server, app_context = served
    members.set_members(app_context, 1, ["Ben"], by="Ada")
    sign_in(page, f"{server.url}/datasets", "Lea")
    expect(page.locator(".of-name")).to_have_text(["open to all"])
    for name in ("rounds", "images", "insight", "impact", "exports", "classes"):
        page.goto(f"{server.url}/{name}?dataset=1")
        expect(page.get_by_text("open to all").first).to_be_visible()
        expect(page.get_by_text("digits", exact=True)).to_have_count(0)
