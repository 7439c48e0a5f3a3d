"""Training data of both sides of a comparison, without evaluation images."""

from dataclasses import replace

import numpy as np
import pytest

from core.config import RoundConfig
from core.data.snapshot import Snapshot, SnapshotMasks
from core.judge.comparison import ComparisonInput, ComparisonPlan, Side, plan_comparison
from core.types import NO_LABEL, RoundError


def snapshot(
    labels: list[int], groups: dict[int, str] | None = None, contents: dict[int, str] | None = None
) -> Snapshot:
    """Return samples numbered from 0; only those named share a group or a content."""
    rows = range(len(labels))
    paths, own = [f"{row}.png" for row in rows], [(contents or {}).get(row, str(row)) for row in rows]
    of_group = [(groups or {}).get(row, "") for row in rows]
    return Snapshot(np.arange(len(labels)), paths, np.array(labels, np.int32), of_group, own, ["a", "b", "c"])


def plan(
    original: Snapshot, cleaned: Snapshot, judged: list[int], protected: list[int] | None = None
) -> ComparisonPlan:
    asked = ComparisonInput(
        original=original,
        cleaned=cleaned,
        judged=np.array(judged),
        protected=np.array(protected or [], np.int64),
        config=RoundConfig(),
    )
    return plan_comparison(asked)


def test_both_sides_train_on_their_own_labels_and_are_judged_on_the_true_ones() -> None:
    found = plan(snapshot([0, 1, 2, 0]), snapshot([0, 2, 2, 1]), [3])
    assert found.judged.tolist() == [3]
    assert {side: rows.tolist() for side, rows in found.learn_rows.items()} == {side: [0, 1, 2] for side in Side}
    assert found.snapshots[Side.ORIGINAL].labels.tolist() == [0, 1, 2, 1]
    assert found.snapshots[Side.CLEANED].labels.tolist() == [0, 2, 2, 1]
    assert found.changed == 1


def test_protected_images_and_their_groups_and_copies_are_not_trained_on() -> None:
    labels, groups, contents = [0] * 9, {0: "g", 5: "g"}, {1: "same", 6: "same", 7: "twin", 2: "twin"}
    one = snapshot(labels, groups, contents)
    found = plan(one, one, [0, 1], [2, 3])
    assert found.learn_rows[Side.CLEANED].tolist() == [4, 8]
    assert found.snapshots[Side.ORIGINAL].labels.tolist() == [0, 0, NO_LABEL, NO_LABEL, 0, 0, 0, 0, 0]


def test_the_side_with_fewer_labels_repeats_some_once_and_none_twice() -> None:
    cleaned = snapshot([NO_LABEL if row % 4 == 0 else row % 3 for row in range(40)])
    found = plan(snapshot([row % 3 for row in range(40)]), cleaned, [39])
    original, filled = (found.learn_rows[side] for side in Side)
    assert len(original) == len(filled) == 39
    rows, counts = np.unique(filled, return_counts=True)
    assert (cleaned.labels[rows] != NO_LABEL).all()
    assert (len(rows), counts.max()) == (29, 2)
    assert found.changed == 10


def test_a_mask_counts_as_changed_only_if_its_pixels_differ() -> None:
    def masked(labels: list[int], masks: list[str]) -> Snapshot:
        sizes = np.full((len(labels), 2), 4)
        return replace(snapshot(labels), masks=SnapshotMasks(masks, [""] * len(labels), sizes))

    original = masked([0, 1, 2, 0], ["a", "b", "c", "d"])
    assert plan(original, masked([1, 2, 0, 0], ["a", "b", "c", "d"]), [3]).changed == 0
    assert plan(original, masked([1, 1, 2, 0], ["a", "other", "c", "d"]), [3]).changed == 1


def test_the_hash_changes_with_every_trained_or_judged_label() -> None:
    one, other = snapshot([0, 1, 2, 0, 1]), snapshot([0, 2, 2, 0, 1])
    hashes = {
        plan(*asked).hash for asked in [(one, one, [4]), (one, other, [4]), (one, one, [3]), (one, one, [4], [3])]
    }
    assert len(hashes) == 4
    assert plan(one, one, [4]).hash in hashes


def test_a_judged_sample_without_a_label_is_refused_with_a_cure() -> None:
    one = snapshot([0, 1, NO_LABEL])
    for judged in ([1, 2], [1, 77]):
        with pytest.raises(RoundError, match=r"1 of the 2 judged samples have no label .* leave out those"):
            plan(one, one, judged)


def test_the_same_seed_twice_is_refused() -> None:
    one = snapshot([0, 1])
    asked = ComparisonInput(
        original=one, cleaned=one, judged=np.array([1]), protected=np.array([1]), config=RoundConfig()
    )
    for seeds in ((), (1, 1)):
        with pytest.raises(RoundError, match="must be one or more different numbers"):
            replace(asked, seeds=seeds)
