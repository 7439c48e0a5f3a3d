"""Sign-in, by password or OpenID Connect, sign-out and the account of the person: plain pages without scripts.

The cookie of a session is HttpOnly and SameSite=Lax, and Secure where the page came by HTTPS.
"""

import base64
from collections.abc import Awaitable, Callable
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import parse_qsl, quote

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.components.identity import ACCOUNT
from app.routes.handlers import EXPECTED, USER, explain
from app.services import people, single_sign_on
from app.services.app_context import AppContext
from app.services.people import SESSION, SHORTEST_PASSWORD, PersonError, SignedIn, SignInRefusedError
from db.queries.people import User

LOGIN = "/outfold/login"
SIGNED_OUT = f"{LOGIN}?signed_out=1"
SIGN_OUT = "/outfold/sign_out"
SIGN_OUT_EVERYWHERE = "/outfold/sign_out_everywhere"
PASSWORD = "/outfold/password"  # noqa: S105 its page
SIGN_ON = "/outfold/single_sign_on"  # to the provider of OpenID Connect
SIGN_ON_DONE = f"{SIGN_ON}/done"  # and back
CHANGES_SESSIONS = frozenset({LOGIN, SIGN_ON_DONE, SIGN_OUT, SIGN_OUT_EVERYWHERE, PASSWORD})
ATTEMPT = "outfold_sign_on"  # cookie; `people.cookie_name` adds to it
LOGO = Path(__file__).parents[1] / "assets" / "logo.svg"
LARGEST_FORM = 10_000  # bytes
HASHING_THREADS = 2  # each takes 64 MiB
PROVIDER_THREADS = 8  # each waits for the provider
DONE, UNAUTHORIZED, NOT_FOUND, TOO_LARGE, TOO_MANY = 303, 401, 404, 413, 429
_NO_STORE = {"Cache-Control": "no-store"}
_STYLE = """
  :root { color-scheme: light dark; font: 16px system-ui, sans-serif; }
  body { max-width: 22rem; margin: 12vh auto; padding: 0 1rem; }
  label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
  label { margin: 1rem 0 .3rem; }
  a.button { display: block; text-align: center; text-decoration: none; box-sizing: border-box; margin-top: 1.2rem; }
  input, button, a.button { padding: .55rem .7rem; border-radius: 8px; border: 1px solid #8a93a5; }
  button, a.button { margin-top: 1.2rem; background: #1f6feb; border-color: #1f6feb; color: #fff; cursor: pointer; }
  button.other { background: none; color: inherit; border-color: #8a93a5; }
  [role=alert] { color: light-dark(#a32d0b, #ffa07a); }
"""

Handler = Callable[[Request, dict[str, str], AppContext], Response]


def login_routes(opened: Callable[[], AppContext]) -> list[BaseRoute]:
    """Return the routes over the installation that `opened` gives."""
    hashing, asking = CapacityLimiter(HASHING_THREADS), CapacityLimiter(PROVIDER_THREADS)

    def endpoint(handler: Handler, threads: CapacityLimiter = hashing) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            form = await _read_form(request)
            if form is None:
                return _page("Too much", "<p role=alert>The form holds too much.</p>", TOO_LARGE)
            return await run_sync(_answer, handler, request, form, opened, limiter=threads)

        return answer

    gets = {LOGIN: show_login, ACCOUNT: show_account}
    posts = {
        LOGIN: sign_in,
        SIGN_OUT: sign_out,
        SIGN_OUT_EVERYWHERE: sign_out_everywhere,
        PASSWORD: change_password,
    }
    both_ways = {SIGN_ON: begin_sign_on, SIGN_ON_DONE: finish_sign_on}
    return [
        *(Route(path, endpoint(handler, asking), methods=["GET"]) for path, handler in both_ways.items()),
        *(Route(path, endpoint(handler), methods=["GET"]) for path, handler in gets.items()),
        *(Route(path, endpoint(handler), methods=["POST"]) for path, handler in posts.items()),
    ]


def show_login(request: Request, _form: dict[str, str], app_context: AppContext) -> Response:
    """Answer the sign-in form; redirect to the requested page if no sign-in is needed."""
    wanted = own_path(request.query_params.get("next", ""))
    if USER not in request.scope or request.scope[USER] is not None:
        return RedirectResponse(wanted, DONE, headers=_NO_STORE)
    if not people.has_login(app_context):
        text = "There is no user yet. Whoever runs this server adds one there; docs/server.md says how."
        return _page("Sign in", f"<p>{text}</p>")
    return _login_page(app_context, wanted, notice=_signed_out(request, app_context))


def begin_sign_on(request: Request, _form: dict[str, str], app_context: AppContext) -> Response:
    """Redirect to the OpenID Connect provider, with a cookie that holds the values to check its answer."""
    wanted = own_path(request.query_params.get("next", ""))
    if not single_sign_on.is_offered(app_context):
        return RedirectResponse(LOGIN, DONE, headers=_NO_STORE)
    try:
        address, attempt = single_sign_on.begin(app_context, _callback(request), wanted)
    except PersonError as error:
        return _login_page(app_context, wanted, error=error)
    answer = RedirectResponse(address, DONE, headers=_NO_STORE)
    answer.set_cookie(
        people.cookie_name(app_context, ATTEMPT), attempt, max_age=single_sign_on.ATTEMPT_SECONDS, path=SIGN_ON,
        httponly=True, samesite="lax", secure=request.url.scheme == "https",
    )  # fmt: skip
    return answer


def finish_sign_on(request: Request, _form: dict[str, str], app_context: AppContext) -> Response:
    """Check the provider's answer, start a session and redirect to the requested page."""
    if not single_sign_on.is_offered(app_context):
        return RedirectResponse(LOGIN, DONE, headers=_NO_STORE)
    name, query = people.cookie_name(app_context, ATTEMPT), request.query_params
    kept = request.cookies.get(name, "")
    try:
        signed_in, wanted = single_sign_on.finish(app_context, kept, query, _callback(request), address_of(request))
    except PersonError as error:
        answer = _login_page(app_context, "/", error=error)
    else:
        answer = _with_session(app_context, request, RedirectResponse(wanted, DONE, headers=_NO_STORE), signed_in)
    answer.delete_cookie(name, path=SIGN_ON, httponly=True, samesite="lax")
    return answer


def _callback(request: Request) -> str:
    """Return the absolute address that is registered at the provider; the host is an allowed one."""
    return f"{_own_address(request)}{SIGN_ON_DONE}"


def _own_address(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers['host']}"


def sign_in(request: Request, form: dict[str, str], app_context: AppContext) -> Response:
    """Check name and password, start a session and redirect to the requested page."""
    wanted, name = own_path(form.get("next", "")), form.get("name", "")
    try:
        signed_in = people.sign_in(app_context, name, form.get("password", ""), address_of(request))
    except PersonError as error:
        return _login_page(app_context, wanted, name, error)
    return _with_session(app_context, request, RedirectResponse(wanted, DONE, headers=_NO_STORE), signed_in)


def sign_out(request: Request, _form: dict[str, str], app_context: AppContext) -> Response:
    """End this browser's session."""
    return _sign_out(request, app_context, everywhere=False)


def sign_out_everywhere(request: Request, _form: dict[str, str], app_context: AppContext) -> Response:
    """End all sessions of the signed-in user."""
    return _sign_out(request, app_context, everywhere=True)


def show_account(request: Request, _form: dict[str, str], _app_context: AppContext) -> Response:
    """Answer the account page of the signed-in user."""
    user: User | None = request.scope.get(USER)
    if user is None:
        return _page("No login", "<p>There is no login here. <a href='/'>Back</a></p>", NOT_FOUND)
    return _account_page(user)


def change_password(request: Request, form: dict[str, str], app_context: AppContext) -> Response:
    """Change the password of the signed-in user and end the other sessions."""
    user: User | None = request.scope.get(USER)
    if user is None:
        return RedirectResponse(LOGIN, DONE, headers=_NO_STORE)
    before, after = form.get("before", ""), form.get("after", "")
    try:
        signed_in = people.change_own_password(app_context, user, before, after, address_of(request))
    except PersonError as error:
        return _account_page(user, error)
    return _with_session(app_context, request, RedirectResponse(ACCOUNT, DONE, headers=_NO_STORE), signed_in)


def own_path(text: str) -> str:
    """Return a path of this server with its query, "/" for anything else, such as another server's address."""
    plain = text.isascii() and text.isprintable() and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith(("//", LOGIN, SIGN_ON)) else "/"


def address_of(request: Request) -> str:
    """Return the client's address, "" if it is unknown."""
    return request.client.host if request.client else ""


def _sign_out(request: Request, app_context: AppContext, *, everywhere: bool) -> Response:
    page = SIGNED_OUT if single_sign_on.is_offered(app_context) else LOGIN
    answer = RedirectResponse(page, DONE, headers=_NO_STORE)
    for name in (people.cookie_name(app_context, SESSION), SESSION):
        cookie = request.cookies.get(name, "")
        if people.sign_out(app_context, cookie, address_of(request), everywhere=everywhere):
            answer.delete_cookie(name, httponly=True, samesite="lax")
    return answer


def _signed_out(request: Request, app_context: AppContext) -> str:
    """Return the note for a user who has just signed out here but not at the provider, else ""."""
    if "signed_out" not in request.query_params or not single_sign_on.is_offered(app_context):
        return ""
    try:
        address = single_sign_on.sign_out_address(app_context, f"{_own_address(request)}{LOGIN}")
    except PersonError:
        return ""
    provider = escape(single_sign_on.provider_name(app_context))
    link = f' <a href="{escape(address)}">Sign out at {provider} too</a>' if address else ""
    return f"<p role=status>You have signed out of Outfold, not of {provider}.{link}</p>"


def _with_session(app_context: AppContext, request: Request, answer: Response, signed_in: SignedIn) -> Response:
    name, secure = people.cookie_name(app_context, SESSION), request.url.scheme == "https"
    answer.set_cookie(name, signed_in.cookie, max_age=signed_in.seconds, httponly=True, samesite="lax", secure=secure)
    return answer


def _login_page(
    app_context: AppContext, wanted: str, name: str = "", error: PersonError | None = None, notice: str = ""
) -> Response:
    status = 200 if error is None else TOO_MANY if isinstance(error, SignInRefusedError) else UNAUTHORIZED
    parts = [notice, _alert(error)]
    if single_sign_on.is_offered(app_context):
        place, name_of = f"{SIGN_ON}?next={quote(wanted, safe='')}", single_sign_on.provider_name(app_context)
        parts.append(f'<a class=button href="{escape(place)}">Sign in with {escape(name_of)}</a>')
    if people.has_passwords(app_context):
        parts.append(_password_form(wanted, name))
    elif not single_sign_on.is_offered(app_context):
        parts.append("<p>No user has a password, and no provider of OpenID Connect is named in the settings.</p>")
    return _page("Sign in", "".join(parts), status)


def _password_form(wanted: str, name: str) -> str:
    return (
        f'<form method=post action="{LOGIN}">'
        f'<input type=hidden name=next value="{escape(wanted)}">'
        f'<label for=name>Name</label><input id=name name=name value="{escape(name)}" autocomplete=username required>'
        "<label for=password>Password</label>"
        "<input id=password name=password type=password autocomplete=current-password required>"
        "<button>Sign in</button></form>"
    )


def _account_page(user: User, error: PersonError | None = None) -> Response:
    status = 200 if error is None else TOO_MANY if isinstance(error, SignInRefusedError) else UNAUTHORIZED
    return _page(
        user.name,
        f"<p>You are signed in as <b>{escape(user.name)}</b>, {user.role}. <a href='/'>Back</a></p>{_alert(error)}"
        f'<form method=post action="{SIGN_OUT}"><button>Sign out</button></form>'
        f'<form method=post action="{SIGN_OUT_EVERYWHERE}">'
        "<button class=other>Sign out everywhere</button></form>"
        f"{_change_form() if user.has_password else ''}",
        status,
    )


def _change_form() -> str:
    return (
        f'<form method=post action="{PASSWORD}">'
        "<label for=before>Current password</label>"
        "<input id=before name=before type=password autocomplete=current-password required>"
        "<label for=after>New password</label>"
        f"<input id=after name=after type=password autocomplete=new-password minlength={SHORTEST_PASSWORD} required>"
        "<button class=other>Change password</button></form>"
    )


def _alert(error: PersonError | None) -> str:
    if error is None:
        return ""
    text = str(error)
    return f"<p role=alert>{escape(text[0].upper() + text[1:])}.</p>"


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(
        f'<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f'<title>{escape(title)} - Outfold</title><link rel=icon href="data:,"><style>{_STYLE}</style>'
        f"<main>{_logo()}<h1>{escape(title)}</h1>{body}</main></html>",
        status,
        headers=_NO_STORE,
    )


@cache
def _logo() -> str:
    # As data, since nothing else of the app is answered before the sign-in.
    data = base64.b64encode(LOGO.read_bytes()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" alt="Outfold" height="28">'


async def _read_form(request: Request) -> dict[str, str] | None:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > LARGEST_FORM:
            return None
    return dict(parse_qsl(raw.decode("utf-8", errors="replace"), keep_blank_values=True))


def _answer(handler: Handler, request: Request, form: dict[str, str], opened: Callable[[], AppContext]) -> Response:
    try:
        return handler(request, form, opened())
    except EXPECTED as error:
        answer, status = explain(error)
        return _page("Not done", f"<p role=alert>{escape(answer['error'])}; {escape(answer['cure'])}</p>", status)


def login_path(path: str, query: str) -> str:
    """Return the address of the login page that redirects back to a page."""
    wanted = own_path(f"{path}?{query}" if query else path)
    return LOGIN if wanted == "/" else f"{LOGIN}?next={quote(wanted, safe='')}"
