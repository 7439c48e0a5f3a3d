"""From a request to a handler and back: bodies, names, errors.

A GET handler takes (request, workspace), a POST handler (asked: `Asked`, workspace); both are plain functions that run
in a thread and return JSON values or a whole `Response`. Handlers raise; this module alone makes answers of errors.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.services.annotators import COOKIE, name_in_cookie
from app.services.faults import fault_of
from app.services.reviews import CountChangedError, NotFoundError, ReviewError, StaleMaskError
from app.services.workspace import Workspace
from core.types import DatasetError, OutfoldError, StorageError

LARGEST_BODY = 1 << 20  # bytes
BAD_REQUEST, NO_NAME, FORBIDDEN, NOT_FOUND, CONFLICT, TOO_LARGE, UNAVAILABLE = 400, 401, 403, 404, 409, 413, 503

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What came with a POST: the JSON object and the annotator's name ("" where none is needed)."""

    body: dict[str, Any]
    name: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What came with a POST of bytes: them, the request's headers and the parts of its path, the annotator's name."""

    data: bytes
    headers: Mapping[str, str]
    path: Mapping[str, Any]
    name: str


class RequestError(Exception):
    """A request that cannot be answered."""

    def __init__(self, error: str, cure: str, status: int = BAD_REQUEST) -> None:
        """Say what is wrong, what to do, and the HTTP status."""
        super().__init__(error)
        self.answer = {"error": error, "cure": cure}
        self.status = status


GetHandler = Callable[[Request, Workspace], Any]
PostHandler = Callable[[Asked, Workspace], Any]
UploadHandler = Callable[[Uploaded, Workspace], Any]


def answer_get(
    opened: Callable[[], Workspace], handler: GetHandler, *, threads: CapacityLimiter | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a GET; `threads` of its own keep a slow one from holding up the others."""

    async def endpoint(request: Request) -> Response:
        return await run_sync(_answered, lambda: handler(request, opened()), limiter=threads)

    return endpoint


def answer_post(
    opened: Callable[[], Workspace], handler: PostHandler, *, named: bool = True
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a POST; `named`: only for somebody with a name."""

    async def endpoint(request: Request) -> Response:
        try:
            asked = await _asked(request, named=named)
        except RequestError as error:
            return _failed(error.answer, error.status)
        return await run_sync(_answered, lambda: handler(asked, opened()))

    return endpoint


def answer_upload(
    opened: Callable[[], Workspace], handler: UploadHandler, largest: int
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a POST of up to `largest` bytes, for somebody with a name."""

    async def endpoint(request: Request) -> Response:
        try:
            name = _who(request, named=True)
            data = await _body(request, largest)
        except RequestError as error:
            return _failed(error.answer, error.status)
        uploaded = Uploaded(bytes(data), request.headers, request.path_params, name)
        return await run_sync(_answered, lambda: handler(uploaded, opened()))

    return endpoint


def name_in(request: Request) -> str | None:
    """Return the annotator's name from the cookie, None when there is none that can be one."""
    return name_in_cookie(request.cookies.get(COOKIE, ""))


def explain(error: Exception) -> tuple[dict[str, Any], int]:
    """Return the JSON values and the HTTP status of a failure."""
    if isinstance(error, RequestError):
        return error.answer, error.status
    if isinstance(error, ReviewError):
        more, status = _about(error)
        return {"error": error.message, "cure": error.cure, **more}, status
    if isinstance(error, OSError):
        log.error("a file could not be read or written", exc_info=error)
        error = fault_of(error) or StorageError("a file could not be read or written; see the server's log")
    if isinstance(error, OutfoldError):  # its text ends with the cure, if it has one
        what, _, cure = str(error).partition("; ")
        if isinstance(error, StorageError):
            return {"error": what, "cure": cure}, UNAVAILABLE  # the browser keeps what it sent and tries again
        if isinstance(error, DatasetError):
            return {"error": what, "cure": cure or "import the dataset again"}, NOT_FOUND
        return {"error": what, "cure": cure or "try something else"}, BAD_REQUEST
    log.error("the database refused", exc_info=error)
    return {"error": "the database did not answer", "cure": "nothing was stored; the browser tries again"}, UNAVAILABLE


def _about(error: ReviewError) -> tuple[dict[str, Any], int]:
    """Return what else to say of a refusal, and its HTTP status."""
    if isinstance(error, CountChangedError):
        return {"count": error.count}, CONFLICT
    if isinstance(error, StaleMaskError):
        return {"version": error.version}, CONFLICT
    return {}, NOT_FOUND if isinstance(error, NotFoundError) else BAD_REQUEST


EXPECTED = (RequestError, OutfoldError, SQLAlchemyError, OSError)


def _answered(handler: Callable[[], Any]) -> Response:
    try:
        answer = handler()
    except EXPECTED as error:
        return _failed(*explain(error))
    if isinstance(answer, Response):
        return answer
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _failed(answer: dict[str, Any], status: int) -> Response:
    return JSONResponse(answer, status, headers={"Cache-Control": "no-store"})


async def _asked(request: Request, *, named: bool) -> Asked:
    name = _who(request, named=named)
    raw = await _body(request, LARGEST_BODY)
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RequestError("the body is no JSON", "send a JSON object in UTF-8") from None
    if not isinstance(body, dict):
        raise RequestError("the body is no JSON object", "send a JSON object")
    return Asked(body, name)


def _who(request: Request, *, named: bool) -> str:
    if request.headers.get("x-outfold") != "1":
        raise RequestError("the header X-Outfold is missing", "send X-Outfold: 1 with every POST", FORBIDDEN)
    name = name_in(request)
    if named and name is None:
        raise RequestError("you have no name yet", "say your name first", NO_NAME)
    return name or ""


async def _body(request: Request, largest: int) -> bytearray:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > largest:
            raise RequestError(f"more than {largest} bytes", "send smaller parts", TOO_LARGE)
    return raw


def _refuse_constant(text: str) -> None:
    raise ValueError(text)
