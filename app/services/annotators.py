"""Annotators by name: entered once and kept in a cookie; with a login, that of the user (`app/services/people.py`)."""

from datetime import UTC, datetime
from urllib.parse import unquote

from sqlalchemy.exc import IntegrityError

from app.services.app_context import AppContext
from core.types import OutfoldError
from db.queries import decisions

LONGEST_NAME = 80
COOKIE = "outfold_name"  # where a browser keeps the name, percent-encoded


class AnnotatorError(OutfoldError):
    """Invalid name of an annotator."""


def clean_name(text: str) -> str:
    """Return a name without the white space and the invisible characters around and within it.

    Raises:
        AnnotatorError: nothing is left, or more than 80 characters.
    """
    visible = "".join(character if character.isprintable() else " " for character in text)
    name = " ".join(visible.split())
    if not name:
        raise AnnotatorError("the name is empty", "type the name that your verdicts should carry")
    if len(name) > LONGEST_NAME:
        raise AnnotatorError(f"the name has {len(name)} characters", f"use at most {LONGEST_NAME}")
    return name


def name_in_cookie(text: str) -> str | None:
    """Return the name a cookie holds, None when it is not a valid name."""
    try:
        return clean_name(unquote(text, errors="strict"))
    except (AnnotatorError, UnicodeDecodeError):
        return None


def sign_in(app_context: AppContext, text: str) -> str:
    """Remember this annotator and return the name as it is kept."""
    name = clean_name(text)
    try:
        with app_context.database.write() as session:
            decisions.annotator_id(session, name, datetime.now(UTC))
    except IntegrityError:  # the same name was added at the same moment, which is as good
        return name
    return name
