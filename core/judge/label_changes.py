"""Differences between the labels of two snapshots of one dataset, counted by class pair; of masks in pixels.

A class pair is (before, after, count), the largest first; `NO_LABEL` is not a label, or unlabelled pixels.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.data.arrays import read_mask
from core.data.children import cores
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot, align, masks_of
from core.types import NO_LABEL, IntArray, RoundCancelledError, RoundError, Task, ignore_of

_PAIRS = 100  # at most
_AT_ONCE = 64  # images between two calls of should_stop
ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChanges:
    """Changes from one snapshot to another. `images` are in both, `changed` of them with another label."""

    images: int
    changed: int
    new: int  # images that only the later one has
    left_out: int  # images that only the earlier one has: excluded, ambiguous or gone
    pairs: list[tuple[int, int, int]]  # in images, or in pixels of masks
    pixels: int | None = None  # of masks: those of the images in both that have a mask in either
    pixels_changed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def label_changes(
    before: Snapshot, after: Snapshot, store: MaskStore | None = None, should_stop: ShouldStop = lambda: False
) -> LabelChanges:
    """Return the changes between two snapshots; `store` is the store of masks, if labels are masks.

    Raises:
        RoundError: the snapshots are not of one dataset, or its images were changed in between.
        DatasetError: a mask cannot be read any more.
        RoundCancelledError: `should_stop` returned true.
    """
    both = np.intersect1d(before.sample_ids, after.sample_ids)
    earlier, later = align(before, after)
    rows = np.flatnonzero(np.isin(later.sample_ids, both))
    changed, pairs, counted = _COUNTS[after.task](earlier, later, rows, store, should_stop)
    return LabelChanges(
        images=len(both),
        changed=changed,
        new=len(after) - len(both),
        left_out=len(before) - len(both),
        pairs=[(first, second, count) for (first, second), count in pairs.most_common(_PAIRS)],
        pixels=counted,
        pixels_changed=None if counted is None else pairs.total(),
    )


_Pairs = Counter[tuple[int, int]]
_Counted = tuple[int, _Pairs, int | None]  # changed images, pairs, pixels


def _count_labels(
    before: Snapshot, after: Snapshot, rows: IntArray, _store: MaskStore | None, _should_stop: ShouldStop
) -> _Counted:
    first, second = before.labels[rows].astype(np.int64), after.labels[rows].astype(np.int64)
    differing = first != second
    pairs = Counter(zip(first[differing].tolist(), second[differing].tolist(), strict=True))
    return int(differing.sum()), pairs, None


def _count_masks(
    before: Snapshot, after: Snapshot, rows: IntArray, store: MaskStore | None, should_stop: ShouldStop
) -> _Counted:
    """Count the pixels of masks; only those whose names differ are read."""
    if store is None:
        raise RoundError("these labels are masks", "name the folder of their store")
    names = masks_of(before).labels, masks_of(after).labels
    sizes, classes = masks_of(after).sizes, len(after.classes)

    def look(row: int) -> _Pairs:
        height, width = sizes[row].tolist()
        first, second = (read_mask(store, own[row], height, width, classes) for own in names)
        return _pixel_pairs(first, second, classes)

    labelled = [row for row in rows.tolist() if any(own[row] for own in names)]
    others = [row for row in labelled if names[0][row] != names[1][row]]
    changed, pairs = 0, Counter[tuple[int, int]]()
    for own in _in_threads(look, others, should_stop):
        changed += bool(own)
        pairs += own
    return changed, pairs, int(sizes[labelled].astype(np.int64).prod(axis=1).sum())


def _in_threads(look: Callable[[int], _Pairs], rows: list[int], should_stop: ShouldStop) -> Iterator[_Pairs]:
    with ThreadPoolExecutor(cores()) as threads:
        for start in range(0, len(rows), _AT_ONCE):
            if should_stop():
                raise RoundCancelledError("stopped while comparing labels")
            yield from threads.map(look, rows[start : start + _AT_ONCE])


def _pixel_pairs(first: IntArray, second: IntArray, classes: int) -> _Pairs:
    """Return the number of differing pixels by pair of classes; both masks are (H, W)."""
    ignore, wide = ignore_of(first), classes + 1
    differing = first != second
    codes = [np.where(mask[differing] == ignore, classes, mask[differing]).astype(np.int64) for mask in (first, second)]
    counts = np.bincount(codes[0] * wide + codes[1], minlength=wide * wide)
    return Counter({_class_pair(code, wide): int(counts[code]) for code in np.flatnonzero(counts).tolist()})


def _class_pair(code: int, wide: int) -> tuple[int, int]:
    first, second = (NO_LABEL if label == wide - 1 else label for label in divmod(code, wide))
    return first, second


_COUNTS: Mapping[Task, Callable[[Snapshot, Snapshot, IntArray, MaskStore | None, ShouldStop], _Counted]] = {
    Task.CLASSIFICATION: _count_labels,
    Task.SEGMENTATION: _count_masks,
}
