"""Faults of files as sentences: the file, the fault of its disk or permissions, and a cure."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from core.types import StorageError

_FAULTS = {
    errno.ENOSPC: ("the disk is full", "free some space, then try again"),
    errno.EDQUOT: ("the quota of this user is used up", "free some space, then try again"),
    errno.EFBIG: ("the file is larger than this user or disk may write", "raise its limit"),
    errno.EROFS: ("the disk is read-only", "mount it for writing, or use another folder"),
    errno.EACCES: ("permission denied", "give this user the right, or use another folder"),
    errno.EPERM: ("this may not be changed by this user", "give this user the right, or use another folder"),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "use another path"),
    errno.EEXIST: ("it is a file, not a folder", "use another path"),
    errno.EISDIR: ("it is a folder, not a file", "move it away"),
    errno.ENAMETOOLONG: ("the path is too long", "use a shorter one"),
    errno.ELOOP: ("its links lead in a circle", "correct them"),
    errno.EIO: ("the disk cannot be read or written", "check it and its connection"),
    errno.ESTALE: ("the share that it lies on went away", "mount it again"),
    errno.EMFILE: ("this process has too many open files", "raise its limit"),
    errno.ENFILE: ("this machine has too many open files", "end other programs"),
    errno.ENOMEM: ("memory is used up", "end other programs"),
    errno.EAGAIN: ("no process can be started", "end other programs, or raise the limit of processes"),
}


@contextmanager
def file_errors(path: str = "") -> Iterator[None]:
    """Raise faults of disk and permissions as `StorageError`; `path` is meant where the system names none."""
    try:
        yield
    except OSError as error:
        fault = fault_of(error, path)
        if fault is None:
            raise
        raise fault from error


def fault_of(error: OSError, path: str = "") -> StorageError | None:
    """Return the sentence for an error of the system, None for an error of neither disk nor permissions."""
    found = _FAULTS.get(error.errno or 0)
    if found is None:
        return None
    cause, cure = found
    place = error.filename if isinstance(error.filename, str) else path
    return StorageError(f"{place or 'a file of this installation'}: {cause}", cure)
