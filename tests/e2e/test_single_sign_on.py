"""Sign-in by OpenID Connect in a real browser, at a real provider on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.services import people
from app.services.app_context import AppContext
from core.types import Role
from tests.e2e.conftest import Server, open_home, serve
from tests.e2e.review_home import READY, prepare
from tools.fixtures.oidc_provider import CLIENT_ID, CLIENT_SECRET, running_provider

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PEOPLE = {
    "ada": {"sub": "s1", "email": "ada@example.org", "email_verified": True},
    "eve": {"sub": "s2", "email": "eve@elsewhere.example", "email_verified": True},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[tuple[Server, AppContext]]:
    """Return a server without passwords, whose user Ada is let in by her address."""
    home = tmp_path_factory.mktemp("sign_on") / "home"
    prepare(home, digits_folder)
    app_context = open_home(home)
    people.add_user(app_context, "Ada", None, Role.ADMIN, by="root", email="ada@example.org")
    app_context.database.close()
    with running_provider() as provider:
        provider.set(PEOPLE)
        settings = {"ISSUER": provider.issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}
        environment = {f"OUTFOLD_OIDC_{name}": value for name, value in settings.items()}
        with serve(home, **environment) as opened:
            yield opened


def test_a_user_signs_in_at_the_provider_and_signs_out_everywhere(
    served: tuple[Server, AppContext], page: Page
) -> None:
    server, _ = served
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    page.goto(f"{server.url}/review?dataset=1")
    expect(page).to_have_title("Sign in - Outfold")
    expect(page.get_by_label("Password")).to_have_count(0)
    page.get_by_role("link", name="Sign in with 127.0.0.1").click()
    expect(page).to_have_title("Provider")
    page.get_by_role("button", name="ada").click()
    page.wait_for_selector(READY)
    assert page.url.startswith(f"{server.url}/review?dataset=1")
    expect(page.locator(".of-account")).to_have_text("Ada")
    page.goto(f"{server.url}/outfold/account")
    expect(page.get_by_role("button", name="Change password")).to_have_count(0)
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("status")).to_contain_text("You have signed out of Outfold, not of 127.0.0.1")
    page.get_by_role("link", name="Sign out at 127.0.0.1 too").click()
    expect(page).to_have_url(f"{server.url}/outfold/login")
    expect(page).to_have_title("Sign in - Outfold")
    page.goto(f"{server.url}/datasets")
    expect(page).to_have_title("Sign in - Outfold")
    assert not refused
    assert CLIENT_SECRET not in server.log()


def test_a_person_without_access_is_refused_with_a_message(served: tuple[Server, AppContext], page: Page) -> None:
    server, app_context = served
    page.goto(server.url)
    page.get_by_role("link", name="Sign in with 127.0.0.1").click()
    page.get_by_role("button", name="eve").click()
    expect(page.get_by_role("alert")).to_contain_text("eve@elsewhere.example may not sign in here")
    assert [one.name for one in people.list_users(app_context)] == ["Ada"]
