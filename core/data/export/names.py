"""Names for folders and files that every disk takes, and the way back to what was meant.

A class may be called anything: `cat/dog`, `CON`, `..`, an emoji, 300 letters. Its folder is the class's own name
wherever that works on Linux, macOS and Windows; else its odd characters are written as %XX. `Layout` keeps the map,
which every export carries in its manifest, so names are never guessed back.
"""

import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import PurePath
from typing import Any

FORBIDDEN = frozenset('<>:"/\\|?*%')
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
LONGEST_BYTES = 200  # a file system takes 255; leave room for what others append
LONGEST_SUFFIX = 12
NO_SPLIT = "_no_split"  # no safe name begins with an underscore
MANIFEST, LABELS, README = "manifest.json", "labels.csv", "README.md"  # beside the folders of an export


@dataclass(frozen=True, slots=True)
class Layout:
    """What each folder means, by its name. `splits` is empty when classes lie at the top."""

    classes: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    apart: Mapping[str, str] = field(default_factory=dict)
    splits_apart: Mapping[str, str] = field(default_factory=dict)  # below the folders of what stands apart

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def meaning(self, parts: Sequence[str]) -> tuple[str | None, str] | None:
        """Return (label, split) of a file from the folders it lies in, None if it lies where nothing was written."""
        folders = list(parts)
        label: str | None = None
        is_apart = bool(folders) and folders[0] in self.apart
        if is_apart:
            folders.pop(0)
            if not folders:
                return None, ""
            if len(folders) == 1 and folders[0] in self.splits_apart:
                return None, self.splits_apart[folders[0]]
        split = ""
        if self.splits:
            if not folders or folders[0] not in self.splits:
                return None
            split = self.splits[folders.pop(0)]
        if not is_apart:
            if not folders or folders[0] not in self.classes:
                return None
            label = self.classes[folders.pop(0)]
        return None if folders else (label, split)


def folder_names(names: Iterable[str], reserved: Container[str] = ()) -> dict[str, str]:
    """Return a folder name for each of these names: safe, distinct also where upper and lower case are one.

    Names whose lower case is in `reserved` mean something else to readers, so they are written as %XX too.
    """
    chosen: dict[str, str] = {}
    taken = {_same_file(name) for name in (MANIFEST, LABELS, README)}
    for name in names:
        if name in chosen:
            continue
        safe = safe_name(name)
        if safe.casefold() in reserved:
            safe = _percent(safe[0]) + safe[1:]
        folder, attempt = safe, 1
        while _same_file(folder) in taken:
            attempt += 1
            folder = f"{safe}~{attempt}"
        taken.add(_same_file(folder))
        chosen[name] = folder
    return chosen


def safe_name(name: str) -> str:
    """Return `name` with what some disk refuses written as %XX of its UTF-8 bytes."""
    last = len(name) - 1
    stem = name.split(".", 1)[0].rstrip().casefold()
    safe = "".join(
        _percent(letter)
        if letter in FORBIDDEN
        or not letter.isprintable()
        or (at == 0 and (letter in "._ ~" or stem in RESERVED))
        or (at == last and letter in ". ")
        else letter
        for at, letter in enumerate(name)
    )
    if not safe:
        return "%"
    encoded = safe.encode()
    if len(encoded) <= LONGEST_BYTES:
        return safe
    cut = encoded[: LONGEST_BYTES - 20].decode(errors="ignore")
    return f"{cut}~{_digest(name)}"


class FileNames:
    """Hands out file names that are distinct within their folder; the first comer keeps its own.

    Later ones of the same name get a piece of their content's hash, so which is which can be seen.
    """

    def __init__(self) -> None:
        """Begin with empty folders."""
        self._taken: dict[str, set[str]] = {}

    def take(self, folder: str, name: str) -> None:
        """Note a name that is in use already."""
        self._taken.setdefault(folder, set()).add(_same_file(name))

    def give(self, folder: str, name: str, content_hash: str) -> str:
        """Return the name under which a file called `name` is stored in `folder`."""
        taken = self._taken.setdefault(folder, set())
        path = PurePath(name)
        suffix = path.suffix if path.suffix[1:].isalnum() and len(path.suffix) <= LONGEST_SUFFIX else ""
        stem = safe_name(path.name.removesuffix(suffix))
        given = stem + suffix
        attempt = 1
        while _same_file(given) in taken:
            number = f"-{attempt}" if attempt > 1 else ""
            given = f"{stem}-{content_hash[:8]}{number}{suffix}"
            attempt += 1
        taken.add(_same_file(given))
        return given


def _same_file(name: str) -> str:
    """Return what two names share that are one file on a disk that folds case or normalises unicode."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode(errors="surrogatepass"))


def _digest(name: str) -> str:
    return blake2b(name.encode(errors="surrogatepass"), digest_size=4).hexdigest()
