r"""Cells of foreign tables: the label, the path or the tags that a text means.

Labels: tables write "no label" in many ways, numbers as `1` and `1.0`, and an accented letter as one character or as
two. With `literal`, cells are taken as written, as in datasets that an earlier version imported: their classes keep
their names. Spreadsheets run a cell that begins with one of `=+-@` as a formula, so Outfold's CSV files have an
apostrophe before it, as is usual. `escape_cell` and `unescape_cell` are each other's inverse; numbers stay as they are.

Paths: an existing path is taken as written; else blanks, backslashes and a missing ending are tried. `image_root` is
the folder that holds the images of another machine's paths: the longest existing end of the path counts, so that
`C:\data\cat\1.png` is found as `cat/1.png` below it.

Tags: the classes that an image shows, as `road;car` or a JSON list.
"""

import json
import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote, urlsplit

MISSING = frozenset({"", "nan", "none", "null", "na", "n/a", "#n/a", "<na>"})  # in lower case
_WHOLE = re.compile(r"[+-]?\d+\.0+")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")

ENDINGS = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp", ".bmp", ".tif", ".tiff", ".gif")
_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)

_BETWEEN = ";|,"  # the first of them in a cell separates its names


class SeveralLabelsError(ValueError):
    """A cell names more than one class."""


def label_of(cell: str | None, *, literal: bool) -> str | None:
    """Return the class in a cell, None if there is none.

    Raises:
        SeveralLabelsError: it is a list of several.
    """
    text = (cell or "").strip()
    if literal:
        return text or None
    if text.startswith("[") and text.endswith("]"):
        listed = _parse_list(text)
        if listed is not None and len(listed) > 1:
            raise SeveralLabelsError
        if listed is not None:
            text = "".join(listed).strip()
    if is_missing(text):
        return None
    return compose_letters(text.split(".", 1)[0] if _WHOLE.fullmatch(text) else text)


def is_formula(text: str) -> bool:
    """Return whether spreadsheets run this text as a formula, or show it without its first apostrophe."""
    return _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None


def escape_cell(text: str, *, raw: bool = False) -> str:
    """Return a text as a cell of a CSV file; with `raw` only texts that look escaped are escaped, not formulas."""
    return f"'{text}" if is_formula(text) and not (raw and not text.startswith("'")) else text


def unescape_cell(cell: str) -> str:
    """Return the text of an escaped cell."""
    return cell[1:] if cell.startswith("'") and is_formula(cell) else cell


def is_missing(text: str) -> bool:
    """Return whether this text stands for a missing value."""
    return text.strip().lower() in MISSING


def compose_letters(name: str) -> str:
    """Return a name in Unicode's form NFC: one character per letter where there is one."""
    return unicodedata.normalize("NFC", name)


def spelling_key(name: str) -> str:
    """Return a key that is equal for spellings of one class: without case, blanks, hyphens and underscores.

    Before a digit a hyphen is a sign or a range, unless it follows a letter: -1 is not 1, 1-9 is not 19.
    """
    return re.sub(r"(?<=[^\W\d_])[\s_-]+|[\s_-]+(?!\d)", "", unicodedata.normalize("NFKC", name).strip()).casefold()


def _parse_list(text: str) -> list[str] | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or any(isinstance(value, dict | list) for value in values):
        return None
    return [str(value) for value in values if value is not None]


def is_url(written: str) -> bool:
    """Return whether this is a URL of a network or of a cloud store."""
    return _URL.match(written.strip()) is not None


def plain_path(written: str) -> str:
    """Return a path with `/` between its parts; of a URL the path in it."""
    text = written.strip()
    if is_url(text):
        return unquote(urlsplit(text).path).lstrip("/")
    return text.replace("\\", "/")


class PathFinder:
    """Finds the files that a table names; the last successful ending and folder are tried first."""

    def __init__(self, folder: Path, image_root: str = "") -> None:
        """Look for files in the table's `folder`, and below `image_root` if given."""
        self.folder = folder
        self.image_root = image_root
        self._cut = 0  # parts of another machine's path that lead to the image root
        self._ending = ENDINGS[0]

    def find(self, written: str) -> str:
        """Return the path of a cell's file; if there is no such file, the written path relative to the table."""
        place = os.path.normpath(os.path.join(self.folder, written))  # noqa: PTH118 without following links
        if os.path.lexists(place):
            return place
        tried = [written.strip(), plain_path(written)] if not is_url(written) else []
        for text in tried:
            path = os.path.normpath(os.path.join(self.folder, text))  # noqa: PTH118
            if (found := self._with_ending(path)) is not None:
                return found
        if self.image_root:
            return self._below_root(plain_path(written)) or place
        return place

    def _below_root(self, text: str) -> str | None:
        parts = [part for part in text.split("/") if part not in ("", ".", "..")]
        for cut in dict.fromkeys((min(self._cut, max(len(parts) - 1, 0)), *range(len(parts)))):
            found = self._with_ending(os.path.join(self.image_root, *parts[cut:]))  # noqa: PTH118
            if found is not None:
                self._cut = cut
                return found
        return None

    def _with_ending(self, path: str) -> str | None:
        if os.path.lexists(path):
            return path
        for ending in dict.fromkeys((self._ending, *ENDINGS)):
            if os.path.lexists(path + ending):
                self._ending = ending
                return path + ending
        return None


def split_tags(text: str) -> list[str]:
    """Return the names in a cell, each once, in their order; a list in JSON may hold any name."""
    written = text.strip()
    names: list[str] = []
    if written.startswith("["):
        try:
            listed = json.loads(written)
        except ValueError:
            listed = None
        if isinstance(listed, list):
            names = [str(name).strip() for name in listed]
            return list(dict.fromkeys(name for name in names if name))
    between = next((mark for mark in _BETWEEN if mark in written), ";")
    names = [name.strip() for name in written.split(between)]
    return list(dict.fromkeys(name for name in names if name))


def join_tags(names: list[str]) -> str:
    """Return names as one cell that `split_tags` reads back."""
    plain = ";".join(names)
    return plain if split_tags(plain) == names else json.dumps(names, ensure_ascii=False)
