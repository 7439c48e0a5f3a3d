"""Folders for what a process needs only while it lives; those that a killed one left are removed by a later one.

Each holds a lock as long as its process lives, so that none goes that is in use.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.data.locks import take

CHECK = "check-"  # begins the name of what a check of a folder works in
TRIAL = "trial-"  # of what an estimate of a round's time works in
_LOCK = ".lock"


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder below `parent` that is gone after the block."""
    while True:
        with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            handle = take(folder / _LOCK)
            if handle is None:  # another process took it for abandoned before it was locked
                continue
            try:
                yield folder
            finally:
                os.close(handle)
            return


def remove_abandoned(parent: Path, prefix: str) -> int:
    """Remove the scratch folders whose processes are gone; return how many."""
    removed = 0
    for folder in parent.glob(f"{prefix}*"):
        if not (folder / _LOCK).exists():  # of a release before there were locks, or made at this moment
            continue
        handle = take(folder / _LOCK)
        if handle is None:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)
        removed += 1
    return removed
