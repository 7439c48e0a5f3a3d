"""Walk through an untrusted folder, with links, loops, odd names and unreadable files.

Links to files inside are read; links that leave the root are refused unless the options allow them.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from core.data.formats.source import Problems, ReadOptions, is_allowed, is_storable
from core.data.images import IMAGE_SUFFIXES
from core.data.storage import is_within
from core.types import Cure

_IGNORED = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def walk(root: Path, options: ReadOptions, problems: Problems) -> Iterator[str]:
    """Yield the paths of all image files below `root`, relative to it, sorted folder by folder.

    Hidden files and those that desktops create are skipped silently; any other file that is not an image, or cannot or
    must not be read, is a problem. Links to folders inside are read at their targets, so no loop is possible.
    """
    visited = {_identity(str(root))}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        names = _names(root, folder, problems)
        below: list[str] = []
        for name in names:
            relative = os.path.join(folder, name)  # noqa: PTH118 Path objects cost a third of the walk
            mode = _mode(root, relative, options, problems)
            if stat.S_ISDIR(mode):
                identity = _identity(os.path.join(root, relative))  # noqa: PTH118
                if identity not in visited:
                    visited.add(identity)
                    below.append(relative)
            elif stat.S_ISREG(mode) and _is_image(relative, problems):
                yield relative
            elif mode and not stat.S_ISREG(mode):
                problems.warn("not an image", relative, "it is not a file but a pipe, socket or device", "nothing")
        waiting.extend(reversed(below))


def folders_in(folder: Path) -> list[str]:
    """Return the visible folders directly in `folder`, sorted; links to folders count."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not is_ignored(entry.name) and entry.is_dir())


def holds_image(folder: Path, entries: int = 2_000) -> bool:
    """Return whether an image is in `folder` or below, among the first `entries` names."""
    for count, (_, _, names) in enumerate(os.walk(folder)):
        if any(is_image_name(name) for name in names):
            return True
        if count + len(names) > entries:
            return False
    return False


def has_images(folder: Path) -> bool:
    """Return whether an image is directly in `folder`."""
    with os.scandir(folder) as entries:
        return any(is_image_name(entry.name) and entry.is_file() for entry in entries)


def is_image_name(name: str) -> bool:
    """Return whether a file of this name is expected to be an image."""
    return not is_ignored(name) and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def is_ignored(name: str) -> bool:
    """Return whether this is a hidden file or one that desktops create."""
    return name.startswith(".") or name.lower() in _IGNORED


def _names(root: Path, folder: str, problems: Problems) -> list[str]:
    try:
        names = sorted(os.listdir(root / folder))  # noqa: PTH208 names, not paths
    except OSError as error:
        problems.error(
            "unreadable folder", folder, f"it cannot be opened: {error.strerror}", "give this user the right to read it"
        )
        return []
    return [name for name in names if not is_ignored(name)]


def _mode(root: Path, relative: str, options: ReadOptions, problems: Problems) -> int:
    """Return the file mode of `relative`, 0 if it is refused."""
    path = os.path.join(root, relative)  # noqa: PTH118
    if not is_storable(relative):
        problems.error("name is not UTF-8", relative, "its name holds bytes that are not text", "rename it")
        return 0
    try:
        mode = os.lstat(path).st_mode
        if not stat.S_ISLNK(mode):
            return mode
        target = os.path.realpath(path)
        mode = os.stat(target).st_mode  # noqa: PTH116
    except OSError as error:
        problems.error("broken link", relative, f"it leads nowhere: {error.strerror}", "mend the link or remove it")
        return 0
    if is_within(target, str(root)):
        if stat.S_ISDIR(mode):
            problems.warn("link to a folder", relative, f"{target} is read at its own place", "nothing, or remove it")
        return 0 if stat.S_ISDIR(mode) else mode
    if not (options.allow_outside_links and is_allowed(target, options)):
        problems.error(
            "link leaves the folder",
            relative,
            f"it leads to {target}",
            f"copy the files into the folder, or follow such links: {Cure.ALLOW_OUTSIDE_LINKS}",
        )
        return 0
    return mode


def _identity(path: str) -> tuple[int, int]:
    facts = os.stat(path)  # noqa: PTH116
    return facts.st_dev, facts.st_ino


def _is_image(relative: str, problems: Problems) -> bool:
    suffix = os.path.splitext(relative)[1]  # noqa: PTH122
    if suffix.lower() in IMAGE_SUFFIXES:
        return True
    what = f"files ending in {suffix} are not read" if suffix else "it has no file ending"
    problems.warn("not an image", relative, what, "nothing, if it is none; else convert it to PNG or JPEG")
    return False
