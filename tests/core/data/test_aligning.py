"""Two snapshots of one dataset, row by row."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.aligning import aligned, rows_of
from core.data.snapshot import Masks, Snapshot
from core.types import NO_LABEL, RoundError


def snapshot(ids: list[int], labels: list[int], *, masks: bool = False) -> Snapshot:
    """Return samples whose paths, groups, contents and sizes follow from their ids."""
    kept = Masks([f"mask {one}" for one in labels], [""] * len(ids), np.array([(one, 2 * one) for one in ids]))
    columns = ([f"{what} {one}" for one in ids] for what in ("path", "group", "content"))
    paths, groups, contents = columns
    numbers = np.array(labels, np.int32)
    return Snapshot(np.array(ids), paths, numbers, groups, contents, ["a", "b", "c"], kept if masks else None)


def test_by_hand() -> None:
    before, after = aligned(snapshot([4, 1, 7], [0, 1, 2]), snapshot([1, 9, 4], [1, 0, 2]))
    assert before.sample_ids.tolist() == after.sample_ids.tolist() == [1, 4, 7, 9]
    assert before.labels.tolist() == [1, 0, 2, NO_LABEL]
    assert after.labels.tolist() == [1, 2, NO_LABEL, 0]
    assert before.paths == after.paths == ["path 1", "path 4", "path 7", "path 9"]
    assert before.groups == after.groups == ["group 1", "group 4", "group 7", "group 9"]
    assert rows_of(before, np.array([9, 4, 5])).tolist() == [1, 3]


def test_masks_come_along_and_what_is_not_there_has_none() -> None:
    before, after = aligned(snapshot([4, 1], [0, 1], masks=True), snapshot([1, 9], [2, 0], masks=True))
    assert before.masks.labels == ["mask 1", "mask 0", ""]
    assert after.masks.labels == ["mask 2", "", "mask 0"]
    assert before.masks.sizes.tolist() == after.masks.sizes.tolist() == [[1, 2], [4, 8], [9, 18]]


@given(st.sets(st.integers(0, 30), min_size=1), st.sets(st.integers(0, 30), min_size=1), st.randoms())
def test_every_label_stays_with_its_sample(first: set[int], second: set[int], random: Random) -> None:
    sides = [random.sample(sorted(ids), len(ids)) for ids in (first, second)]
    both = aligned(*(snapshot(ids, [one % 3 for one in ids]) for ids in sides))
    for ids, found in zip(sides, both, strict=True):
        expected = {one: one % 3 if one in ids else NO_LABEL for one in first | second}
        assert dict(zip(found.sample_ids.tolist(), found.labels.tolist(), strict=True)) == expected
        assert found.content_hashes == [f"content {one}" for one in sorted(first | second)]


def test_a_snapshot_with_itself_is_itself_in_order() -> None:
    before, after = aligned(snapshot([4, 1, 7], [0, 1, 2]), snapshot([4, 1, 7], [0, 1, 2]))
    assert before.hash == after.hash == snapshot([1, 4, 7], [1, 0, 2]).hash


def test_a_class_that_was_added_is_known_to_both() -> None:
    longer = replace(snapshot([1], [0]), classes=["a", "b", "c", "d"])
    before, after = aligned(snapshot([1], [0]), longer)
    assert before.classes == after.classes == ["a", "b", "c", "d"]


def test_what_does_not_belong_together_is_refused_with_a_cure() -> None:
    one = snapshot([1, 2], [0, 1])
    with pytest.raises(RoundError, match="different classes; take both of the same dataset"):
        aligned(one, replace(one, classes=["a", "c", "b"]))
    with pytest.raises(RoundError, match="path 2: the image was changed between the two snapshots; take both anew"):
        aligned(one, replace(one, content_hashes=["content 1", "another"]))
    with pytest.raises(RoundError, match="one snapshot has masks, the other labels"):
        aligned(one, snapshot([1, 2], [0, 1], masks=True))
