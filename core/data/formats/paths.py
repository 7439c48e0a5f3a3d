r"""File that a cell of a table means: beside the table, with blanks, another slash or no ending, or of another machine.

A path that is there is taken as written. `image_root` is the folder that holds the images of another machine's paths:
the longest end of the path that is there counts, so that `C:\data\cat\1.png` is found as `cat/1.png` below it.
"""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

ENDINGS = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp", ".bmp", ".tif", ".tiff", ".gif")
_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(written: str) -> bool:
    """Whether this names something on a network, or in a store of one."""
    return _URL.match(written.strip()) is not None


def plain_path(written: str) -> str:
    """Return a path with `/` between its parts; of a URL the path in it."""
    text = written.strip()
    if is_url(text):
        return unquote(urlsplit(text).path).lstrip("/")
    return text.replace("\\", "/")


class PathFinder:
    """Finds the files that a table names; what is asked for most is remembered from one row to the next."""

    def __init__(self, folder: Path, image_root: str = "") -> None:
        """Look beside the table in `folder`, and below `image_root` where that is given."""
        self.folder = folder
        self.image_root = image_root
        self._cut = 0  # parts of another machine's path that lead to the image root
        self._ending = ENDINGS[0]

    def find(self, written: str) -> str:
        """Return the path that a cell means; where no file is there, the one beside the table as it is written."""
        beside = os.path.normpath(os.path.join(self.folder, written))  # noqa: PTH118 without following links
        if os.path.lexists(beside):
            return beside
        tried = [written.strip(), plain_path(written)] if not is_url(written) else []
        for text in tried:
            path = os.path.normpath(os.path.join(self.folder, text))  # noqa: PTH118
            if (found := self._with_ending(path)) is not None:
                return found
        if self.image_root:
            return self._below_root(plain_path(written)) or beside
        return beside

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
