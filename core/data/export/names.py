"""Names of folders and files that are valid on every file system, and the class names that they encode.

A class may have any name: `cat/dog`, `CON`, `..`, an emoji, 300 letters. Its folder is the class's own name if that is
valid on Linux, macOS and Windows; else invalid characters are written as %XX. `FolderNames` maps them back and is in
the manifest of every export, so names are never guessed.
"""

import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import PurePath
from typing import Any

FORBIDDEN = frozenset('<>:"/\\|?*%')
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
LONGEST_BYTES = 200  # file systems allow 255; leaves room for what others append
LONGEST_SUFFIX = 12
NO_SPLIT = "_no_split"  # no safe name begins with an underscore
MANIFEST, LABELS, README = "manifest.json", "labels.csv", "README.md"  # beside the folders of an export


@dataclass(frozen=True, slots=True)
class FolderNames:
    """Class or split of each folder, by its name. `splits` is empty if class folders are at the top."""

    classes: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    apart: Mapping[str, str] = field(default_factory=dict)
    splits_apart: Mapping[str, str] = field(default_factory=dict)  # below the folders of images kept apart

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def meaning(self, parts: Sequence[str]) -> tuple[str | None, str] | None:
        """Return (label, split) of a file from its folders, None if they are not of this export."""
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
    """Return a safe folder name for each of these names, distinct also on file systems that ignore case.

    Names whose lower case is in `reserved` have another meaning for readers, so they are written as %XX too.
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
    """Return `name` with characters that are invalid on some file system written as %XX of their UTF-8 bytes."""
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
    """Assigns file names that are distinct within their folder; the first of equal names is kept.

    Later ones get a part of their content's hash.
    """

    def __init__(self) -> None:
        """Start without any names."""
        self._taken: dict[str, set[str]] = {}

    def take(self, folder: str, name: str) -> None:
        """Reserve a name that is in use already."""
        self._taken.setdefault(folder, set()).add(_same_file(name))

    def give(self, folder: str, name: str, content_hash: str) -> str:
        """Return the name to store a file called `name` under in `folder`."""
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
    """Return a key that is equal for names of one file on disks that fold case or normalise unicode."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode(errors="surrogatepass"))


def _digest(name: str) -> str:
    return blake2b(name.encode(errors="surrogatepass"), digest_size=4).hexdigest()
