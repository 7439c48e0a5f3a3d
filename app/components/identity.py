"""Annotator's name, which the review grid asks for and keeps in a cookie; with a login, the user's name and role.

The middleware of `app/access.py` puts both into the request of the websocket, in place of those that a client sent.
"""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.services.annotators import COOKIE, name_in_cookie
from core.types import OutfoldError, Right, Role, forbidden

ANONYMOUS = "anonymous"
_NOT_A_NAME = " "  # of a user without a name, who sees no restricted dataset
ROLE = "X-Outfold-Role"  # header with the role of the user; missing without login
ACCOUNT = "/outfold/account"  # page of the user: sign-out, password
PAGES = {  # by file name, each with the right that it requires
    "home": Right.LOOK,
    "datasets": Right.LEAD,
    "rounds": Right.LEAD,
    "review": Right.LOOK,
    "images": Right.LEAD,
    "tags": Right.LOOK,
    "classes": Right.LEAD,
    "masks": Right.LOOK,
    "insight": Right.LEAD,
    "impact": Right.LEAD,
    "exports": Right.LEAD,
}


class ForbiddenError(OutfoldError):
    """The user's role lacks a right."""


def may(right: Right) -> bool:
    """Return whether the user has a right; without login every user has all rights."""
    role = current_role()
    return role is None or role.may(right)


def may_open(page: str) -> bool:
    """Return whether the user may open a page, by its file as in `pages/review.py`."""
    return may(PAGES[page.removeprefix("pages/").removesuffix(".py")])


def require(right: Right) -> None:
    """Check that the user has a right.

    Raises:
        ForbiddenError: the user's role lacks it.
    """
    role = current_role()
    if role is not None and not role.may(right):
        raise ForbiddenError(*forbidden(role, right))


def current_role() -> Role | None:
    """Return the role of the user, None without login, when every user has all rights."""
    role = st.context.headers.get(ROLE)
    return None if role is None else Role(role)


def current_name() -> str | None:
    """Return the name in the browser's cookie, None without one."""
    return name_in_cookie(st.context.cookies.get(COOKIE, ""))


def current_viewer() -> str | None:
    """Return the name of a user who may be restricted to some datasets, None if everything is visible.

    For `db.visibility`, which calls it in every thread: outside a page's own thread nothing is restricted.
    """
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    role = current_role()
    return None if role is None or role is Role.ADMIN else current_name() or _NOT_A_NAME


def name_for_record() -> str:
    """Return the name that rounds and exports record, "anonymous" without one."""
    return current_name() or ANONYMOUS
