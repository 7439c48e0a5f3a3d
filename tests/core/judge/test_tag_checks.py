from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data.masks.store import MaskStore
from core.data.predictions import create_predictions
from core.data.snapshot import Snapshot, SnapshotMasks
from core.judge.tag_checks import Contradiction, TagConflict, check_tags, mask_conflicts, prediction_conflicts
from core.types import IGNORE, NO_LABEL, RoundError

MASK = np.array([[0, 0, 1], [2, IGNORE, IGNORE]], np.uint8)


def tagged(*classes: int, count: int = 4) -> np.ndarray:
    return np.isin(np.arange(count), classes)


def test_a_mask_that_shows_its_tags_is_not_doubted() -> None:
    assert mask_conflicts(tagged(0, 1, 2), MASK, bare=False) == []


def test_absent_tagged_classes_are_missing_and_untagged_classes_excluded() -> None:
    assert mask_conflicts(tagged(0, 1, 3), MASK, bare=False) == [
        TagConflict(Contradiction.MISSING, 3, 0, predicted=False),
        TagConflict(Contradiction.EXCLUDED, 2, 1, predicted=False),
    ]


def test_no_class_is_missing_in_an_unfinished_mask() -> None:
    begun = mask_conflicts(tagged(0, 1, 3), MASK, bare=True)
    assert begun == [TagConflict(Contradiction.EXCLUDED, 2, 1, predicted=False)]
    finished = np.where(MASK == IGNORE, 0, MASK).astype(np.uint8)
    assert TagConflict(Contradiction.MISSING, 3, 0, predicted=False) in mask_conflicts(
        tagged(0, 1, 3), finished, bare=True
    )


def test_a_prediction_needs_a_region_of_each_present_class() -> None:
    assert prediction_conflicts(tagged(0, 1), MASK, 1) == []
    assert prediction_conflicts(tagged(0, 1), MASK, 2) == [TagConflict(Contradiction.MISSING, 1, 1, predicted=True)]


def test_a_round_lists_its_doubts_those_about_masks_first(tmp_path: Path) -> None:
    store = MaskStore(tmp_path / "masks")
    names = [store.put(MASK), store.put(MASK), "", ""]
    snapshot = Snapshot(
        np.array([11, 12, 13, 14]),
        [f"/x/{row}.png" for row in range(4)],
        np.array([0, 0, NO_LABEL, NO_LABEL]),
        [""] * 4,
        list("abcd"),
        ["a", "b", "c", "d"],
        SnapshotMasks(names, [""] * 4, np.array([[2, 3]] * 4, np.int32)),
    )
    assert check_tags(tmp_path, snapshot, store, 1) == {}
    predictions = create_predictions(tmp_path, snapshot.masks.sizes, 4)
    for row in range(4):
        predictions.of(row)[0][:] = 1 if row < 3 else IGNORE  # nobody has predicted the last one
    predictions.flush()
    tags = np.stack([tagged(0, 1, 2), tagged(0, 1), tagged(1, 3), tagged(2)])
    said = check_tags(tmp_path, replace(snapshot, tags=tags), store, 1)
    assert (said["images"], said["missing"], said["excluded"]) == (4, 1, 1)
    assert [(one["sample_id"], one["contradiction"], one["label"], one["predicted"]) for one in said["doubts"]] == [
        (12, "excluded", 2, False),
        (13, "missing", 3, True),
    ]
    broken = replace(snapshot, tags=tags, masks=replace(snapshot.masks, labels=["0" * 32, *names[1:]]))
    with pytest.raises(RoundError, match=r"0\.png"):
        check_tags(tmp_path, broken, store, 1)
