"""A finished export takes its place, and a former one there goes only once that is confirmed.

The new folder lies whole beside the target, the former one is renamed away, the new one renamed in, and somebody is
asked whether it is still wanted. Only a yes removes the former one; anything else gives it back. A file beside the
target says as long that this is going on, so that whoever comes after a kill knows whether what has the place was
confirmed: the next export to the same target, or whoever cancels the killed one. Every rename is flushed to the disk.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from core.data.storage import PARTIAL, flush, is_partial_of
from core.types import RoundCancelledError

_DISCARDED = ".discarded"
_REPLACED = ".replaced"
_PLACING = ".placing"


def fresh_folder(target: Path) -> Path:
    """Return where an export waits, whole, for its place."""
    return _beside(target, ".fresh")


def take_place(target: Path, is_wanted: Callable[[], bool]) -> None:
    """Put the whole export that waits beside `target` there, if it is wanted still.

    Raises:
        RoundCancelledError: it is not wanted; what was there before is there again.
    """
    former, placing = _beside(target, _REPLACED), _beside(target, _PLACING)
    placing.touch()
    flush(placing.parent)
    if target.exists():
        _rename(target, former)
    try:
        _rename(fresh_folder(target), target)
        if not is_wanted():
            raise RoundCancelledError("the export was cancelled; nothing of it was left behind")  # noqa: TRY301
    except BaseException:
        _discard(target, target)
        if former.exists():
            _rename(former, target)
        placing.unlink(missing_ok=True)
        raise
    _discard(former, target)
    placing.unlink(missing_ok=True)


def clear_remains(target: Path, *, confirmed: bool) -> None:
    """Remove what a killed export to this target left, and give back a former one that was about to be replaced.

    `confirmed`: whether the killed one was, if it had taken the place already; else it is taken away again.
    """
    if not target.parent.is_dir():
        return
    former, placing = _beside(target, _REPLACED), _beside(target, _PLACING)
    if placing.exists() and not fresh_folder(target).exists() and not confirmed:
        _discard(target, target)
    if former.exists() and not target.exists():
        _rename(former, target)
    placing.unlink(missing_ok=True)
    own = {fresh_folder(target), former, _beside(target, _DISCARDED)}
    for left in target.parent.iterdir():
        is_ours = left in own or is_partial_of(left, target) or is_partial_of(left, fresh_folder(target))
        if is_ours and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def _discard(folder: Path, target: Path) -> None:
    """Remove a folder; at no moment is half of it in its place."""
    if folder.exists():
        discarded = _beside(target, _DISCARDED)
        shutil.rmtree(discarded, ignore_errors=True)
        _rename(folder, discarded)
        shutil.rmtree(discarded, ignore_errors=True)


def _rename(folder: Path, to: Path) -> None:
    folder.rename(to)
    flush(to.parent)


def _beside(target: Path, word: str) -> Path:
    return target.with_name(f".{target.name[:80]}{word}{PARTIAL}")
