"""Meaning of a label's cell in a table: one spelling for what is missing, for numbers and for letters.

Tables write "no label" in many ways, numbers as `1` and `1.0`, and an accented letter as one character or as two. With
`literal`, cells are taken as written, as in datasets that an earlier version imported: their classes keep their names.
"""

import json
import re
import unicodedata

MISSING = frozenset({"", "nan", "none", "null", "na", "n/a", "#n/a", "<na>"})  # in lower case
_WHOLE = re.compile(r"[+-]?\d+\.0+")


class SeveralLabelsError(ValueError):
    """A cell names more than one class."""


def label_of(cell: str | None, *, literal: bool) -> str | None:
    """Return the class that a cell names, None for none.

    Raises:
        SeveralLabelsError: it is a list of several.
    """
    text = (cell or "").strip()
    if literal:
        return text or None
    if text.startswith("[") and text.endswith("]"):
        listed = _listed(text)
        if listed is not None and len(listed) > 1:
            raise SeveralLabelsError
        if listed is not None:
            text = "".join(listed).strip()
    if is_missing(text):
        return None
    return spelt(text.split(".", 1)[0] if _WHOLE.fullmatch(text) else text)


def is_missing(text: str) -> bool:
    """Whether this text means that there is no value."""
    return text.strip().lower() in MISSING


def spelt(name: str) -> str:
    """Return a name with each letter as one character where there is one (NFC)."""
    return unicodedata.normalize("NFC", name)


def likely_same(name: str) -> str:
    """Return what spellings of one class have in common: letters without case, blanks, hyphens and underscores."""
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name)).casefold()


def _listed(text: str) -> list[str] | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or any(isinstance(value, dict | list) for value in values):
        return None
    return [str(value) for value in values if value is not None]
