"""Who sits in front of this browser: the name that the review grid asks for and keeps in a cookie."""

import streamlit as st

from app.services.annotators import COOKIE, name_in_cookie

ANONYMOUS = "anonymous"


def current_name() -> str | None:
    """Return the name in the browser's cookie, None when none was given yet."""
    return name_in_cookie(st.context.cookies.get(COOKIE, ""))


def name_for_record() -> str:
    """Return whom a round or an export is started by."""
    return current_name() or ANONYMOUS
