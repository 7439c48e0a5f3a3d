import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from core.judge import confusions
from core.judge.confusions import as_json, merged_confusion, merged_metrics
from core.judge.hints import hints
from core.judge.mask_metrics import Tallies
from core.judge.mask_scoring import pixel_confusion
from core.types import WIDE_IGNORE, ClassState, IntArray


def test_the_confusion_of_few_classes_is_kept_whole() -> None:
    confusion = np.arange(16).reshape(4, 4)
    assert as_json(confusion) == confusion.tolist()


def test_the_sums_and_largest_pairs_are_kept_for_many_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confusions, "MOST_PAIRS", 3)
    confusion = np.diag(np.full(1000, 50))
    for true, predicted, count in ((1, 2, 9), (999, 0, 30), (5, 6, 4), (7, 8, 3)):
        confusion[true, predicted] = count
    kept = as_json(confusion)
    assert isinstance(kept, dict)
    assert kept["pairs"] == [[999, 0, 30], [1, 2, 9], [5, 6, 4]]
    assert (kept["left_out"], kept["given"][999], kept["predicted"][0], kept["right"][7]) == (3, 80, 80, 50)
    assert len(json.dumps(kept)) < 20_000


def test_pairs_are_counted_alike_for_many_and_few_classes() -> None:
    random = np.random.default_rng(0)
    given, predicted = (random.integers(0, 60, (40, 50)).astype(np.uint16) for _ in range(2))
    given[:3] = WIDE_IGNORE
    many = pixel_confusion(given, predicted, 1000)
    np.testing.assert_array_equal(many[:60, :60], pixel_confusion(given, predicted, 60))
    assert many.sum() == 37 * 50


def test_a_thread_has_a_single_tally() -> None:
    tallies = Tallies(3, 2)
    first = tallies.mine()
    assert tallies.mine() is first
    first.at_boundary += 2
    total = tallies.total()
    assert (total.at_boundary, total.confusion.shape) == (2, (3, 3))


NAMES = ("cat", "dog", "owl", "fox")


def folded(confusion: IntArray, merged: dict[int, int]) -> IntArray:
    target = np.array([merged.get(one, one) for one in range(len(confusion))])
    found = np.zeros_like(confusion)
    np.add.at(found, (target[:, None], target[None, :]), confusion)
    return found


@given(st.lists(st.integers(0, 9), min_size=16, max_size=16), st.dictionaries(st.integers(0, 2), st.just(3)))
def test_merging_a_confusion_equals_the_confusion_of_merged_labels(counts: list[int], merged: dict[int, int]) -> None:
    confusion = np.array(counts).reshape(4, 4)
    wanted = folded(confusion, merged)
    assert merged_confusion(confusion.tolist(), merged) == wanted.tolist()
    sparse = {
        "right": confusion.diagonal().tolist(),
        "given": confusion.sum(axis=1).tolist(),
        "predicted": confusion.sum(axis=0).tolist(),
        "pairs": [[i, j, int(confusion[i, j])] for i in range(4) for j in range(4) if i != j and confusion[i, j]],
        "left_out": 0,
    }
    found = merged_confusion(sparse, merged)
    assert isinstance(found, dict)
    assert found["right"] == wanted.diagonal().tolist()
    assert (found["given"], found["predicted"]) == (wanted.sum(axis=1).tolist(), wanted.sum(axis=0).tolist())
    assert {(i, j): n for i, j, n in found["pairs"]} == {
        (i, j): wanted[i, j] for i in range(4) for j in range(4) if i != j and wanted[i, j]
    }


def test_the_row_of_a_class_includes_merged_classes_which_no_hint_names() -> None:
    confusion = np.array([[40, 20, 0, 0], [0, 50, 0, 0], [0, 0, 60, 0], [0, 1, 0, 2]])
    rows = [
        {"class": one, "name": name, "count": int(confusion[one].sum()), "estimated_errors": one, "agreement": 0.5,
         "worst_pair": {"pseudo": 1, "count": 1}}
        for one, name in enumerate(NAMES)
    ]  # fmt: skip
    metrics = {"confusion": confusions.as_json(confusion), "per_class": rows}
    assert any("rarest: fox" in hint.text for hint in hints(metrics))
    found = merged_metrics(metrics, ClassState(NAMES, merged={0: 1, 3: 1}, order=(2, 1, 0, 3)))
    assert found["offered"] == [2, 1]
    assert found["per_class"][1]["count"] == 60 + 50 + 3
    assert found["per_class"][1]["agreement"] == (40 + 20 + 50 + 1 + 2) / 113
    assert found["per_class"][1]["estimated_errors"] == 0 + 1 + 3
    assert found["per_class"][2] == rows[2]
    assert not any("rarest" in hint.text for hint in hints(found))
