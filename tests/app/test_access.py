"""The middleware in front of the app: hosts, origins, headers, for HTTP and websocket."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from app import access
from app.access import AccessMiddleware, Remembered, content_security_policy, host_of, place_of, security_headers
from app.services.app_context import AppContext, open_app
from app.settings import Settings
from core.types import StorageError

ROOT = Path(__file__).parents[2]

Make = Callable[..., TestClient]


async def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


async def fail(_request: Request) -> Response:
    raise RuntimeError("with a secret of the server")


async def stream(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("open")
    await websocket.close()


def guarded(app_context: AppContext, served: str | None) -> Starlette:
    everything = ["GET", "HEAD", "POST", "PUT", "DELETE"]
    routes = [
        Route("/", hello, methods=everything),
        Route("/outfold/acts", hello, methods=everything),
        Route("/fail", fail),
        WebSocketRoute("/_stcore/stream", stream),
    ]
    guard = Middleware(AccessMiddleware, served=lambda: served, opened=lambda: app_context)
    return Starlette(routes=routes, middleware=[guard])


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppContext]:
    made = open_app(Settings(home=tmp_path_factory.mktemp("access"), demo=False, embedded_worker=False))
    yield made
    made.database.close()


@pytest.fixture
def make(opened: AppContext) -> Make:
    """Return a function that makes a client of a guarded app, which is served at an address."""

    def made(served: str | None = "127.0.0.1", url: str = "http://localhost:8501", **chosen: Any) -> TestClient:
        chosen = {"insecure": True, **chosen}
        settings = Settings(home=opened.settings.home, demo=False, embedded_worker=False, **chosen)
        app = guarded(replace(opened, settings=settings), served)
        return TestClient(app, base_url=url, raise_server_exceptions=False)

    return made


def connect(client: TestClient, **headers: str) -> int:
    """Return the status of a websocket's handshake."""
    denied: WebSocketDenialResponse | None = None
    try:
        with client.websocket_connect("/_stcore/stream", headers={"Host": "localhost:8501"} | headers) as socket:
            assert socket.receive_text() == "open"
    except WebSocketDenialResponse as answer:
        denied = answer
    if denied is None:
        return 101
    assert b"; " in denied.content
    assert set(security_headers()) <= set(denied.headers)
    return denied.status_code


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        ("localhost:8501", True), ("LOCALHOST", True), ("localhost.:8501", True), ("127.0.0.1:9", True),
        ("[::1]:8501", True),
        ("labels.example.org", True), ("Labels.Example.org:443", True), ("10.1.2.3:8501", True),
        ("evil.example:8501", False), ("localhost.evil.example", False), ("127.0.0.1.evil.example", False),
        ("evil.example#localhost", False), ("localhost@evil.example", False), ("x@localhost", False), ("", False),
        ("localhost:x", False), ("[::1", False), ("10.1.2.4", False), ("0.0.0.0", False), ("127.1", False),
        ("sub.labels.example.org", False),
    ],
)  # fmt: skip
def test_only_allowed_hosts_are_served(make: Make, host: str, passes: bool) -> None:  # noqa: FBT001
    client = make("10.1.2.3", hosts=" labels.example.org. , other")
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == (200 if passes else 421)
    if not passes:
        assert answer.text.count("; ") == 1
        assert client.post("/outfold/acts", headers={"Host": host}).json().keys() == {"error", "cure"}
    assert connect(client, Host=host) == (101 if passes else 421)


def test_the_refusal_of_a_host_names_the_setting_to_allow_it(make: Make) -> None:
    assert "OUTFOLD_HOSTS=labels.local" in make().get("/", headers={"Host": "labels.local:80"}).text
    assert make(hosts="labels.local").get("/", headers={"Host": "labels.local:80"}).text == "hello"


def test_a_request_with_two_hosts_is_refused(make: Make) -> None:
    client = make()
    answer = client.get("/", headers=[("Host", "localhost"), ("Host", "evil.example")])
    assert answer.status_code == 421


def test_a_server_for_every_network_accepts_the_address_of_the_connection(make: Make) -> None:
    for served in ("0.0.0.0", "::", "", None):
        client = make(served, url="http://192.168.7.1:8501")  # also what the test client gives as the server's own
        assert client.get("/").status_code == 200
        assert client.get("/", headers={"Host": "192.168.7.2:8501"}).status_code == 421
    assert make("127.0.0.1", url="http://192.168.7.1:8501").get("/").status_code == 421


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://localhost:8501", True), ("http://LOCALHOST:8501", True), ("https://localhost:8501", True),
        ("http://localhost:8502", False), ("http://127.0.0.1:8501", False), ("http://localhost", False),
        ("http://evil.example", False), ("null", False), ("", False), ("file://", False),
        ("http://localhost:8501.evil.example", False), ("http://evil.example@localhost:8501", False),
    ],
)  # fmt: skip
def test_only_pages_of_the_same_origin_can_change_data_or_open_a_websocket(
    make: Make,
    origin: str,
    passes: bool,  # noqa: FBT001
) -> None:
    client = make()
    for method in ("POST", "PUT", "DELETE"):
        assert client.request(method, "/", headers={"Origin": origin}).status_code == (200 if passes else 403)
    assert connect(client, Origin=origin) == (101 if passes else 403)
    assert client.get("/", headers={"Origin": origin}).status_code == 200


def test_a_default_port_can_be_left_out(make: Make) -> None:
    client = make(hosts="labels.example.org")
    for host, origin in (
        ("labels.example.org", "https://labels.example.org"),
        ("labels.example.org:443", "https://labels.example.org"),
        ("labels.example.org", "http://labels.example.org:80"),
    ):
        assert client.post("/", headers={"Host": host, "Origin": origin}).status_code == 200, (host, origin)


def test_clients_without_an_origin_are_allowed_and_pages_that_hide_it_are_not(make: Make) -> None:
    client = make()
    assert client.post("/").status_code == 200
    assert connect(client) == 101
    for site, status in (("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)):
        assert client.post("/", headers={"Sec-Fetch-Site": site}).status_code == status


def test_every_response_has_the_security_headers(make: Make) -> None:
    client = make()
    answers = [
        client.get("/"),
        client.head("/"),
        client.get("/missing"),
        client.put("/fail"),
        client.get("/fail"),
        client.get("/", headers={"Host": "evil.example"}),
        client.post("/", headers={"Origin": "http://evil.example"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 405, 500, 421, 403]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in security_headers()} == security_headers()
    assert answers[4].text == "the server failed at this request; see the server's log\n"


def test_the_policy_allows_only_scripts_of_this_server_and_known_inline_ones() -> None:
    policy = dict(part.split(" ", 1) for part in content_security_policy().split("; "))
    assert "unsafe" not in policy["script-src"]
    assert policy["script-src"].count("sha256-") == 5  # one of Streamlit's page, four of ours
    assert (policy["default-src"], policy["frame-ancestors"], policy["object-src"]) == ("'self'", "'none'", "'none'")


def test_only_scripts_known_to_the_policy_are_rendered() -> None:
    drawing = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "app").rglob("*.py")
        if "unsafe_allow_javascript" in path.read_text()
    ]
    assert drawing == ["app/components/inline_scripts.py"]


@pytest.mark.parametrize("value", ["http://labels", "labels:8501", "a b", "*", "*.example.org", "a/b"])
def test_a_host_is_a_bare_name(value: str) -> None:
    with pytest.raises(ValidationError, match="write names alone"):
        Settings(hosts=f"fine.example,{value}")


def test_headers_are_parsed_as_browsers_write_them() -> None:
    assert host_of("[2001:db8::1]:80") == ("2001:db8::1", 80)
    assert place_of("https://[::1]") == ("::1", 443)
    assert place_of("chrome-extension://abc") is None


@pytest.mark.parametrize(("error", "lines"), [(StorageError("gone", "start it"), 1), (RuntimeError("a fault"), 2)])
def test_an_unreachable_database_logs_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, lines: int
) -> None:
    monkeypatch.setattr(access, "KNOWN_SECONDS", 0.0)
    answers = iter([True])

    def read(_key: str) -> bool:
        if (answer := next(answers, None)) is None:
            raise error
        return answer

    async def ask_until_it_is_read_anew() -> None:
        remembered = Remembered(read)
        assert await remembered.get("")
        assert await remembered.get("")  # answered at once, and read anew behind
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        await asyncio.sleep(0)  # its callback

    # in a thread: a browser test of the same process has a loop of its own in this one
    with caplog.at_level(logging.ERROR, logger=access.__name__), ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, ask_until_it_is_read_anew()).result()
    assert caplog.records[0].getMessage() == f"users could not be read: {error}"
    assert len(logging.Formatter().format(caplog.records[0]).splitlines()[:2]) == lines
