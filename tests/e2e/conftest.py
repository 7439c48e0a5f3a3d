"""The real server, as a person starts it, and a real browser in front of it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, ConsoleMessage, Frame, Page, expect

from app.services.app_context import AppContext, open_app
from app.services.programs import BROWSER, PLAYWRIGHTS_OWN, find_browser
from app.settings import Settings
from tests.needs import lack

ROOT = Path(__file__).parents[2]
START_SECONDS = 180

STORED = "local_storage,indexeddb,cache_storage,service_workers"  # what a page keeps, all but the HTTP cache

expect.set_options(timeout=30_000)  # a page that opens beside other work takes longer than the default of 5 s


@dataclass
class Server:
    """A web app on a free port of this machine, with a home of its own."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Server":
        """Start it and wait until it answers; on the port it had before, if it ran before."""
        self.port = self.port or free_port()
        self.home.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"OUTFOLD_HOME": str(self.home), "OUTFOLD_DEMO": "false"} | self.environment
        command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={self.port}"]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._wait()
        return self

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as a person would."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def log(self) -> str:
        return (self.home / "server.log").read_text(errors="replace")

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process
            assert self.process.poll() is None, self.log()
            try:
                with urllib.request.urlopen(f"{self.url}/outfold/health", timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        raise AssertionError(self.log())


def open_home(home: Path) -> AppContext:
    """Open an installation beside the server that works on it."""
    return open_app(Settings(home=home, demo=False, embedded_worker=False))


@contextmanager
def serve(home: Path, **environment: str) -> Iterator[tuple[Server, AppContext]]:
    """Serve a home without a worker, and open it beside the server; both end with the block."""
    server = Server(home, {"OUTFOLD_EMBEDDED_WORKER": "false", **environment}).start()
    app_context = open_home(home)
    try:
        yield server, app_context
    finally:
        app_context.database.close()
        server.stop()


def sign_in(context: BrowserContext, url: str, name: str = "Ann%20Kim") -> None:
    """Let a browser know the name of its person, as after the name was asked for."""
    context.add_cookies([{"name": "outfold_name", "value": name, "url": url}])


def watch(page: Page, troubles: list[str], *, but: str = "nothing") -> None:
    """Add what a page complains of to a list, without messages that hold `but`."""
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.extend(one for one in trouble(message) if but not in one))


def trouble(message: ConsoleMessage) -> list[str]:
    """Return what a console message complains of; what Streamlit itself asks for in vain is not ours."""
    where = message.location.get("url", "") if message.location else ""
    ours = "/outfold/" in where or "review_grid" in where or not where.startswith("http")
    wanted = "ERR_INTERNET_DISCONNECTED" in message.text
    return [f"{message.text} {where}"] if message.type == "error" and ours and not wanted else []


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Return a function that makes servers (not yet started); they end with the test."""
    made: list[Server] = []

    def make(home: Path | None = None, **environment: str) -> Server:
        made.append(Server(home or tmp_path / "served", environment))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="session")
def found_browser() -> str:
    """Return the path of the browser, or the name of Playwright's own; skip where there is none."""
    return find_browser() or lack(BROWSER)


@pytest.fixture(autouse=True)
def needs_a_browser(found_browser: str) -> None:
    """Skip before a server is started in vain."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], found_browser: str) -> dict[str, Any]:
    """Use the system's browser where there is one; quiet, since there is no network."""
    found = None if found_browser == PLAYWRIGHTS_OWN else found_browser
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    return browser_type_launch_args | ({"executable_path": found} if found else {}) | {"args": quiet}


# Streamlit's expanders open within half a second, whatever the person prefers, and what is in them moves meanwhile. In
# the first frames it rests still, so that a click could begin at one place and end beside it.
OPEN_AT_ONCE = """
  const animate = Element.prototype.animate;
  Element.prototype.animate = function (frames, options) {
    return animate.call(this, frames, { ...(typeof options === "object" ? options : {}), duration: 0 });
  };
"""


@dataclass
class WarmContext:
    """A browser context whose HTTP cache outlives a test: Streamlit's scripts are read and compiled once a file."""

    context: BrowserContext
    sweeper: CDPSession

    @contextmanager
    def lent(self) -> Iterator[BrowserContext]:
        """Lend the context to a test; afterwards it has no page, cookie, permission or stored value of it left."""
        origins: set[str] = set()

        def note(frame: Frame) -> None:
            origins.add("{0.scheme}://{0.netloc}".format(urlsplit(frame.url)))

        def follow(page: Page) -> None:
            page.on("framenavigated", note)

        kept = set(self.context.pages)
        self.context.on("page", follow)
        try:
            yield self.context
        finally:
            self.context.remove_listener("page", follow)
            for page in set(self.context.pages) - kept:
                page.close()
            self.context.set_offline(offline=False)
            self.context.clear_cookies()
            self.context.clear_permissions()
            for origin in origins:
                if origin.startswith("http"):
                    self.sweeper.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": STORED})


@contextmanager
def warm_context(browser: Browser, options: dict[str, Any]) -> Iterator[WarmContext]:
    """Open a context for the tests of a file."""
    context = browser.new_context(**options)
    context.add_init_script(OPEN_AT_ONCE)
    yield WarmContext(context, context.new_cdp_session(context.new_page()))
    context.close()


@pytest.fixture(scope="module")
def first_person(browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[WarmContext]:
    with warm_context(browser, browser_context_args) as opened:
        yield opened


@pytest.fixture(scope="module")
def second_person(browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[WarmContext]:
    with warm_context(browser, browser_context_args) as opened:
        yield opened


@pytest.fixture
def context(first_person: WarmContext) -> Iterator[BrowserContext]:
    """Return the browser context of the test's only or first person, empty."""
    with first_person.lent() as lent:
        yield lent


@pytest.fixture
def other_context(second_person: WarmContext) -> Iterator[BrowserContext]:
    """Return the browser context of a second person, empty."""
    with second_person.lent() as lent:
        yield lent
