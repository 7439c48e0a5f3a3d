from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot, SnapshotMasks
from core.judge.label_changes import label_changes
from core.types import NO_LABEL, RoundCancelledError, RoundError

CLASSES = ["cat", "dog", "cow"]


def labelled(labels: dict[int, int]) -> Snapshot:
    ids = np.array(list(labels))
    names = [f"{number}" for number in ids]
    return Snapshot(ids, names, np.array(list(labels.values()), np.int32), [""] * len(ids), names, CLASSES)


def test_changed_labels_are_counted_by_pair_largest_first() -> None:
    before = labelled({1: 0, 2: 0, 3: 1, 4: NO_LABEL, 5: 2, 6: 1})
    after = labelled({2: 1, 1: 1, 3: 1, 4: 2, 6: NO_LABEL, 7: 0})
    found = label_changes(before, after)
    assert (found.images, found.changed, found.new, found.left_out) == (5, 4, 1, 1)
    assert found.pairs[0] == (0, 1, 2)
    assert set(found.pairs[1:]) == {(NO_LABEL, 2, 1), (1, NO_LABEL, 1)}
    assert (found.pixels, found.pixels_changed) == (None, None)


def test_a_snapshot_compared_with_itself_has_no_changes() -> None:
    same = labelled({1: 0, 2: 1})
    found = label_changes(same, same)
    assert (found.images, found.changed, found.new, found.left_out, found.pairs) == (2, 0, 0, 0, [])


def test_comparing_in_reverse_reverses_the_pairs() -> None:
    rng = np.random.default_rng(0)
    first, second = (labelled(dict(enumerate(rng.integers(-1, 3, 200).tolist(), start=1))) for _ in range(2))
    there, back = label_changes(first, second), label_changes(second, first)
    assert there.changed == back.changed == sum(count for *_, count in there.pairs)
    assert {(b, a, count) for a, b, count in there.pairs} == set(back.pairs)


def test_classes_added_later_are_handled() -> None:
    before = replace(labelled({1: 0, 2: 1}), classes=CLASSES[:2])
    assert label_changes(before, labelled({1: 2, 2: 1})).pairs == [(0, 2, 1)]


def test_snapshots_of_two_datasets_are_refused() -> None:
    with pytest.raises(RoundError, match="different classes"):
        label_changes(replace(labelled({1: 0}), classes=["x", "y"]), labelled({1: 0}))


def masked(store: MaskStore, *masks: np.ndarray | None) -> Snapshot:
    count = len(masks)
    names = ["" if mask is None else store.put(mask) for mask in masks]
    sizes = np.array([(4, 6)] * count, np.int32)
    plain = labelled(dict.fromkeys(range(1, count + 1), 0))
    return replace(plain, masks=SnapshotMasks(names, [""] * count, sizes))


def test_masks_are_counted_in_images_and_pixels(tmp_path: Path) -> None:
    store = MaskStore(tmp_path)
    plain = np.zeros((4, 6), np.uint8)
    painted = plain.copy()
    painted[0] = 1
    painted[1, :2] = 255
    found = label_changes(masked(store, plain, plain, None, None), masked(store, painted, plain, plain, None), store)
    assert (found.images, found.changed) == (4, 2)
    assert found.pixels == 3 * 24
    assert found.pairs == [(NO_LABEL, 0, 24), (0, 1, 6), (0, NO_LABEL, 2)]
    assert found.pixels_changed == 32


def test_masks_widened_to_16_bits_count_as_unchanged(tmp_path: Path) -> None:
    store = MaskStore(tmp_path)
    narrow = np.array([[0, 1, 255, 0, 0, 0]] * 4, np.uint8)
    wide = narrow.astype(np.uint16)
    wide[narrow == 255] = 65_535
    many = [f"class {number}" for number in range(300)]
    before = replace(masked(store, narrow), classes=many)
    assert label_changes(before, replace(masked(store, wide), classes=many), store).changed == 0


def test_counting_stops_on_cancel(tmp_path: Path) -> None:
    store = MaskStore(tmp_path)
    first, second = (masked(store, np.full((4, 6), label, np.uint8)) for label in (0, 1))
    with pytest.raises(RoundCancelledError):
        label_changes(first, second, store, lambda: True)
