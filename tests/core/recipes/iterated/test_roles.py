from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from core.config import IteratedSettings
from core.data.snapshot import Snapshot
from core.recipes.iterated.roles import IteratedParts, iterated_parts
from core.types import NO_LABEL, DatasetError


def snapshot(labels: list[int], groups: list[str] | None = None) -> Snapshot:
    count = len(labels)
    names = [f"{row}.png" for row in range(count)]
    own = groups or [""] * count
    return Snapshot(np.arange(count) + 1, names, np.array(labels, np.int32), own, names, ["a", "b"])


def test_splits_determine_the_evaluation_images() -> None:
    labels = [0, 1, 0, 1, 0, 1, NO_LABEL, NO_LABEL]
    splits = ["train"] * 2 + ["val"] * 2 + ["test"] * 2 + ["train", "val"]
    chosen = IteratedSettings(validation_split="val", test_split="test")
    parts = iterated_parts(snapshot(labels), splits, chosen, 0)
    data = parts.data
    assert [part.tolist() for part in (data.labelled, data.validation, data.test)] == [[0, 1], [2, 3], [4, 5]]
    assert data.unlabelled.tolist() == parts.to_predict.tolist() == [6, 7]


def test_protected_images_are_the_test_set_and_their_groups_are_only_predicted() -> None:
    labels = [0, 1] * 4 + [NO_LABEL] * 3
    groups = ["g", "", "g", "", "", "", "", "", "g", "", ""]
    shown = replace(snapshot(labels, groups), protected=np.arange(11) < 2)  # the second looks like the first
    parts = iterated_parts(shown, ["test"] + [""] * 10, IteratedSettings(), 0)
    assert parts.data.test.tolist() == [0]
    assert not {0, 1, 2} & {*parts.data.labelled.tolist(), *parts.data.validation.tolist()}
    assert parts.data.unlabelled.tolist() == [9, 10]
    assert parts.to_predict.tolist() == [8, 9, 10]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), share=st.sampled_from([0.1, 0.2, 0.5]), count=st.integers(12, 60))
def test_groups_stay_whole_and_no_image_has_two_roles(seed: int, share: float, count: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(count) < 0.5, rng.integers(0, 2, count), NO_LABEL)
    labels[:6] = [0, 1, 0, 1, NO_LABEL, NO_LABEL]
    groups = [f"g{number}" if number < 8 and row > 5 else "" for row, number in enumerate(rng.integers(0, 16, count))]
    shown = snapshot(labels.tolist(), groups)
    parts = iterated_parts(shown, [""] * count, IteratedSettings(validation_share=share), seed)
    data = parts.data
    whole = shown.whole_groups()
    judged = set(whole[data.validation].tolist())
    assert judged
    assert not judged & set(whole[data.labelled].tolist())
    assert not judged & set(whole[data.unlabelled].tolist())
    assert set(data.unlabelled.tolist()) <= set(parts.to_predict.tolist())
    assert parts.to_predict.tolist() == np.flatnonzero(labels == NO_LABEL).tolist()
    again = iterated_parts(shown, [""] * count, IteratedSettings(validation_share=share), seed).data
    assert again.validation.tolist() == data.validation.tolist()


def test_a_random_validation_set_has_at_most_the_given_number_of_labels() -> None:
    labels = [row % 2 for row in range(100)] + [NO_LABEL] * 4
    for most, wanted in ((200, 20), (10, 10), (7, 7)):
        data = iterated_parts(snapshot(labels), [""] * 104, IteratedSettings(most_validation=most), 0).data
        assert abs(len(data.validation) - wanted) <= 1
        assert len(data.labelled) + len(data.validation) == 100


def test_roles_are_stored_beside_the_snapshot(tmp_path: Path) -> None:
    shown = snapshot([0, 1] * 5 + [NO_LABEL] * 2)
    parts = iterated_parts(shown, [""] * 12, IteratedSettings(), 0)
    shown.save(tmp_path)
    parts.save(tmp_path)
    read = IteratedParts.load(tmp_path)
    assert read.to_predict.tolist() == parts.to_predict.tolist()
    for name in ("labelled", "unlabelled", "validation", "test"):
        assert getattr(read.data, name).tolist() == getattr(parts.data, name).tolist()


@pytest.mark.parametrize(
    ("labels", "groups", "said"),
    [
        ([0, 1, 0, 1], None, "without a label is left"),
        ([0, 1, 0, NO_LABEL], ["g"] * 4, "too few to train on"),
        ([NO_LABEL] * 4, None, "too few to train on"),
    ],
)
def test_missing_roles_are_named(labels: list[int], groups: list[str] | None, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        iterated_parts(snapshot(labels, groups), [""] * len(labels), IteratedSettings(), 0)
