"""Endpoints around handlers: they read bodies, names and values, and answer errors.

A GET handler takes (request, app_context), a POST handler (post, app_context); both are plain functions that run in a
thread and return JSON values or a whole `Response`. Handlers raise; only this module turns errors into answers.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from app.services import members
from app.services.annotators import COOKIE, name_in_cookie
from app.services.app_context import AppContext
from app.services.faults import fault_of
from app.services.reviews import CountChangedError, DeletedError, NotFoundError, ReviewError, StaleMaskError
from core.types import DatasetError, OutfoldError, Right, Role, StorageError, forbidden
from db.queries.people import User
from db.visibility import seen_by

USER = "outfold_user"  # in the scope of a request: the signed-in user; missing without login
LARGEST_BODY = 1 << 20  # bytes
MOST_ACTS = 200  # in a body
_LONGEST_ID = 18  # digits
BAD_REQUEST, NO_NAME, FORBIDDEN, NOT_FOUND = 400, 401, 403, 404
CONFLICT, GONE, TOO_LARGE, UNAVAILABLE = 409, 410, 413, 503
LARGEST_INT = 2**31 - 1  # the largest id in every database
LONGEST_TEXT = 200
LONGEST_CLIENT = 64
Member = TypeVar("Member", bound=Enum)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JsonPost:
    """Content of a POST: the JSON object, the annotator's name ("" if none is needed), the role of the user.

    The role is None without login, when every user has all rights.
    """

    body: dict[str, Any]
    name: str
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class BytesPost:
    """Content of a POST of bytes: the data, the request's headers and the parts of its path, the annotator's name."""

    data: bytes
    headers: Mapping[str, str]
    path: Mapping[str, Any]
    name: str


class RequestError(Exception):
    """Invalid request."""

    def __init__(self, error: str, cure: str, status: int = BAD_REQUEST) -> None:
        """Keep the error, its cure, and the HTTP status."""
        super().__init__(error)
        self.answer = {"error": error, "cure": cure}
        self.status = status


GetHandler = Callable[[Request, AppContext], Any]
PostHandler = Callable[[JsonPost, AppContext], Any]
UploadHandler = Callable[[BytesPost, AppContext], Any]


def answer_get(
    opened: Callable[[], AppContext],
    handler: GetHandler,
    right: Right | None,
    *,
    threads: CapacityLimiter | None = None,
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a GET that requires a right; its own `threads` keep slow requests from blocking others."""

    def handle(request: Request, app_context: AppContext) -> Any:  # noqa: ANN401  # JSON or a response
        _refuse_hidden(app_context, [request.query_params])
        return handler(request, app_context)

    async def endpoint(request: Request) -> Response:
        try:
            if right is not None:
                require(request.scope, right)
        except RequestError as error:
            return _answer_error(error.answer, error.status)
        with seen_by(_limited(request.scope)):  # which the thread takes over
            return await run_sync(_answer, lambda: handle(request, opened()), limiter=threads)

    return endpoint


def answer_post(
    opened: Callable[[], AppContext], handler: PostHandler, right: Right, *, needs_name: bool = True
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a POST that requires a right; `needs_name`: and the name of an annotator."""

    def handle(post: JsonPost, app_context: AppContext) -> Any:  # noqa: ANN401  # JSON or a response
        _refuse_hidden(app_context, [post.body, *_acts_in(post.body)])
        return handler(post, app_context)

    async def endpoint(request: Request) -> Response:
        try:
            require(request.scope, right)
            post = await _read_post(request, needs_name=needs_name)
        except RequestError as error:
            return _answer_error(error.answer, error.status)
        with seen_by(_limited(request.scope)):
            return await run_sync(_answer, lambda: handle(post, opened()))

    return endpoint


def answer_upload(
    opened: Callable[[], AppContext], handler: UploadHandler, right: Right, largest: int
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a POST of up to `largest` bytes that requires a right and a name."""

    async def endpoint(request: Request) -> Response:
        try:
            require(request.scope, right)
            name = _annotator(request, needs_name=True)
            data = await _read_body(request, largest)
        except RequestError as error:
            return _answer_error(error.answer, error.status)
        post = BytesPost(bytes(data), request.headers, request.path_params, name)
        with seen_by(_limited(request.scope)):
            return await run_sync(_answer, lambda: handler(post, opened()))

    return endpoint


def name_in(request: Request) -> str | None:
    """Return the annotator's name from the cookie, None without a valid one."""
    return name_in_cookie(request.cookies.get(COOKIE, ""))


def role_of(request: Request) -> Role | None:
    """Return the role of the signed-in user, None without login."""
    user: User | None = request.scope.get(USER)
    return None if user is None else user.role


def _refuse_hidden(app_context: AppContext, bodies: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a request that names a dataset or round hidden from its user."""
    for one in bodies:
        numbers = {name: _number(one.get(name)) for name in ("dataset", "round")}
        if any(numbers.values()):
            members.refuse_hidden(app_context, dataset_id=numbers["dataset"], round_id=numbers["round"])


def _acts_in(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    acts = body.get("acts")
    return [one for one in acts if isinstance(one, dict)] if isinstance(acts, list) else []


def _number(value: object) -> int | None:
    """Return the id in a text as routes read it, None for anything else, which they refuse."""
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID else None


def _limited(scope: Scope) -> str | None:
    """Return the name of a user who may be restricted to some datasets, None if everything is visible."""
    user: User | None = scope.get(USER)
    return None if user is None or user.role is Role.ADMIN else user.name


def require(scope: Scope, right: Right) -> None:
    """Check that the user of a request has a right; without login every user has all rights.

    Raises:
        RequestError: the user's role lacks it.
    """
    user: User | None = scope.get(USER)
    if USER in scope and user is None:
        raise RequestError("you are not signed in", "sign in first", NO_NAME)
    if user is not None:
        require_of(user.role, right)


def require_of(role: Role | None, right: Right) -> None:
    """Check that a role has a right; None without login.

    Raises:
        RequestError: it lacks the right.
    """
    if role is not None and not role.may(right):
        raise RequestError(*forbidden(role, right), FORBIDDEN)


def explain(error: Exception) -> tuple[dict[str, Any], int]:
    """Return the JSON values and the HTTP status of a failure."""
    if isinstance(error, RequestError):
        return error.answer, error.status
    if isinstance(error, ReviewError):
        more, status = _refusal_details(error)
        return {"error": error.message, "cure": error.cure, **more}, status
    if isinstance(error, OSError):
        log.error("a file could not be read or written", exc_info=error)
        error = fault_of(error) or StorageError("a file could not be read or written", "see the server's log")
    if isinstance(error, OutfoldError):
        what, cure = error.message, error.cure
        if isinstance(error, StorageError):
            return {"error": what, "cure": cure}, UNAVAILABLE  # the browser keeps the act and sends it again
        if isinstance(error, DatasetError):
            return {"error": what, "cure": cure or "import the dataset again"}, NOT_FOUND
        return {"error": what, "cure": cure or "try something else"}, BAD_REQUEST
    log.error("the database refused", exc_info=error)
    return {"error": "the database did not answer", "cure": "nothing was stored; the browser tries again"}, UNAVAILABLE


def store_acts(post: JsonPost, store: Callable[[dict[str, Any]], dict[str, Any]], names: str) -> dict[str, Any]:
    """Store the acts of a body one by one, in order; a refused one has its error in its place of `results`.

    Args:
        post: its `acts` are objects; its other values hold for each of them.
        store: stores one act.
        names: of an act's values, for the cure.
    """
    acts = post.body.get("acts")
    if not isinstance(acts, list) or not all(isinstance(one, dict) for one in acts) or len(acts) > MOST_ACTS:
        raise RequestError("'acts' is not a list of acts", f"send up to {MOST_ACTS} objects with {names}")
    shared = {name: value for name, value in post.body.items() if name != "acts"}
    results = []
    for one in acts:
        body = {**shared, **one}
        try:
            result = store(body)
        except (RequestError, OutfoldError) as error:
            answer, status = explain(error)
            result = {**answer, "status": status}
        results.append({"seq": body.get("seq"), **result})
    return {"results": results}


def whole(values: Mapping[str, Any], name: str, *, least: int = 0) -> int:
    """Return a whole number of at least `least`, from a number or its digits."""
    value = values.get(name)
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) <= len(str(LARGEST_INT)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST_INT:
        raise RequestError(f"'{name}' is {quoted(value)}", f"send a whole number from {least}")
    return value


def flag(values: Mapping[str, Any], name: str) -> bool:
    """Return a boolean, False by default."""
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise RequestError(f"'{name}' is {quoted(value)}", "send true or false")
    return value


def text(values: Mapping[str, Any], name: str, *, longest: int = LONGEST_TEXT) -> str:
    """Return a text, refusing what cannot be stored."""
    value = values.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value or not _is_utf8(value):
        raise RequestError(f"'{name}' is {quoted(value)}", f"send a text of 1 to {longest} characters")
    return value


def member(kind: type[Member], value: object, name: str) -> Member:
    """Return the member of an enumeration by its value."""
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(str(member.value) for member in kind)
        raise RequestError(f"'{name}' is {quoted(value)}", f"choose from {choices}") from None


def quoted(value: object) -> str:
    """Return a refused value for a message, shortened."""
    return "missing" if value is None else repr(value)[:60]


def _refusal_details(error: ReviewError) -> tuple[dict[str, Any], int]:
    """Return further values of a refusal, and its HTTP status."""
    if isinstance(error, CountChangedError):
        return {"count": error.count}, CONFLICT
    if isinstance(error, DeletedError):
        return {"deleted": True, "images": error.images}, GONE
    if isinstance(error, StaleMaskError):
        return {"version": error.version}, CONFLICT
    return {}, NOT_FOUND if isinstance(error, NotFoundError) else BAD_REQUEST


EXPECTED = (RequestError, OutfoldError, SQLAlchemyError, OSError)


def _answer(handler: Callable[[], Any]) -> Response:
    try:
        answer = handler()
    except EXPECTED as error:
        return _answer_error(*explain(error))
    if isinstance(answer, Response):
        return answer
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _answer_error(answer: dict[str, Any], status: int) -> Response:
    return JSONResponse(answer, status, headers={"Cache-Control": "no-store"})


async def _read_post(request: Request, *, needs_name: bool) -> JsonPost:
    name = _annotator(request, needs_name=needs_name)
    raw = await _read_body(request, LARGEST_BODY)
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RequestError("the body is no JSON", "send a JSON object in UTF-8") from None
    if not isinstance(body, dict):
        raise RequestError("the body is no JSON object", "send a JSON object")
    return JsonPost(body, name, role_of(request))


def _annotator(request: Request, *, needs_name: bool) -> str:
    if request.headers.get("x-outfold") != "1":
        raise RequestError("the header X-Outfold is missing", "send X-Outfold: 1 with every POST", FORBIDDEN)
    name = name_in(request)
    if needs_name and name is None:
        raise RequestError("you have no name yet", "say your name first", NO_NAME)
    return name or ""


async def _read_body(request: Request, largest: int) -> bytearray:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > largest:
            raise RequestError(f"more than {largest} bytes", "send smaller parts", TOO_LARGE)
    return raw


def _refuse_constant(text: str) -> None:
    raise ValueError(text)


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
