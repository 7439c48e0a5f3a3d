"""Meaning of a label's cell in a table: one spelling for what is missing, for numbers and for letters.

Tables write "no label" in many ways, numbers as `1` and `1.0`, and an accented letter as one character or as two. With
`literal`, cells are taken as written, as in datasets that an earlier version imported: their classes keep their names.

Spreadsheets run a cell that begins with one of `=+-@` as a formula, so Outfold's CSV files have an apostrophe before
it, as is usual. `escaped` and `unescaped` are each other's inverse; numbers stay as they are.
"""

import json
import re
import unicodedata

MISSING = frozenset({"", "nan", "none", "null", "na", "n/a", "#n/a", "<na>"})  # in lower case
_WHOLE = re.compile(r"[+-]?\d+\.0+")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


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


def is_formula(text: str) -> bool:
    """Whether spreadsheets run this text as a formula, or show it without its first apostrophe."""
    return _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None


def escaped(text: str, *, raw: bool = False) -> str:
    """Return the cell of a CSV file for a text; `raw`: formulas stay, and only what looks escaped is escaped."""
    return f"'{text}" if is_formula(text) and not (raw and not text.startswith("'")) else text


def unescaped(cell: str) -> str:
    """Return the text of which this is the escaped cell."""
    return cell[1:] if cell.startswith("'") and is_formula(cell) else cell


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
