from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from core.data.snapshot import Snapshot, SnapshotMasks, align, masks_of, rows_of, whole_groups
from core.data.texts import Texts
from core.types import NO_LABEL, DatasetError, RoundError


def small() -> Snapshot:
    return Snapshot(
        sample_ids=np.array([5, 9, 2, 7, 8]),
        paths=["/a b/ü.png", "/line\nbreak.png", "/\udcff.png", "/d.png", "/e.png"],
        labels=np.array([0, 1, NO_LABEL, 1, 0]),
        groups=["", "g", "g", "", ""],
        content_hashes=["aa", "bb", "cc", "bb", ""],
        classes=["cat", "dög"],
    )


def test_a_snapshot_with_odd_names_survives_saving_and_loading(tmp_path: Path) -> None:
    digest = small().save(tmp_path)
    loaded = Snapshot.load(tmp_path)
    assert loaded.paths == small().paths
    assert loaded.groups == small().groups
    assert loaded.content_hashes == small().content_hashes
    assert loaded.classes == small().classes
    np.testing.assert_array_equal(loaded.labels, small().labels)
    np.testing.assert_array_equal(loaded.sample_ids, small().sample_ids)
    assert loaded.hash == digest == small().hash
    assert len(digest) == 32


def full() -> Snapshot:
    """Return a snapshot with all columns but a window."""
    sizes = np.array([(one, 2 * one) for one in range(1, 6)])
    masks = SnapshotMasks(["m", "", "n", "m", "o"], ["", "s", "", "", ""], sizes, np.arange(5) == 1)
    return replace(small(), masks=masks, tags=np.eye(5, 2, dtype=np.bool_), protected=np.arange(5) == 2)


def test_the_hash_equals_that_of_former_releases(tmp_path: Path) -> None:
    """They stand in the rounds' rows: a round can go on only while its snapshot has the hash that it had."""
    assert small().hash == "58befd6b78c0f6250a14469a396cddf0"
    assert full().save(tmp_path) == "a9080bfb1a1c67d2869afc04c5421071"
    assert Snapshot.load(tmp_path).hash == full().hash


def test_text_columns_are_memory_mapped_and_survive_replacement_of_the_file(tmp_path: Path) -> None:
    small().save(tmp_path)
    loaded = Snapshot.load(tmp_path)
    for column in (loaded.paths, loaded.groups, loaded.content_hashes):
        assert isinstance(column, Texts)
        assert isinstance(column.data, np.memmap)
    replace(small(), paths=["/elsewhere"] * 5).save(tmp_path)
    assert loaded.paths == small().paths
    assert Snapshot.load(tmp_path).paths == ["/elsewhere"] * 5


def test_a_snapshot_without_samples_is_saved_and_loaded(tmp_path: Path) -> None:
    empty = Snapshot(np.zeros(0, np.int64), [], np.zeros(0, np.int32), [], [], ["cat"])
    assert empty.save(tmp_path) == empty.hash == Snapshot.load(tmp_path).hash
    assert len(Snapshot.load(tmp_path)) == len(Snapshot.load(tmp_path).paths) == len(empty.whole_groups()) == 0
    assert [len(one) for one in align(empty, small())] == [5, 5]


@given(st.lists(st.tuples(st.sampled_from(["", "g", "h"]), st.sampled_from(["", "a", "b", "c", "d"])), max_size=12))
def test_groups_are_numbered_by_their_first_sample(columns: list[tuple[str, str]]) -> None:
    """The numbers decide how folds are dealt, so they are a part of what reproduces a round."""
    groups, contents = [group for group, _ in columns], [content for _, content in columns]
    numbers = whole_groups(groups, contents).tolist()
    assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers))))
    for row, other in combinations(range(len(columns)), 2):
        joined = any(one[row] == one[other] != "" for one in (groups, contents))
        assert not joined or numbers[row] == numbers[other]
    apart = [row for row, column in enumerate(columns) if not any(column)]
    assert len({numbers[row] for row in apart}) == len(apart)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": np.array([0, 1, NO_LABEL, 1, 1])},
        {"sample_ids": np.array([5, 9, 2, 7, 1])},
        {"groups": ["", "g", "", "g", ""]},
        {"content_hashes": ["aa", "bb", "cc", "bb", "dd"]},
        {"classes": ["cat", "cow"]},
    ],
)
def test_the_hash_changes_with_everything_that_decides_the_outcome(change: dict[str, Any]) -> None:
    assert replace(small(), **change).hash != small().hash


def test_protected_images_and_their_groups_and_copies_are_not_trained_on(tmp_path: Path) -> None:
    protected = replace(small(), protected=np.array([False, False, True, False, False]))
    assert small().learnable.all()
    assert protected.learnable.tolist() == [True, False, False, False, True], (
        "9 is of its group, 7 of that one's content"
    )
    assert protected.save(tmp_path) == protected.hash != small().hash
    loaded = Snapshot.load(tmp_path)
    assert loaded.hash == protected.hash
    np.testing.assert_array_equal(loaded.protected, protected.protected)


def test_the_hash_without_protected_images_is_that_of_former_releases(tmp_path: Path) -> None:
    assert replace(small(), protected=np.zeros(5, np.bool_)).hash == small().hash
    small().save(tmp_path)
    assert Snapshot.load(tmp_path).protected is None


def test_a_moved_dataset_keeps_its_hash() -> None:
    assert replace(small(), paths=["/elsewhere"] * 5).hash == small().hash


def test_group_and_equal_content_join_samples_also_by_a_chain() -> None:
    groups = small().whole_groups()  # 9 and 2 by group, 9 and 7 by content
    assert groups[1] == groups[2] == groups[3]
    assert len(np.unique(groups)) == 3


def test_inconsistent_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="columns"):
        replace(small(), paths=[])
    with pytest.raises(ValueError, match="twice"):
        replace(small(), sample_ids=np.array([5, 5, 2, 7, 8]))
    with pytest.raises(ValueError, match="outside"):
        replace(small(), labels=np.array([0, 2, 0, 0, 0]))


def test_a_folder_without_a_snapshot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RoundError, match="start the round again"):
        Snapshot.load(tmp_path)


def test_tags_are_kept_and_change_the_hash_only_if_there_are_any(tmp_path: Path) -> None:
    plain = small()
    assert plain.tags is None
    tags = np.zeros((5, 2), np.bool_)
    tags[1, 0] = True
    tagged = replace(plain, tags=tags)
    digest = tagged.save(tmp_path)
    assert digest != plain.hash
    assert replace(plain, tags=np.roll(tags, 1, axis=0)).hash != digest
    loaded = Snapshot.load(tmp_path)
    np.testing.assert_array_equal(loaded.tags, tags)
    assert loaded.hash == digest
    plain.save(tmp_path / "plain")
    assert Snapshot.load(tmp_path / "plain").tags is None
    with pytest.raises(ValueError, match="samples x classes"):
        replace(plain, tags=tags[:, :1])


def snapshot(ids: list[int], labels: list[int], *, masks: bool = False) -> Snapshot:
    """Return samples whose paths, groups, contents and sizes follow from their ids."""
    kept = SnapshotMasks([f"mask {one}" for one in labels], [""] * len(ids), np.array([(one, 2 * one) for one in ids]))
    columns = ([f"{what} {one}" for one in ids] for what in ("path", "group", "content"))
    paths, groups, contents = columns
    numbers = np.array(labels, np.int32)
    return Snapshot(np.array(ids), paths, numbers, groups, contents, ["a", "b", "c"], kept if masks else None)


def test_snapshots_are_aligned_by_sample_in_a_hand_made_example() -> None:
    before, after = align(snapshot([4, 1, 7], [0, 1, 2]), snapshot([1, 9, 4], [1, 0, 2]))
    assert before.sample_ids.tolist() == after.sample_ids.tolist() == [1, 4, 7, 9]
    assert before.labels.tolist() == [1, 0, 2, NO_LABEL]
    assert after.labels.tolist() == [1, 2, NO_LABEL, 0]
    assert before.paths == after.paths == ["path 1", "path 4", "path 7", "path 9"]
    assert before.groups == after.groups == ["group 1", "group 4", "group 7", "group 9"]
    assert rows_of(before, np.array([9, 4, 5])).tolist() == [1, 3]


def test_masks_are_aligned_and_missing_samples_have_none() -> None:
    before, after = align(snapshot([4, 1], [0, 1], masks=True), snapshot([1, 9], [2, 0], masks=True))
    assert before.masks.labels == ["mask 1", "mask 0", ""]
    assert after.masks.labels == ["mask 2", "", "mask 0"]
    assert before.masks.sizes.tolist() == after.masks.sizes.tolist() == [[1, 2], [4, 8], [9, 18]]


@given(st.sets(st.integers(0, 30), min_size=1), st.sets(st.integers(0, 30), min_size=1), st.randoms())
def test_alignment_keeps_every_label_with_its_sample(first: set[int], second: set[int], random: Random) -> None:
    sides = [random.sample(sorted(ids), len(ids)) for ids in (first, second)]
    both = align(*(snapshot(ids, [one % 3 for one in ids]) for ids in sides))
    for ids, found in zip(sides, both, strict=True):
        expected = {one: one % 3 if one in ids else NO_LABEL for one in first | second}
        assert dict(zip(found.sample_ids.tolist(), found.labels.tolist(), strict=True)) == expected
        assert found.content_hashes == [f"content {one}" for one in sorted(first | second)]


def test_aligning_a_snapshot_with_itself_only_sorts_it() -> None:
    before, after = align(snapshot([4, 1, 7], [0, 1, 2]), snapshot([4, 1, 7], [0, 1, 2]))
    assert before.hash == after.hash == snapshot([1, 4, 7], [1, 0, 2]).hash


def test_an_added_class_is_known_to_both_snapshots() -> None:
    longer = replace(snapshot([1], [0]), classes=["a", "b", "c", "d"])
    before, after = align(snapshot([1], [0]), longer)
    assert before.classes == after.classes == ["a", "b", "c", "d"]


def test_snapshots_that_cannot_be_aligned_are_refused_with_a_cure() -> None:
    one = snapshot([1, 2], [0, 1])
    with pytest.raises(RoundError, match="different classes; take both of the same dataset"):
        align(one, replace(one, classes=["a", "c", "b"]))
    with pytest.raises(RoundError, match="path 2: the image was changed between the two snapshots; take both anew"):
        align(one, replace(one, content_hashes=["content 1", "another"]))
    with pytest.raises(RoundError, match="one snapshot has masks, the other labels"):
        align(one, snapshot([1, 2], [0, 1], masks=True))


def test_the_label_of_a_sample_is_a_class_or_the_name_of_its_mask() -> None:
    masks = SnapshotMasks(["a", "b", "c", "d", ""], [""] * 5, np.ones((5, 2), np.int32))
    assert small().own_labels.tolist() == small().labels.tolist()
    assert replace(small(), masks=masks).own_labels.tolist() == ["a", "b", "c", "d", ""]
    assert masks_of(replace(small(), masks=masks)) is masks
    with pytest.raises(DatasetError, match="labels are classes"):
        masks_of(small())
