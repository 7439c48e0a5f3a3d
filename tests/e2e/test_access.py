"""Security of a served installation in a real browser: a rebound name gets nothing; no other page acts or frames."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, Route, expect
from sqlalchemy import select

from app.access import security_headers
from app.services import people
from app.services.app_context import AppContext
from core.types import Role
from db.models import AnnotatorRow, ChangesetRow, DecisionRow, SampleRow
from tests.app.commands.test_installation import until
from tests.e2e.conftest import Server, open_home, serve
from tests.e2e.review_home import READY, SAVED, prepare, serve_reviewed

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVIL = "evil.example"
PASSWORD = "correct horse battery"
# A page of the attacker's name asks for everything that is worth having, by every way that a page has.
STEAL = """
async ([hash]) => {
  const got = {};
  const ask = async (name, path, options) => {
    const answer = await fetch(path, options).catch((error) => ({ status: 0, text: async () => String(error) }));
    got[name] = [answer.status, await answer.text()];
  };
  await ask("page", "/datasets");
  await ask("script", "/outfold/assets/x/shared/api.js");
  await ask("health", "/outfold/health");
  await ask("finding", "/outfold/findings/1");
  await ask("original", `/outfold/image/${hash}/0.webp`);
  await ask("streamlit", "/_stcore/host-config");
  const json = (body) => ({ method: "POST", headers: { "X-Outfold": "1" }, body: JSON.stringify(body) });
  await ask("name", "/outfold/me", json({ name: "mallory" }));
  const decisions = [{ finding: 1, verdict: "accept" }];
  await ask("verdict", "/outfold/acts", json({ client: "evil", seq: 1, round: 1, op: "decide", decisions }));
  got.socket = await new Promise((done) => {
    const socket = new WebSocket(`ws://${location.host}/_stcore/stream`, ["streamlit"]);
    socket.onopen = () => done("open");
    socket.onerror = () => done("refused");
  });
  got.drawn = await new Promise((done) => {
    const image = new Image();
    image.onload = () => done("drawn");
    image.onerror = () => done("refused");
    image.src = `/outfold/image/${hash}/0.webp`;
  });
  return got;
}
"""

POST_AND_CONNECT = """
async (url) => {
  await fetch(`${url}/outfold/acts`, { method: "POST", mode: "no-cors", body: "{}" }).catch(() => null);
  return await new Promise((done) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/_stcore/stream`, ["streamlit"]);
    socket.onopen = () => done("open");
    socket.onerror = () => done("refused");
  });
}
"""


@contextmanager
def bait(port: int, body: str = "bait") -> Iterator[int]:
    """Serve one page of an attacker on this machine, and yield its port."""

    class Bait(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that the class calls
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!DOCTYPE html><title>x</title>{body}".encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Bait) as opened:
        thread = Thread(target=opened.serve_forever)
        thread.start()
        try:
            yield opened.server_port
        finally:
            opened.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[tuple[Server, AppContext]]:
    with serve_reviewed(tmp_path_factory.mktemp("access") / "home", digits_folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def rebound(
    browser: Browser, browser_type: BrowserType, browser_type_launch_args: dict[str, Any]
) -> Iterator[BrowserContext]:
    """Return a context of a browser for which the attacker's name has come to lead to this machine."""
    rules = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1"
    arguments = [*browser_type_launch_args["args"], rules, "--no-proxy-server"]
    other = browser_type.launch(**browser_type_launch_args | {"args": arguments})
    yield other.new_context()
    other.close()


def decisions(app_context: AppContext) -> int:
    with app_context.database.read() as session:
        return len(session.scalars(select(DecisionRow.id)).all())


def test_dns_rebinding_gets_no_page_websocket_verdict_or_original(
    served: tuple[Server, AppContext], rebound: BrowserContext
) -> None:
    server, app_context = served
    page = rebound.new_page()
    answer = page.goto(f"http://{EVIL}:{server.port}/")
    assert answer
    assert answer.status == 421
    expect(page.locator("body")).to_contain_text(f"OUTFOLD_HOSTS={EVIL}")
    assert page.locator("#root").count() == 0

    with app_context.database.read() as session:
        content_hash = session.scalar(select(SampleRow.content_hash).order_by(SampleRow.id).limit(1))
    # The attacker's page comes first from the attacker's server; then its name leads to ours, on the same port.
    server.stop()
    with bait(server.port):
        page.goto(f"http://{EVIL}:{server.port}/")
        expect(page.locator("body")).to_have_text("bait")
    server.start()
    got = page.evaluate(STEAL, [content_hash])
    assert got.pop("socket") == got.pop("drawn") == "refused"
    assert {status for status, _ in got.values()} == {421}
    assert all("OUTFOLD_HOSTS" in text for _, text in got.values())
    assert decisions(app_context) == 0
    assert rebound.cookies() == []


def test_a_page_of_another_port_can_neither_post_nor_open_a_websocket(
    served: tuple[Server, AppContext], page: Page
) -> None:
    server, app_context = served
    with bait(0) as port:
        page.goto(f"http://127.0.0.1:{port}/")
        answered = page.evaluate(POST_AND_CONNECT, server.url)
    assert answered == "refused"
    assert decisions(app_context) == 0


def test_no_foreign_page_can_frame_the_app(served: tuple[Server, AppContext], page: Page) -> None:
    server, _ = served
    with bait(0, f'<iframe src="{server.url}/outfold/health"></iframe>') as port:
        with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            page.goto(f"http://127.0.0.1:{port}/")
        assert page.frames[1].url == "chrome-error://chromewebdata/"


def test_every_kind_of_response_has_the_security_headers(served: tuple[Server, AppContext]) -> None:
    server, _ = served
    for path in (
        "/",
        "/datasets",
        "/outfold/health",
        "/outfold/nothing",
        "/_stcore/health",
        "/_stcore/host-config",
        "/x",
    ):
        try:
            with urllib.request.urlopen(f"{server.url}{path}", timeout=10) as answer:
                headers = answer.headers
        except urllib.error.HTTPError as error:
            headers = error.headers
        assert {name: headers[name] for name in security_headers()} == security_headers(), path


@pytest.fixture(scope="module")
def with_login(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[tuple[Server, AppContext]]:
    """Return a server with the users Ada, an admin, and Ben."""
    home = tmp_path_factory.mktemp("login") / "home"
    prepare(home, digits_folder)
    app_context = open_home(home)
    people.add_user(app_context, "Ada", PASSWORD, Role.ADMIN, by="root")
    people.add_user(app_context, "Ben", PASSWORD, Role.ANNOTATOR, by="Ada")
    app_context.database.close()
    with serve(home) as opened:
        yield opened


def fill_login(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_user_signs_in_judges_under_the_own_name_and_signs_out(
    with_login: tuple[Server, AppContext], page: Page, context: BrowserContext
) -> None:
    server, app_context = with_login
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text) if "Content Security" in message.text else None)
    page.goto(f"{server.url}/review?dataset=1")
    expect(page).to_have_title("Sign in - Outfold")
    context.add_cookies([{"name": "outfold_name", "value": "Ada", "url": server.url}])  # which must not count
    fill_login(page, "ben")
    page.wait_for_selector(READY)
    expect(page).to_have_url(re.compile(r"/review\?dataset=1"))
    expect(page.locator(".of-account")).to_have_text("Ben")
    page.keyboard.press("k")
    page.wait_for_selector(SAVED)
    with app_context.database.read() as session:
        names = session.scalars(select(AnnotatorRow.name).join(ChangesetRow).distinct()).all()
    assert names == ["Ben"]

    other = context.new_page()
    other.goto(f"{server.url}/outfold/account")
    before, held = decisions(app_context), list[Route]()
    page.route("**/outfold/acts", lambda route: held.append(route))  # noqa: PLW0108 Playwright marks it
    with page.expect_request("**/outfold/acts"):
        page.keyboard.press("k")  # the verdict waits in the browser until its person has signed in again
    other.get_by_role("button", name="Sign out everywhere").click()
    expect(other).to_have_title("Sign in - Outfold")
    held[0].continue_()
    page.unroute("**/outfold/acts")
    expect(page).to_have_title("Sign in - Outfold")
    assert decisions(app_context) == before
    fill_login(page, "Ben")
    page.wait_for_selector(READY)
    assert until(lambda: decisions(app_context) == before + 1)
    assert not told


def test_two_servers_at_ports_of_one_host_keep_their_sessions(
    with_login: tuple[Server, AppContext], page: Page, digits_folder: Path, tmp_path: Path
) -> None:
    server, _ = with_login
    prepare(tmp_path / "home", digits_folder)
    neighbour = open_home(tmp_path / "home")
    people.add_user(neighbour, "Cleo", PASSWORD, Role.ADMIN, by="root")
    neighbour.database.close()
    with serve(tmp_path / "home") as (other, _):
        signed_in = {server.url: "Ada", other.url: "Cleo"}
        for url, name in signed_in.items():
            page.goto(f"{url}/outfold/account")
            fill_login(page, name)
            expect(page.get_by_text(f"You are signed in as {name}")).to_be_visible()
        for url, name in signed_in.items():
            page.goto(f"{url}/outfold/account")
            expect(page.get_by_text(f"You are signed in as {name}")).to_be_visible()


def test_a_page_with_an_ended_session_redirects_to_the_login_page(
    with_login: tuple[Server, AppContext], page: Page
) -> None:
    server, app_context = with_login
    page.goto(f"{server.url}/datasets")
    fill_login(page, "Ada")
    page.locator("h1:visible").first.wait_for()
    people.set_password(app_context, "Ada", PASSWORD, by="root")  # ends all sessions
    page.get_by_role("link", name="Rounds").first.click()
    expect(page).to_have_title("Sign in - Outfold")
    fill_login(page, "Ada")
    page.locator("h1:visible").first.wait_for()


def test_an_annotator_sees_only_the_pages_of_the_role(with_login: tuple[Server, AppContext], page: Page) -> None:
    server, _ = with_login
    page.goto(server.url)
    fill_login(page, "Ben")
    page.wait_for_selector(READY)
    expect(page).to_have_url(re.compile("/review"))
    links = page.get_by_test_id("stTopNavLink")
    assert [text.split()[-1] for text in links.all_inner_texts()] == ["Review", "Tags"]  # after the icon's name
    for offered in ("Preview and accept…", "Remove these images…"):  # of a lead
        expect(page.get_by_role("button", name=offered)).to_have_count(0)
    page.goto(f"{server.url}/exports?dataset=1")
    expect(page.get_by_role("heading", name="Export needs the role lead")).to_be_visible()
    expect(page.get_by_text("An admin can change your role")).to_be_visible()
    expect(page.get_by_text("Page not found")).to_have_count(0)
    page.get_by_role("button", name="Review").click()
    page.wait_for_selector(READY)


def test_an_admin_has_the_acts_of_a_lead(with_login: tuple[Server, AppContext], page: Page) -> None:
    server, _ = with_login
    page.goto(f"{server.url}/review?dataset=1")
    fill_login(page, "Ada")
    page.wait_for_selector(READY)
    for offered in ("Preview and accept…", "Remove these images…"):
        expect(page.get_by_role("button", name=offered)).to_be_visible()
