"""The login page behind the middleware: no other answer without a session, no other name by a cookie."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from app import access
from app.access import AccessMiddleware
from app.components.identity import ROLE
from app.routes import routes
from app.routes.login import own_path
from app.services import people
from app.services.app_context import AppContext, open_app
from app.services.people import MOST_FAILED_OF_NAME, SESSION
from app.settings import Settings
from core.types import Role, StorageError
from db.models import LogEntryRow, UserRow
from tests.app.commands.test_installation import until
from tools.fixtures.reviews import fill

PASSWORD = "correct horse battery"
URL = "http://localhost:8501"
HTML = {"Accept": "text/html,*/*"}
Client = Callable[..., TestClient]


async def page_of_a_name(request: Request) -> JSONResponse:
    """Answer what Streamlit's pages would see."""
    return JSONResponse({"name": request.cookies.get("outfold_name"), "role": request.headers.get(ROLE)})


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json([websocket.cookies.get("outfold_name"), websocket.headers.get(ROLE)])
    try:
        while True:
            await websocket.send_bytes(await websocket.receive_bytes())
    except WebSocketDisconnect as ended:
        await websocket.close(ended.code)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppContext]:
    made = open_app(Settings(home=tmp_path_factory.mktemp("login"), demo=False, embedded_worker=False))
    fill(made, 5, suspicious=1)
    yield made
    made.database.close()


@pytest.fixture(autouse=True)
def users(opened: AppContext, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add Ada, the admin, and Ben; the middleware remembers nothing."""
    monkeypatch.setattr(access, "STALE_SECONDS", 0.0)
    people.add_user(opened, "ada", PASSWORD, Role.ADMIN, by="root")
    people.add_user(opened, "ben", PASSWORD, Role.ANNOTATOR, by="ada")
    yield
    with opened.database.write() as session:
        session.execute(delete(UserRow))
        session.execute(delete(LogEntryRow))


@pytest.fixture
def make(opened: AppContext) -> Client:
    """Return a function that makes a browser's client of the app, which is served at an address."""

    def made(
        name: str = "", served: str = "127.0.0.1", url: str = URL, context: AppContext = opened, **chosen: Any
    ) -> TestClient:
        context = replace(context, settings=context.settings.model_copy(update=chosen))
        app = Starlette(
            routes=[*routes(lambda: context), Route("/page", page_of_a_name), WebSocketRoute("/_stcore/stream", echo)],
            middleware=[Middleware(AccessMiddleware, served=lambda: served, opened=lambda: context)],
        )
        client = TestClient(app, base_url=url, headers={"X-Outfold": "1"}, follow_redirects=False)
        if name:
            assert sign_in(client, name).status_code == 303
        return client

    return made


def sign_in(client: TestClient, name: str, password: str = PASSWORD, **more: str) -> Any:
    return client.post("/outfold/login", data={"name": name, "password": password, **more})


def connect(client: TestClient, **headers: str) -> Any:
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return client.websocket_connect("/_stcore/stream", headers={"Host": "localhost", "Cookie": cookies} | headers)


def test_every_route_and_the_websocket_are_refused_without_a_session(make: Client, opened: AppContext) -> None:
    client, seen = make(), set()
    for route in (*routes(lambda: opened), Route("/page", page_of_a_name, methods=["GET"])):
        assert isinstance(route, Route)
        path = re.sub(r"{(\w+)(:\w+)?}", "1", route.path)
        for method in route.methods or ():
            status = client.request(method, path).status_code
            seen.add((route.path, method, status))
    open_ones = {(path, method) for path, method, status in seen if status != 401}
    assert {path for path, _ in open_ones} == {
            "/outfold/health", "/outfold/login", "/outfold/single_sign_on", "/outfold/single_sign_on/done",
            "/healthz", "/readyz",
        }  # fmt: skip
    assert len(seen) > 40
    for path in (
        "/outfold/login/",
        "/outfold/login/x",
        "//outfold/login",
        "/outfold/Login",
        "/outfold/health/x",
        "/",
        "/healthz/x",
    ):
        assert client.get(path).status_code == 401, path
    with pytest.raises(WebSocketDenialResponse) as denied, connect(client):
        pass
    assert denied.value.status_code == 401


def test_a_page_redirects_to_the_login_page_and_back(make: Client) -> None:
    client = make()
    answer = client.get("/review?dataset=1&q=a%20b", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (
        303, "/outfold/login?next=%2Freview%3Fdataset%3D1%26q%3Da%2520b",
    )  # fmt: skip
    page = client.get(answer.headers["location"])
    assert 'value="/review?dataset=1&amp;q=a%20b"' in page.text
    assert "<script" not in page.text
    assert sign_in(client, "ada", next="/review?dataset=1&q=a%20b").headers["location"] == "/review?dataset=1&q=a%20b"
    assert client.get("/outfold/login?next=/tags").headers["location"] == "/tags"


@pytest.mark.parametrize(
    "text", ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "javascript:x", "", "/a\nb", "/ü"]
)
def test_the_login_redirects_only_to_paths_of_this_server(make: Client, text: str) -> None:
    assert own_path(text) == "/"
    assert sign_in(make(), "ada", next=text).headers["location"] == "/"


def test_the_cookie_is_restricted_to_this_server(make: Client) -> None:
    set_cookie = sign_in(make(), "ada").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=604800"} <= set(set_cookie.split("; "))
    assert "Secure" not in set_cookie
    secure = make(url="https://localhost")
    assert "Secure" in sign_in(secure, "ada").headers["set-cookie"]


def test_the_name_is_that_of_the_session_whatever_a_client_claims(make: Client, opened: AppContext) -> None:
    client = make("ben")
    cookie = people.cookie_name(opened, SESSION)
    cookies = {"outfold_name": "ada", cookie: client.cookies[cookie]}
    claimed = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), ROLE: "admin"}
    assert client.get("/page", headers=claimed).json() == {"name": "ben", "role": "annotator"}
    assert client.get("/outfold/me", headers=claimed).json() == {"name": "ben"}
    with connect(client, **claimed) as socket:
        assert socket.receive_json() == ["ben", "annotator"]
    decisions = [{"finding": 1, "verdict": "keep"}]
    body = {"client": "x", "seq": 1, "round": 1, "op": "decide", "decisions": decisions}
    assert client.post("/outfold/acts", json=body, headers=claimed).json()["items"][0]["by"] == "ben"
    refused = client.post("/outfold/me", json={"name": "ada"})
    assert refused.status_code == 403
    assert "sign out" in refused.json()["cure"]


def test_a_name_in_any_alphabet_is_kept(make: Client, opened: AppContext) -> None:
    people.add_user(opened, "Žofie; x=1", PASSWORD, Role.LEAD, by="ada")
    assert make("žofie; X=1").get("/outfold/me").json() == {"name": "Žofie; x=1"}


def test_signing_out_ends_one_session_or_all_of_them(make: Client) -> None:
    here, there, third = make("ada"), make("ada"), make("ben")
    with connect(here) as socket:
        socket.receive_json()
        socket.send_bytes(b"still here")
        assert socket.receive_bytes() == b"still here"
        assert here.post("/outfold/sign_out").headers["location"] == "/outfold/login"
        socket.send_bytes(b"and now")
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_bytes()
        assert ended.value.code == access.POLICY_VIOLATION
    assert here.get("/page").status_code == 401
    assert there.get("/page").status_code == 200
    sign_in(here, "ada")
    there.post("/outfold/sign_out_everywhere")
    assert [one.get("/page").status_code for one in (here, there, third)] == [401, 401, 200]


def test_a_stolen_cookie_is_worth_nothing_after_signing_out(make: Client, opened: AppContext) -> None:
    client = make("ada")
    cookie = people.cookie_name(opened, SESSION)
    stolen = {"Cookie": f"{cookie}={client.cookies[cookie]}"}
    assert make().get("/page", headers=stolen).status_code == 200
    client.post("/outfold/sign_out")
    assert make().get("/page", headers=stolen).status_code == 401


@pytest.fixture
def neighbour(tmp_path: Path) -> Iterator[AppContext]:
    """Another installation of the same machine, with a user of its own."""
    made = open_app(Settings(home=tmp_path / "neighbour", demo=False, embedded_worker=False))
    people.add_user(made, "cleo", PASSWORD, Role.ADMIN, by="root")
    yield made
    made.database.close()


def test_two_installations_at_ports_of_one_host_keep_their_sessions(make: Client, neighbour: AppContext) -> None:
    here, there = make(), make(context=neighbour, url="http://localhost:8502")
    there.cookies = here.cookies  # a browser has one set of cookies for a host, whatever the port
    sign_in(here, "ada")
    sign_in(there, "cleo")
    assert (here.get("/page").json()["name"], there.get("/page").json()["name"]) == ("ada", "cleo")
    there.post("/outfold/sign_out")
    assert (here.get("/page").json()["name"], there.get("/page").status_code) == ("ada", 401)


def test_a_session_in_a_cookie_of_the_former_name_stays_valid_until_sign_out(
    make: Client, opened: AppContext, neighbour: AppContext
) -> None:
    signed_in = people.sign_in(opened, "ada", PASSWORD, "")
    here, there = make(), make(context=neighbour, url="http://localhost:8502")
    there.cookies = here.cookies
    here.cookies.set(SESSION, signed_in.cookie, domain="localhost.local")
    assert (here.get("/page").json()["name"], there.get("/page").status_code) == ("ada", 401)
    there.post("/outfold/sign_out")
    assert here.get("/page").json()["name"] == "ada"
    here.post("/outfold/sign_out")
    assert (here.get("/page").status_code, SESSION in here.cookies) == (401, False)
    assert people.user_of(opened, signed_in.cookie) is None


def test_a_changed_role_closes_the_websocket_which_reconnects_with_it(make: Client, opened: AppContext) -> None:
    client = make("ben")
    with connect(client) as socket:
        assert socket.receive_json() == ["ben", "annotator"]
        people.set_role(opened, "ben", Role.LEAD, by="ada")
        socket.send_bytes(b"x")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_bytes()
    with connect(client) as socket:
        assert socket.receive_json() == ["ben", "lead"]


def test_adding_the_first_user_closes_anonymous_websockets_and_removing_the_last_allows_them(
    make: Client, opened: AppContext
) -> None:
    client = make()
    with opened.database.write() as session:
        session.execute(delete(UserRow))
    assert client.get("/page", headers={ROLE: "admin"}).json() == {"name": None, "role": None}
    with connect(client) as socket:
        assert socket.receive_json() == [None, None]
        people.add_user(opened, "eve", PASSWORD, Role.ADMIN, by="root")
        socket.send_bytes(b"x")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_bytes()
    assert client.get("/page").status_code == 401


def test_a_server_for_other_machines_refuses_requests_without_users(make: Client, opened: AppContext) -> None:
    with opened.database.write() as session:
        session.execute(delete(UserRow))
    closed = make(served="0.0.0.0", hosts="labels.example.org")
    assert closed.get("/page").status_code == 401
    assert "no user yet" in closed.get("/outfold/login").text
    assert make(served="0.0.0.0", insecure=True).get("/page").status_code == 200


def test_a_wrong_password_is_refused_and_too_many_lock_the_name(make: Client, opened: AppContext) -> None:
    client = make()
    for _ in range(MOST_FAILED_OF_NAME):
        answer = sign_in(client, "<b>ada", "wrong password")
        assert answer.status_code == 401
    assert "role=alert" in answer.text
    assert "<b>ada" not in answer.text
    assert sign_in(client, "<b>ada", "wrong password").status_code == 429
    assert people.cookie_name(opened, SESSION) not in client.cookies
    assert client.post("/outfold/login", content=b"x" * 20_000).status_code == 413
    assert client.post("/outfold/login", content=b"\xff&=&name=%FF").status_code == 401


def test_a_user_can_change_the_password(make: Client) -> None:
    client, other = make("ben"), make("ben")
    page = client.get("/outfold/account").text
    assert "<b>ben</b>, annotator" in page
    assert client.post("/outfold/password", data={"before": "x", "after": "a new password"}).status_code == 401
    assert client.post("/outfold/password", data={"before": PASSWORD, "after": "a new password"}).status_code == 303
    assert [one.get("/page").status_code for one in (client, other)] == [200, 401]
    assert sign_in(other, "ben", "a new password").status_code == 303


def test_requests_of_foreign_origins_cannot_sign_in_or_out(make: Client) -> None:
    client = make("ada")
    for path in ("login", "sign_out", "sign_out_everywhere", "password"):
        answer = client.post(f"/outfold/{path}", headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403, path
    assert client.get("/page").status_code == 200


def test_cached_users_are_refreshed_in_the_background_of_a_request(
    make: Client, opened: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "STALE_SECONDS", 3600.0)
    monkeypatch.setattr(access, "KNOWN_SECONDS", 0.0)
    with make() as client:
        sign_in(client, "ben")
        assert client.get("/page").json() == {"name": "ben", "role": "annotator"}
        people.set_role(opened, "ben", Role.LEAD, by="ada")
        assert until(lambda: client.get("/page").json()["role"] == "lead")
        assert client.post("/outfold/sign_out").status_code == 303
        assert client.get("/page").status_code == 401


def test_access_is_refused_while_users_cannot_be_read(
    make: Client, opened: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make("ada")

    def away(*_arguments: object) -> None:
        raise StorageError("the database does not answer", "start the server")

    monkeypatch.setattr(people, "user_of", away)
    answer = client.get("/outfold/me")
    assert (answer.status_code, answer.json()["cure"]) == (503, "start the server")
    monkeypatch.setattr(people, "has_login", away)
    assert make().get("/page").status_code == 503
    with pytest.raises(WebSocketDenialResponse), connect(client):
        pass
