"""Who sits in front of this browser: the name that the review grid asks for and keeps in a cookie."""

from urllib.parse import unquote

import streamlit as st

from app.services.annotators import AnnotatorError, clean_name

COOKIE = "outfold_name"
NOBODY = "somebody"


def current_name() -> str | None:
    """Return the name in the browser's cookie, None when none was given yet."""
    try:
        return clean_name(unquote(st.context.cookies.get(COOKIE, ""), errors="strict"))
    except (AnnotatorError, UnicodeDecodeError):
        return None


def name_for_record() -> str:
    """Return whom a round or an export is started by."""
    return current_name() or NOBODY
