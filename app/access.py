"""Access to the web app: one ASGI middleware around HTTP and websocket, before Streamlit and the app's own routes.

- A request must name an allowed host: a page under a foreign name that leads here (DNS rebinding) gets nothing.
- A websocket, and a request that may change something, must come from a page of that same host.
- With a login, it must belong to a session: else only the login page and the health checks answer, and metrics where
  this machine itself asks. The name that a browser claims by cookie is replaced by the signed-in one, before anything
  behind sees it.
- Every answer says to browsers what its page may load and who may frame it.

A refusal is {"error", "cure"} below /outfold, else plain text; a websocket gets it as the answer to its handshake.
"""

import asyncio
import base64
import logging
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import quote, urlsplit

import streamlit
from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.components.identity import ROLE
from app.components.inline_scripts import SCRIPTS
from app.routes.handlers import USER
from app.routes.login import CHANGES_SESSIONS, LOGIN, SIGN_ON, SIGN_ON_DONE, login_path
from app.routes.operation import HEALTHY, METRICS, READY, is_of_this_machine
from app.services import people
from app.services.addresses import LOOPBACK_NAMES, is_loopback, is_wildcard
from app.services.annotators import COOKIE as NAME_COOKIE
from app.services.app_context import AppContext, app_context
from app.services.people import SESSION
from core.types import OutfoldError, StorageError
from db.queries.people import User

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_PORTS = {"http": 80, "https": 443}
PUBLIC = frozenset({LOGIN, SIGN_ON, SIGN_ON_DONE, "/outfold/health", HEALTHY, READY})
KNOWN_SECONDS, STALE_SECONDS = 1.0, 10.0  # age of cached values about users; see `Remembered`
POLICY_VIOLATION = 1008  # of RFC 6455
ROLE_HEADER = ROLE.lower().encode()
_MOST_CACHED = 1024  # parsed headers
Value = TypeVar("Value")
_STREAMLITS_PAGE = Path(streamlit.__file__).parent / "static" / "index.html"

log = logging.getLogger(__name__)


class AccessMiddleware:
    """Middleware that refuses foreign hosts and origins, and completes the headers of every answer."""

    def __init__(
        self, app: ASGIApp, *, served: Callable[[], str | None], opened: Callable[[], AppContext] = app_context
    ) -> None:
        """Guard `app`; `served` gives the address of the server, None for every network. Both are called once, late."""
        self._app = app
        self._served = served
        self._opened = opened
        self._hosts: frozenset[str] = frozenset()
        self._any_own_address = False
        self._headers: list[tuple[str, str]] = []
        self._sessions: Sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit a request, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if not self._headers:  # at the first request, since the start has reported wrong settings by then
            self._open()
        headers = Headers(scope=scope)
        refusal = self._of_host(scope, headers) or _of_origin(scope, headers)
        user, cookies, cookie = None, dict[str, str](), ""
        try:
            needed = refusal is None and await self._sessions.are_needed()
            if needed:
                cookies = cookies_of(headers)
                cookie = await self._sessions.cookie_in(cookies)
                user = await self._sessions.user_of(cookie)
        except OutfoldError as error:  # of the database
            needed, refusal = False, _refusal(scope, HTTPStatus.SERVICE_UNAVAILABLE, error.message, error.cure)
        if needed:
            refusal = None if user or _is_open(scope) else _of_stranger(scope, headers)
            scope = identified(scope, cookies, user)
        elif ROLE in headers:  # which only a user has
            scope = {**scope, "headers": [one for one in scope["headers"] if one[0] != ROLE_HEADER]}
        if refusal is not None:
            await self._refuse(refusal, scope, receive, send)
        elif scope["type"] == "websocket":
            await self._app(scope, self._watched(receive, user, cookie), send)
        else:
            await self._pass(scope, receive, send)
        if scope["path"] in CHANGES_SESSIONS:
            self._sessions.forget()

    def _watched(self, receive: Receive, user: User | None, cookie: str) -> Receive:
        """Return the messages of a websocket until its session ends, its user changes or a login is added."""

        async def watched() -> Message:
            message = await receive()
            if message["type"] != "websocket.receive" or not await self._sessions.are_needed():
                return message
            if user is not None and await self._sessions.user_of(cookie) == user:
                return message
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": "signed out"}

        return watched

    def _open(self) -> None:
        served = self._served()
        host = (served or "").strip("[]").lower()
        self._any_own_address = is_wildcard(served)
        opened = self._opened()
        chosen = opened.settings
        self._hosts = LOOPBACK_NAMES | {host} | chosen.host_names
        self._headers = list(security_headers().items())
        self._sessions = Sessions(opened, needed=not (chosen.insecure or is_loopback(served)))

    def _of_host(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the refusal of a request by its host, None if the host is allowed."""
        given = headers.getlist("host")
        host = host_of(given[0]) if len(given) == 1 else None
        own = scope.get("server") if self._any_own_address else None
        if host is not None and (host[0] in self._hosts or (own and host[0] == own[0])):
            return None
        name = ascii(host[0])[1:-1] if host else "that"
        return _refusal(
            scope,
            HTTPStatus.MISDIRECTED_REQUEST,
            f"this Outfold is not served under the name {name}",
            f"open it as localhost or by the address it is served at, or start it with OUTFOLD_HOSTS={name}"
            if host
            else "send one Host header with the name and port of this server",
        )

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def complete(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._complete(message)
            await send(message)

        try:
            await self._app(scope, receive, complete)
        except Exception:
            if not started:  # else the framework's outermost layer would answer, without our headers
                answer = _refusal(
                    scope, HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed at this request", "see the server's log"
                )
                await answer(scope, receive, complete)
            raise

    def _complete(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in self._headers:
            headers[name] = value

    async def _refuse(self, refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
            return

        async def complete(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                self._complete(message)
            await send(message)

        await refusal(scope, receive, complete)


class Remembered(Generic[Value]):
    """Cache of values by key, read from the database in a thread, so that hardly any request waits.

    A value younger than `KNOWN_SECONDS` is used as it is; an older one is refreshed behind the request that
    asked; a request waits for a value older than `STALE_SECONDS`.
    """

    def __init__(self, read: Callable[[str], Value]) -> None:
        """Remember what `read` returns."""
        self._read = read
        self._values: dict[str, tuple[Value, float]] = {}
        self._reading: dict[str, asyncio.Task[Value]] = {}

    async def get(self, key: str) -> Value:
        """Return the value of a key."""
        known = self._values.get(key)
        age = time.monotonic() - known[1] if known else STALE_SECONDS
        if known is None or age >= STALE_SECONDS:
            return await self._renew(key)
        if age >= KNOWN_SECONDS and key not in self._reading:
            self._reading[key] = asyncio.create_task(self._renew(key))
            self._reading[key].add_done_callback(lambda task: self._end(key, task))
        return known[0]

    def forget(self) -> None:
        """Forget all values, so that each is read at its next use."""
        self._values.clear()

    async def _renew(self, key: str) -> Value:
        begun = time.monotonic()  # a change during the reading counts as unread
        value = await run_sync(self._read, key)
        if len(self._values) >= _MOST_CACHED:
            self._values.clear()
        self._values[key] = (value, begun)
        return value

    def _end(self, key: str, task: "asyncio.Task[Value]") -> None:
        del self._reading[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            trace = (
                None if isinstance(error, StorageError) else error
            )  # no traceback every second while the database is unreachable
            log.error("users could not be read: %s", error, exc_info=trace)  # the next waiting request gets the error


class Sessions:
    """Users by the cookies of their sessions."""

    def __init__(self, opened: AppContext, *, needed: bool) -> None:
        """Read from `opened`; `needed`: a session is required even without users."""
        self._needed = Remembered(lambda _key: needed or people.has_login(opened))
        self._name = Remembered(lambda kind: people.cookie_name(opened, kind))
        self._users = Remembered(lambda cookie: people.user_of(opened, cookie))

    async def are_needed(self) -> bool:
        """Return whether requests have to belong to a session."""
        return await self._needed.get("")

    async def cookie_in(self, cookies: Mapping[str, str]) -> str:
        """Return the cookie of the session among those of a request, "" without one."""
        if not any(name.startswith(SESSION) for name in cookies):
            return ""
        return people.session_cookie(cookies, await self._name.get(SESSION))

    async def user_of(self, cookie: str) -> User | None:
        """Return the user who is signed in with a cookie."""
        return await self._users.get(cookie) if cookie else None

    def forget(self) -> None:
        """Read everything anew, after a sign-in or sign-out."""
        self._needed.forget()
        self._users.forget()


def identified(scope: Scope, cookies: Mapping[str, str], user: User | None) -> Scope:
    """Return the scope with the user, whose name and role replace those that a client may have sent."""
    sent = {name: value for name, value in cookies.items() if name != NAME_COOKIE}
    if user is not None:
        sent[NAME_COOKIE] = quote(user.name, safe="")
    kept = [(name, value) for name, value in scope["headers"] if name not in {b"cookie", ROLE_HEADER}]
    text = "; ".join(f"{name}={value}" for name, value in sent.items())
    role = user.role.value if user else ""
    own = [(b"cookie", text.encode("latin-1")), (ROLE_HEADER, role.encode())]
    return {**scope, "headers": [*kept, *own], USER: user}


def cookies_of(headers: Headers) -> dict[str, str]:
    """Return the cookies of a request by name, as they were sent; of two by one name the first."""
    found: dict[str, str] = {}
    for part in ";".join(headers.getlist("cookie")).split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            found.setdefault(name.strip(), value.strip())
    return found


def _is_open(scope: Scope) -> bool:
    """Return whether a request needs no session: login page, health checks, and metrics from this machine."""
    return scope["path"] in PUBLIC or (scope["path"] == METRICS and is_of_this_machine(scope))


def _of_stranger(scope: Scope, headers: Headers) -> Response:
    """Return the refusal of a request without a session: for a page, a redirect to the login page."""
    asks_page = scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", "")
    if asks_page:
        query = scope["query_string"].decode("latin-1")
        return RedirectResponse(login_path(scope["path"], query), 303, headers={"Cache-Control": "no-store"})
    answer = _refusal(scope, HTTPStatus.UNAUTHORIZED, "you are not signed in", f"sign in at {LOGIN}")
    answer.headers["X-Outfold-Login"] = LOGIN
    return answer


def security_headers() -> dict[str, str]:
    """Return the headers that every answer carries."""
    return {
        "content-security-policy": content_security_policy(),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",  # for browsers that do not know frame-ancestors
        "referrer-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }


def content_security_policy() -> str:
    """Return the policy: only content from this server, and only inline scripts with a known hash.

    Streamlit makes modules of components (`blob:`), writes styles into the page, and draws images as data.
    """
    hashes = " ".join(f"'{_hash_of(script)}'" for script in (*_scripts_of(_STREAMLITS_PAGE), *SCRIPTS))
    allowed = {
        "default-src": "'self'",
        "script-src": f"'self' blob: {hashes}",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' data: blob:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in allowed.items())


def _scripts_of(page: Path) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", page.read_text(encoding="utf-8"), re.DOTALL)


def _hash_of(script: str) -> str:
    return f"sha256-{base64.b64encode(sha256(script.encode()).digest()).decode()}"


def _of_origin(scope: Scope, headers: Headers) -> Response | None:
    """Return the refusal of a request from a page of another origin, None if it is allowed.

    Browsers send the origin with every websocket and every request that may change something; other clients send none.
    """
    if scope["type"] == "http" and scope["method"] in SAFE_METHODS:
        return None
    origins = headers.getlist("origin")
    fetched = headers.get("sec-fetch-site", "same-origin")
    if not origins and fetched in {"same-origin", "none"}:
        return None
    if len(origins) == 1 and place_of(origins[0]) == _place_of_host(headers["host"], origins[0]):
        return None
    return _refusal(
        scope,
        HTTPStatus.FORBIDDEN,
        f"a page of {ascii(origins[0])[1:-1][:200] if origins else 'another site'} may not do this",
        "open Outfold's own address; behind a proxy, let it pass on the Host header with its port",
    )


def _refusal(scope: Scope, status: HTTPStatus, error: str, cure: str) -> Response:
    no_store = {"Cache-Control": "no-store"}
    if scope["path"].startswith("/outfold/"):
        return JSONResponse({"error": error, "cure": cure}, status, headers=no_store)
    return PlainTextResponse(f"{error}; {cure}\n", status, headers=no_store)


@lru_cache(_MOST_CACHED)
def host_of(header: str) -> tuple[str, int | None] | None:
    """Return name and port of a Host header, lower case and without a final dot; None if it is invalid."""
    return _parse(f"//{header}")


@lru_cache(_MOST_CACHED)
def place_of(origin: str) -> tuple[str, int] | None:
    """Return name and port of an origin, None if it has none, such as `null`."""
    scheme = origin.partition("://")[0]
    host = _parse(origin.removeprefix(f"{scheme}:")) if scheme in DEFAULT_PORTS else None
    return None if host is None else (host[0], host[1] or DEFAULT_PORTS[scheme])


def _place_of_host(header: str, origin: str) -> tuple[str, int] | None:
    host = host_of(header)
    return None if host is None else (host[0], host[1] or DEFAULT_PORTS.get(origin.partition("://")[0], 0))


def _parse(text: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(text)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    rest = (parts.username, parts.password, parts.path, parts.query, parts.fragment)
    return None if not name or any(rest) or "@" in parts.netloc else (name.rstrip("."), port)
