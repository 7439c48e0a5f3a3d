"""Masks stored by content: written once and never changed, so that a hash names the same mask for ever.

Each is a grey PNG of 8 or 16 bits that any program can open. IGNORE is the dtype's largest value. The masks read last
stay in memory, since every stroke of an edit is compared with the mask it began from; a file is known by name, size and
time of change, so that a damaged or replaced one is read again.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from core.data.masks.png import read_facts, to_png
from core.data.storage import write_atomically
from core.data.store import publish, store_of
from core.types import DatasetError, IntArray

_NAME = re.compile(r"[0-9a-f]{32}")

_BUDGET = 256 << 20  # bytes of labels: four masks of 8192 x 8192, as an edit of one compares them
_kept: OrderedDict[tuple[Path, int, int], IntArray] = OrderedDict()
_lock = Lock()


def mask_hash(mask: IntArray) -> str:
    """Return 32 hex digits of a mask's content: dtype, shape and pixels."""
    digest = blake2b(f"{mask.dtype.itemsize} {mask.shape[0]} {mask.shape[1]} ".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(mask, dtype=mask.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def classes_in(mask: IntArray) -> list[int]:
    """Return the ids of the classes in a mask, (H, W), ascending."""
    return np.flatnonzero(class_pixels(mask)).tolist()


def class_pixels(mask: IntArray, classes: int = 1) -> IntArray:
    """Return the number of pixels of each class in a mask, (H, W), up to its largest id, and of at least `classes`."""
    counts: IntArray = np.bincount(mask.ravel(), minlength=classes)[: np.iinfo(mask.dtype).max]
    return counts


@dataclass(frozen=True, slots=True)
class MaskStore:
    """A folder of masks, each named by its hash."""

    folder: Path

    def path(self, name: str) -> Path:
        """Return the path of the mask with this hash.

        Raises:
            DatasetError: `name` is not a hash.
        """
        if not _NAME.fullmatch(name):
            raise DatasetError(f"{name[:60]!r} is not a mask", "reload the page")
        return self.folder / name[:2] / f"{name}.png"

    def put(self, mask: IntArray, *, durable: bool = True) -> str:
        """Store a mask, (H, W) uint8 or uint16, and return its hash; an undamaged existing file is kept.

        Not `durable`, it is shared with other homes by `publish` alone.
        """
        name = mask_hash(mask)
        is_new = not self._is_whole(name)
        if is_new:
            write_atomically(self.path(name), to_png(mask), durable=durable)
        if durable:
            self._share(name, is_new=is_new)
        return name

    def publish(self, names: Iterable[str]) -> None:
        """Show masks to the other homes that share these files, before a row names them."""
        publish(map(self.path, names))

    def put_edited(self, mask: IntArray, base: str, rows: tuple[int, int]) -> str:
        """Store a mask that differs from that of the hash `base` within these rows only, and return its hash.

        Other rows are copied from the base's file, so little is compressed.

        Raises:
            DatasetError: `base` is missing, or its file was damaged.
        """
        name = mask_hash(mask)
        is_new = not self._is_whole(name)
        if is_new:
            try:
                data = to_png(mask, self._fetched(base).read_bytes(), rows)
            except (OSError, ValueError) as error:
                raise _unreadable(base, error) from error
            write_atomically(self.path(name), data)
        self._share(name, is_new=is_new)
        return name

    def data(self, name: str, shape: tuple[int, int], itemsize: int) -> bytes | None:
        """Return the file of the mask with this hash; None if it has another shape, (H, W), or bytes per label.

        Raises:
            DatasetError: it is missing, or its file was damaged.
        """
        try:
            png = self._fetched(name).read_bytes()
            facts = read_facts(png)
        except (OSError, ValueError) as error:
            raise _unreadable(name, error) from error
        return png if facts == (*shape, itemsize) else None

    def get(self, name: str) -> IntArray:
        """Return the mask with this hash, (H, W) uint8 or uint16.

        Raises:
            DatasetError: it is missing, or its file was damaged.
        """
        try:
            return _read(self._fetched(name))
        except (OSError, ValueError) as error:
            raise _unreadable(name, error) from error

    def _fetched(self, name: str) -> Path:
        """Return where the mask can be read, fetched if other homes share it and it is missing here."""
        path = self.path(name)
        store = store_of(path)
        return path if store is None else store.local(path)

    def _share(self, name: str, *, is_new: bool) -> None:
        path = self.path(name)
        store = store_of(path)
        if store is not None:
            store.publish_one(path, is_new=is_new)

    def _is_whole(self, name: str) -> bool:
        """Return whether the mask lies here and is undamaged, for example by a power cut during its write."""
        try:
            return mask_hash(_read(self.path(name))) == name
        except (OSError, ValueError):
            return False


def _read(path: Path) -> IntArray:
    with Image.open(path) as image:
        wide = image.mode.startswith("I")
        mask: IntArray = np.asarray(image).astype(np.uint16 if wide else np.uint8)
    return mask


def _unreadable(name: str, error: Exception) -> DatasetError:
    return DatasetError(f"the mask {name} cannot be read ({error})", "import the dataset again")


def read_recent(store: MaskStore, name: str) -> IntArray:
    """Return the mask with this hash, (H, W), read-only, from memory if it was read lately.

    Raises:
        DatasetError: it is missing, or its file was damaged.
    """
    key = _key(store, name)
    with _lock:
        found = None if key is None else _kept.get(key)
    return found if found is not None else keep_recent(store, name, store.get(name))


def keep_recent(store: MaskStore, name: str, mask: IntArray) -> IntArray:
    """Keep a mask just read or written in memory, and return it, read-only from now on."""
    mask.flags.writeable = False
    key = _key(store, name)
    if key is not None and mask.nbytes <= _BUDGET:
        with _lock:
            _kept[key] = mask
            _kept.move_to_end(key)
            while sum(one.nbytes for one in _kept.values()) > _BUDGET:
                _kept.popitem(last=False)
    return mask


def is_recent(store: MaskStore, name: str) -> bool:
    """Return whether the mask with this hash is in memory and its file is unchanged."""
    key = _key(store, name)
    with _lock:
        return key in _kept


def _key(store: MaskStore, name: str) -> tuple[Path, int, int] | None:
    path = store.path(name)
    try:
        facts = path.stat()
    except OSError:
        return None
    return path, facts.st_size, facts.st_mtime_ns
