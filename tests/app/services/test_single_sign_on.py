"""Sign-in by OpenID Connect at a real provider on loopback: users admitted, answers refused."""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from app import access
from app.access import AccessMiddleware
from app.routes import routes
from app.routes.login import ATTEMPT, SIGN_ON
from app.services import people, single_sign_on
from app.services.app_context import AppContext, open_app
from app.settings import Settings
from core.types import LoggedAct, Role
from tools.fixtures.oidc_provider import CLIENT_ID, CLIENT_SECRET, Fault, RunningProvider, running_provider

URL = "http://localhost:8501"
ADA = {"sub": "s1", "email": "Ada@example.org", "email_verified": True, "groups": ["staff"]}
MALLORY = {"sub": "s2", "email": "mallory@elsewhere.example", "email_verified": True}
Make = Callable[..., "Browser"]


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningProvider]:
    with running_provider() as running:
        yield running


class Browser:
    """A browser in front of an installation, which follows the way to the provider and back."""

    def __init__(self, opened: AppContext) -> None:
        self.opened = opened
        app = Starlette(
            routes=routes(lambda: opened),
            middleware=[Middleware(AccessMiddleware, served=lambda: "127.0.0.1", opened=lambda: opened)],
        )
        self.client = TestClient(app, base_url=URL, follow_redirects=False, headers={"Accept": "text/html"})

    def begin(self, wanted: str = "/review?dataset=1") -> str:
        """Return the provider's address to which the browser is sent."""
        answer = self.client.get(SIGN_ON, params={"next": wanted})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def choose(self, address: str, name: str) -> str:
        """Sign in at the provider; return the address it sends the browser back to."""
        page = requests.get(address, timeout=10)
        assert name in page.text, page.text
        answer = requests.post(address, data={"user": name}, timeout=10, allow_redirects=False)
        return answer.headers["location"]

    def come_back(self, address: str) -> Any:
        parts = urlsplit(address)
        return self.client.get(parts.path, params=dict(parse_qsl(parts.query)))

    def sign_in(self, name: str = "ada") -> Any:
        return self.come_back(self.choose(self.begin(), name))

    @property
    def user(self) -> Any:
        return people.user_of(self.opened, self.client.cookies.get(people.cookie_name(self.opened, people.SESSION), ""))

    @property
    def attempt(self) -> str:
        """Name of the cookie of an attempt."""
        return people.cookie_name(self.opened, ATTEMPT)


@pytest.fixture
def make(app_context: AppContext, provider: RunningProvider, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(access, "STALE_SECONDS", 0.0)
    single_sign_on._read_provider.cache_clear()
    provider.set({"ada": ADA, "mallory": MALLORY})

    def made(**chosen: Any) -> Browser:
        own = Settings(
            home=app_context.settings.home, demo=False, embedded_worker=False,
            **{
                "oidc_issuer": provider.issuer, "oidc_client_id": CLIENT_ID, "oidc_client_secret": CLIENT_SECRET,
                "oidc_domains": "example.org", **chosen,
            },
        )  # fmt: skip
        return Browser(replace(app_context, settings=own))

    return made


def acts(opened: AppContext) -> list[tuple[LoggedAct, str]]:
    return [(one.act, one.subject) for one in people.log_entries(opened, [], 20)]


def test_the_login_page_redirects_to_the_provider_and_back_to_the_page(make: Make) -> None:
    browser = make()
    asked = browser.client.get("/review?dataset=1")
    assert asked.status_code == 303
    page = browser.client.get(asked.headers["location"]).text
    assert "Sign in with 127.0.0.1" in page
    assert "Password" not in page
    answer = browser.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/review?dataset=1")
    assert (browser.user.name, browser.user.role) == ("ada@example.org", Role.ANNOTATOR)
    assert "ada@example.org" in browser.client.get("/outfold/account").text
    assert acts(browser.opened) == [(LoggedAct.SIGN_IN, "ada@example.org"), (LoggedAct.USER_ADDED, "ada@example.org")]
    assert browser.client.cookies.get(browser.attempt) is None


def test_the_redirect_to_the_provider_has_state_nonce_and_code_challenge(make: Make) -> None:
    browser = make()
    first, second = (parse_qs(urlsplit(browser.begin()).query) for _ in range(2))
    assert first["code_challenge_method"] == ["S256"]
    assert first["redirect_uri"] == [f"{URL}/outfold/single_sign_on/done"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 43
        assert first[name] != second[name]


def test_the_same_cookie_expires_and_is_signed_out_everywhere(make: Make) -> None:
    browser, other = make(), make()
    answer = browser.sign_in()
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert f"Max-Age={168 * 3600}" in answer.headers["set-cookie"]
    other.sign_in()
    assert browser.user == other.user
    browser.client.post("/outfold/sign_out_everywhere", headers={"Origin": URL})
    assert browser.user is other.user is None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.ISSUER, "iss"),
        (Fault.AUDIENCE, "aud"),
        (Fault.EXPIRED, "expired"),
        (Fault.NONCE, "nonce"),
        (Fault.KEY, "signature"),
        (Fault.UNSIGNED, "lgorithm"),
        (Fault.SYMMETRIC, "lgorithm"),
    ],
)
def test_a_token_that_is_not_valid_is_refused(make: Make, provider: RunningProvider, fault: Fault, reason: str) -> None:
    browser = make()
    provider.set({"ada": ADA}, fault)
    answer = browser.sign_in()
    assert answer.status_code == 401
    assert "token is not valid" in answer.text
    failed = people.log_entries(browser.opened, [LoggedAct.SIGN_IN_FAILED], 1)[0]
    assert reason in failed.details["reason"].casefold() or reason in failed.details["reason"]
    assert browser.user is None
    assert people.list_users(browser.opened) == []


def test_a_new_key_of_the_provider_is_read(make: Make, provider: RunningProvider) -> None:
    browser = make()
    browser.sign_in()
    provider.set({"ada": ADA}, Fault.ROTATED)
    assert browser.sign_in().status_code == 303


def test_claims_missing_in_the_token_are_read_from_userinfo(make: Make, provider: RunningProvider) -> None:
    provider.set({"ada": ADA}, Fault.BARE)
    browser = make()
    assert browser.sign_in().status_code == 303
    assert browser.user.name == "ada@example.org"


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"email_verified": False}, "has not verified"),
        ({"email_verified": "true"}, "has not verified"),
        ({"email_verified": None}, "has not verified"),
        ({"email": None}, "sent no e-mail address"),
        ({"email": "ada@example.org.elsewhere.example"}, "may not sign in here"),
    ],
)
def test_an_email_address_must_be_verified_and_allowed(
    make: Make, provider: RunningProvider, claims: dict[str, Any], told: str
) -> None:
    provider.set({"ada": {**ADA, **claims}})
    browser = make()
    answer = browser.sign_in()
    assert (answer.status_code, told in answer.text) == (401, True), answer.text
    assert browser.user is None


def test_access_requires_an_allowed_domain_or_an_existing_user(make: Make) -> None:
    browser = make(oidc_domains="")
    assert "may not sign in here" in browser.sign_in().text
    people.add_user(browser.opened, "Ada", None, Role.ADMIN, by="root", email="ADA@example.org")
    assert browser.sign_in().status_code == 303
    assert (browser.user.name, browser.user.role) == ("Ada", Role.ADMIN)
    assert "may not sign in here" in browser.sign_in("mallory").text


def test_a_user_stays_bound_to_the_first_subject_of_an_address(make: Make, provider: RunningProvider) -> None:
    browser = make(oidc_domains="")
    people.add_user(browser.opened, "Ada", None, Role.ADMIN, by="root", email="ada@example.org")
    browser.sign_in()
    provider.set({"ada": {**ADA, "email": "lovelace@example.org"}, "mallory": {**MALLORY, "email": "ada@example.org"}})
    assert "may not sign in here" in browser.sign_in("mallory").text
    assert browser.sign_in("ada").status_code == 303
    assert browser.user.name == "Ada"


def test_users_of_a_domain_no_longer_allowed_are_refused(make: Make) -> None:
    make().sign_in()
    later = make(oidc_domains="another.example")
    assert "may not sign in here" in later.sign_in().text


def test_an_email_address_cannot_take_over_the_name_of_a_user(make: Make) -> None:
    browser = make()
    people.add_user(browser.opened, "ada@example.org", "correct horse battery", Role.ADMIN, by="root")
    assert "is the name of another user" in browser.sign_in().text
    people.set_email(browser.opened, "ada@example.org", "ada@example.org", by="root")
    assert browser.sign_in().status_code == 303
    assert browser.user.role is Role.ADMIN


def test_a_claim_gives_the_role_at_each_sign_in(make: Make, provider: RunningProvider) -> None:
    browser = make(oidc_role_claim="groups", oidc_leads="labels, staff", oidc_admins="wheel")
    browser.sign_in()
    assert browser.user.role is Role.LEAD
    for groups, role in ((["wheel", "staff"], Role.ADMIN), ("staff", Role.LEAD), ([], Role.ANNOTATOR)):
        provider.set({"ada": {**ADA, "groups": groups}})
        browser.sign_in()
        assert browser.user.role is role
    assert [act for act, _ in acts(browser.opened)].count(LoggedAct.ROLE_CHANGED) == 3


def test_the_role_claim_can_be_nested_or_have_dots_in_its_name(make: Make, provider: RunningProvider) -> None:
    browser = make(oidc_role_claim="realm_access.roles", oidc_admins="wheel")
    values: list[Any] = [{"roles": ["wheel"]}, {"roles": [["wheel"]]}, ["roles"], {"roles": {"wheel": True}}]
    for value, role in zip(values, [Role.ADMIN, *[Role.ANNOTATOR] * 3], strict=True):
        provider.set({"ada": {**ADA, "realm_access": value}})
        browser.sign_in()
        assert browser.user.role is role
    provider.set({"ada": {**ADA, "realm_access.roles": "wheel", "realm_access": {}}})
    browser.sign_in()
    assert browser.user.role is Role.ADMIN


def test_the_login_page_after_sign_out_links_to_the_sign_out_of_the_provider(
    make: Make, provider: RunningProvider
) -> None:
    browser = make()
    browser.sign_in()
    after = browser.client.post("/outfold/sign_out", headers={"Origin": URL}).headers["location"]
    page = browser.client.get(after).text
    found = re.search(r'href="([^"]*/sign_out[^"]*)"', page)
    assert found
    address = unescape(found[1])
    assert address.startswith(f"{provider.issuer}/sign_out?")
    back = requests.get(address, timeout=10, allow_redirects=False).headers["location"]
    assert back == f"{URL}/outfold/login"
    assert "signed out" not in browser.client.get(back).text
    assert "signed out" not in make(oidc_issuer="http://127.0.0.1:1").client.get(after).text  # it is away


def test_an_answer_is_accepted_once_and_only_from_the_same_browser(make: Make) -> None:
    browser, victim = make(), make()
    back = browser.choose(browser.begin(), "ada")
    assert victim.come_back(back).status_code == 401  # no attempt
    victim.begin()
    assert "belongs to another sign-in" in victim.come_back(back).text
    assert victim.user is None
    assert browser.come_back(back).status_code == 303
    assert browser.come_back(back).status_code == 401


def test_an_attempt_cannot_be_forged_and_expires(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = make()
    back = browser.choose(browser.begin(), "ada")
    kept = browser.client.cookies.get(browser.attempt)
    assert kept
    browser.client.cookies.set(browser.attempt, f"{kept[:-4]}AAAA", domain="localhost.local", path=SIGN_ON)
    monkeypatch.setattr(single_sign_on, "ATTEMPT_SECONDS", -1)
    assert "has expired" in browser.come_back(back).text


def test_a_refusal_by_the_provider_is_reported(make: Make) -> None:
    browser = make()
    state = parse_qs(urlsplit(browser.begin()).query)["state"][0]
    answer = browser.client.get(f"{SIGN_ON}/done", params={"state": state, "error": "access_denied<b>"})
    assert answer.status_code == 401
    assert "access_denied&lt;b&gt;" in answer.text
    browser.begin()
    state = parse_qs(urlsplit(browser.begin()).query)["state"][0]
    mixed = {"state": state, "code": "x", "iss": "https://another.example"}
    assert "comes from another provider" in browser.client.get(f"{SIGN_ON}/done", params=mixed).text


def test_a_wrong_secret_is_refused_and_no_secret_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    browser = make(oidc_client_secret="a wrong secret")
    back = browser.choose(browser.begin(), "ada")
    answer = browser.come_back(back)
    assert (answer.status_code, "does not answer as it should" in answer.text) == (401, True)
    make().sign_in()
    code = parse_qs(urlsplit(back).query)["code"][0]
    own = [one.getMessage() for one in caplog.records if not one.name.startswith("httpx")]  # the test's own client
    assert own
    told = f"{own}{people.log_entries(browser.opened, [], 9)}{browser.opened.settings!r}"
    for secret in ("a wrong secret", CLIENT_SECRET, code):
        assert secret not in told


def test_further_attempts_from_an_address_are_refused_after_too_many_failures(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "MOST_FAILED_OF_ADDRESS", 2)
    browser = make()
    for _ in range(2):
        assert browser.come_back("/outfold/single_sign_on/done?state=x&code=y").status_code == 401
    assert browser.sign_in().status_code == 429


def test_an_unreachable_or_different_provider_is_reported(make: Make, provider: RunningProvider) -> None:
    away = make(oidc_issuer="http://127.0.0.1:1").client.get(SIGN_ON)
    assert (away.status_code, "does not answer as it should" in away.text) == (401, True)
    other = make(oidc_issuer=f"{provider.issuer}/").client.get(SIGN_ON)
    assert "OUTFOLD_OIDC_ISSUER" in other.text


def test_passwords_work_beside_the_provider(make: Make) -> None:
    browser = make()
    people.add_user(browser.opened, "ben", "correct horse battery", Role.ADMIN, by="root")
    page = browser.client.get("/outfold/login").text
    assert "Password" in page
    assert "Sign in with" in page
    sent = {"name": "ben", "password": "correct horse battery"}
    browser.client.post("/outfold/login", data=sent, headers={"Origin": URL})
    assert browser.user.name == "ben"
    assert "Change password" in browser.client.get("/outfold/account").text
    browser.sign_in()
    assert "Change password" not in browser.client.get("/outfold/account").text
    for password in ("", "x"):
        with pytest.raises(people.PersonError):
            people.sign_in(browser.opened, "ada@example.org", password, "")


def test_provider_addresses_redirect_to_the_login_page_without_a_provider(app_context: AppContext) -> None:
    people.add_user(app_context, "ben", "correct horse battery", Role.ADMIN, by="root")
    client = Browser(app_context).client
    for path in (SIGN_ON, f"{SIGN_ON}/done"):
        assert client.get(path).headers["location"] == "/outfold/login"


def test_a_provider_requires_login_even_without_users(make: Make) -> None:
    browser = make()
    assert people.has_login(browser.opened)
    assert browser.client.get("/outfold/me", headers={"Accept": "*/*"}).status_code == 401
    assert open_app(browser.opened.settings).settings.oidc_secret == CLIENT_SECRET
