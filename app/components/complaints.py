"""Errors on a page: the text of an own error with its cure, escaped for Markdown."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from app.services.faults import file_errors
from core.types import OutfoldError

_MARKS = frozenset("\\`*_{}[]()<>#|~:$&")


@contextmanager
def complaints() -> Iterator[None]:
    """Show own errors and faults of the disk instead of raising them."""
    try:
        with file_errors():
            yield
    except OutfoldError as error:
        st.error(plain(str(error)), icon=":material/error:")


def plain(text: str) -> str:
    """Escape a text so that Markdown shows it letter by letter."""
    return "".join(f"\\{letter}" if letter in _MARKS else letter for letter in text)
