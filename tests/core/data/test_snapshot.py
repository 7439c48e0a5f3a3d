from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.snapshot import Snapshot
from core.types import NO_LABEL, RoundError


def small() -> Snapshot:
    return Snapshot(
        sample_ids=np.array([5, 9, 2, 7, 8]),
        paths=["/a b/ü.png", "/line\nbreak.png", "/\udcff.png", "/d.png", "/e.png"],
        labels=np.array([0, 1, NO_LABEL, 1, 0]),
        groups=["", "g", "g", "", ""],
        content_hashes=["aa", "bb", "cc", "bb", ""],
        classes=["cat", "dög"],
    )


def test_what_is_saved_is_loaded_odd_names_included(tmp_path: Path) -> None:
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


def test_what_is_protected_teaches_nothing_nor_do_its_groups_and_contents(tmp_path: Path) -> None:
    protected = replace(small(), protected=np.array([False, False, True, False, False]))
    assert small().learnable.all()
    assert protected.learnable.tolist() == [True, False, False, False, True], (
        "9 is of its group, 7 of that one's content"
    )
    assert protected.save(tmp_path) == protected.hash != small().hash
    loaded = Snapshot.load(tmp_path)
    assert loaded.hash == protected.hash
    np.testing.assert_array_equal(loaded.protected, protected.protected)


def test_without_anything_protected_the_hash_is_as_before_there_was_such(tmp_path: Path) -> None:
    assert replace(small(), protected=np.zeros(5, np.bool_)).hash == small().hash
    small().save(tmp_path)
    assert Snapshot.load(tmp_path).protected is None


def test_a_moved_dataset_keeps_its_hash() -> None:
    assert replace(small(), paths=["/elsewhere"] * 5).hash == small().hash


def test_group_and_equal_content_join_samples_also_by_a_chain() -> None:
    groups = small().whole_groups()  # 9 and 2 by group, 9 and 7 by content
    assert groups[1] == groups[2] == groups[3]
    assert len(np.unique(groups)) == 3


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="columns"):
        replace(small(), paths=[])
    with pytest.raises(ValueError, match="twice"):
        replace(small(), sample_ids=np.array([5, 5, 2, 7, 8]))
    with pytest.raises(ValueError, match="outside"):
        replace(small(), labels=np.array([0, 2, 0, 0, 0]))


def test_a_folder_without_a_snapshot_says_so(tmp_path: Path) -> None:
    with pytest.raises(RoundError, match="start the round again"):
        Snapshot.load(tmp_path)


def test_tags_are_kept_and_count_only_where_there_are_some(tmp_path: Path) -> None:
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
