"""Annotator's name: kept in a cookie for a year, or the user's with login."""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.components.identity import ACCOUNT
from app.routes.handlers import FORBIDDEN, JsonPost, RequestError, name_in, text
from app.services import annotators
from app.services.app_context import AppContext

A_YEAR = 365 * 24 * 60 * 60  # seconds


def who_am_i(request: Request, _app_context: AppContext) -> dict[str, Any]:
    """Answer the name in the cookie, null without one; with a login it is the signed-in name."""
    return {"name": name_in(request)}


def sign_in(post: JsonPost, app_context: AppContext) -> Response:
    """Store a name in the cookie; refused with login, where the name is the user's."""
    if post.role is not None:
        raise RequestError("your name is the one you signed in with", f"sign out at {ACCOUNT} first", FORBIDDEN)
    name = annotators.sign_in(app_context, text(post.body, "name"))
    answer = JSONResponse({"name": name}, headers={"Cache-Control": "no-store"})
    answer.set_cookie(annotators.COOKIE, quote(name, safe=""), max_age=A_YEAR, samesite="lax", httponly=True)
    return answer
