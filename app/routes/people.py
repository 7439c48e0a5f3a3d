"""Who am I: a name asked once and kept in a cookie for a year. A login comes later."""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.routes.answering import Asked, name_in
from app.routes.wire import text
from app.services import annotators
from app.services.workspace import Workspace

A_YEAR = 365 * 24 * 60 * 60  # seconds


def who_am_i(request: Request, _workspace: Workspace) -> dict[str, Any]:
    """Answer the name in the cookie, null when there is none."""
    return {"name": name_in(request)}


def sign_in(asked: Asked, workspace: Workspace) -> Response:
    """Keep a name."""
    name = annotators.sign_in(workspace, text(asked.body, "name"))
    answer = JSONResponse({"name": name}, headers={"Cache-Control": "no-store"})
    answer.set_cookie(annotators.COOKIE, quote(name, safe=""), max_age=A_YEAR, samesite="lax", httponly=True)
    return answer
