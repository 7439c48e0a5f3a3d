"""Files and folders within allowed folders, opened by descriptor: no link leads out, whenever it is put there.

A path is resolved once and then walked from its allowed folder down, each part opened within the one before and without
following links (openat with O_NOFOLLOW). Whatever is exchanged for a link after the path was resolved is refused.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from core.data.storage import is_within
from core.types import ConfigError

_SEARCH = getattr(os, "O_PATH", os.O_RDONLY)  # Linux: a folder that may be entered, but not listed, will do
_FOLDER = _SEARCH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not be waited for
_DESCRIPTORS = Path("/proc/self/fd")


def open_within(path: Path, roots: Sequence[str]) -> BufferedReader:
    """Open a file for reading, restricted to these real paths of folders, if there are any.

    Raises:
        ConfigError: it lies outside, or a link was placed in its path meanwhile.
        OSError: it cannot be opened; `FileNotFoundError` if it is missing.
    """
    if not roots:
        return path.open("rb")
    real = os.path.realpath(path)
    with _opened_folder(os.path.dirname(real), path, roots) as folder:  # noqa: PTH120  # text, as realpath gives it
        try:
            descriptor = os.open(os.path.basename(real), _FILE, dir_fd=folder)  # noqa: PTH119
        except OSError as error:
            raise (_outside(path) if error.errno == errno.ELOOP else error) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, "it is not a file", str(path))
    return os.fdopen(descriptor, "rb")


@contextmanager
def held_folder(path: Path, roots: Sequence[str]) -> Iterator[Path]:
    """Yield a path that stays bound to this folder even if its path is replaced; missing folders are created.

    Without allowed folders, or without Linux's /proc for descriptors, it is the path itself.

    Raises:
        ConfigError: it lies outside the allowed folders, or a link was placed in its path meanwhile.
        OSError: a folder cannot be made or opened.
    """
    if not roots or not _DESCRIPTORS.is_dir():
        yield path
        return
    with _opened_folder(os.path.realpath(path), path, roots, make=True) as folder:
        yield _DESCRIPTORS / str(folder)


def real_path_of(held: Path) -> Path:
    """Return the real path of a path from `held_folder`."""
    return held.readlink() if held.parent == _DESCRIPTORS else held


@contextmanager
def _opened_folder(real: str, given: Path, roots: Sequence[str], *, make: bool = False) -> Iterator[int]:
    root = next((one for one in roots if is_within(real, one)), None)
    if root is None:
        raise _outside(given)
    parts = Path(os.path.relpath(real, root)).parts
    if make:
        Path(root).mkdir(parents=True, exist_ok=True)
    folder = os.open(root, _FOLDER)
    try:
        for part in parts:
            folder = _descend(folder, part, given, make=make)
        yield folder
    finally:
        os.close(folder)


def _descend(folder: int, part: str, given: Path, *, make: bool) -> int:
    """Return the descriptor of a folder within another one, which is closed if that succeeds."""
    try:
        if make:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
        below = os.open(part, _FOLDER, dir_fd=folder)
    except OSError as error:
        is_link = error.errno in {errno.ELOOP, errno.ENOTDIR} and _is_link(part, folder)
        raise (_outside(given) if is_link else error) from None
    os.close(folder)
    return below


def _is_link(part: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _outside(path: Path) -> ConfigError:
    return ConfigError(
        f"{path}: lies outside the folders this installation may use",
        "copy it there, or have its folder added to OUTFOLD_ALLOWED_ROOTS",
    )
