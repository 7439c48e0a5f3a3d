"""The masks that were read last, kept in memory: an edit is compared with the mask it began from, stroke by stroke.

A file is known by name, size and time of change, so one that was damaged or made anew is read again.
"""

from collections import OrderedDict
from pathlib import Path
from threading import Lock

from core.data.masks.store import MaskStore
from core.types import IntArray

_BUDGET = 64 << 20  # bytes of labels
_kept: OrderedDict[tuple[Path, int, int], IntArray] = OrderedDict()
_lock = Lock()


def read_recent(store: MaskStore, name: str) -> IntArray:
    """Return the mask of this hash, (H, W), read-only.

    Raises:
        DatasetError: it is not there, or its file was damaged.
    """
    key = _key(store, name)
    with _lock:
        found = None if key is None else _kept.get(key)
    return found if found is not None else keep_recent(store, name, store.get(name))


def keep_recent(store: MaskStore, name: str, mask: IntArray) -> IntArray:
    """Keep a mask that was just read or written, and return it, read-only from now on."""
    mask.flags.writeable = False
    key = _key(store, name)
    if key is not None and mask.nbytes <= _BUDGET:
        with _lock:
            _kept[key] = mask
            _kept.move_to_end(key)
            while sum(one.nbytes for one in _kept.values()) > _BUDGET:
                _kept.popitem(last=False)
    return mask


def _key(store: MaskStore, name: str) -> tuple[Path, int, int] | None:
    path = store.path(name)
    try:
        facts = path.stat()
    except OSError:
        return None
    return path, facts.st_size, facts.st_mtime_ns
