from typing import Any

import numpy as np
import pytest

from core.judge import confusions
from core.judge.hints import Hint, HintKey, hints, lookalike_share


def metrics_of(confusion: np.ndarray, **more: Any) -> dict[str, Any]:
    rows = [{"class": number, "name": f"class {number}"} for number in range(len(confusion))]
    return {"confusion": confusions.as_json(confusion), "per_class": rows, "estimated_error_rate": 0.05} | more


def even(classes: int = 5, each: int = 200, wrong: int = 0) -> np.ndarray:
    """Return a confusion that spreads its disagreements evenly over all pairs of classes."""
    confusion = np.full((classes, classes), wrong)
    np.fill_diagonal(confusion, each - wrong * (classes - 1))
    return confusion


def keys(found: list[Hint]) -> set[HintKey]:
    return {hint.key for hint in found}


def test_a_round_in_agreement_with_its_labels_has_no_hints() -> None:
    assert hints(metrics_of(even(wrong=5))) == []


def test_low_agreement_names_the_share_and_asks_for_a_sample() -> None:
    (hint,) = hints(metrics_of(even(wrong=20)))
    assert hint.key == HintKey.LOW_AGREEMENT
    assert hint.text == "Agrees with 60 % of the labels: either the labels or the network are at fault.".replace(
        " %", "%"
    )
    assert "random sample" in hint.advice


def test_many_disagreements_without_estimated_errors_give_a_hint() -> None:
    assert keys(hints(metrics_of(even(wrong=8), estimated_error_rate=0.001))) == {HintKey.NO_ERROR_BELIEVED}
    assert hints(metrics_of(even(wrong=8), estimated_error_rate=0.1)) == []


@pytest.mark.parametrize(("classes", "named"), [(5, {HintKey.ONE_PAIR}), (2, set())])
def test_a_pair_that_makes_up_over_half_of_the_changes_counts_in_both_directions(
    classes: int, named: set[HintKey]
) -> None:
    confusion = even(classes)
    confusion[0, 1] = confusion[1, 0] = 15
    found = hints(metrics_of(confusion))
    assert keys(found) == named
    assert all("class 0 and class 1" in hint.text for hint in found)


def test_class_shares_that_differ_from_the_given_ones_give_a_hint() -> None:
    confusion = even()
    confusion[:, 3] += 40
    found = {hint.key: hint for hint in hints(metrics_of(confusion))}
    assert "class 3" in found[HintKey.SHIFTED_SHARES].text


def test_rare_classes_are_named_except_for_pixels() -> None:
    confusion = even()
    confusion[2, 2] = 4
    (hint,) = hints(metrics_of(confusion))
    assert hint.key == HintKey.FEW_IMAGES
    assert "1 of 5 classes" in hint.text
    assert "class 2, 4" in hint.text
    assert hints(metrics_of(confusion, regions=12)) == []


def test_a_condensed_confusion_gives_the_same_hints_as_a_complete_one() -> None:
    confusion = even(150, 40)
    confusion[7, 9] = 30
    confusion[9, 7] = 25
    assert keys(hints(metrics_of(confusion))) == {HintKey.ONE_PAIR}


def test_rounds_of_former_releases_with_fewer_metrics_have_fewer_hints() -> None:
    assert hints({"accuracy": 0.5}) == []
    metrics = metrics_of(even(wrong=8))
    del metrics["estimated_error_rate"]
    assert hints(metrics) == []
    assert hints(metrics_of(np.zeros((3, 3), np.int64))) == []


def test_similar_changes_form_a_cluster_and_scattered_ones_do_not() -> None:
    rank = np.random.default_rng(0).permutation(2000)
    cluster = (rank >= 500) & (rank < 560)
    scattered = np.random.default_rng(1).random(2000) < 0.1
    assert lookalike_share(rank, cluster) == 1.0
    share = lookalike_share(rank, scattered)
    assert share is not None
    assert share < 0.15
    assert lookalike_share(rank, rank < 3) is None
    assert keys(hints(metrics_of(even(wrong=5), lookalike_share=0.6))) == {HintKey.LOOKALIKES}
    assert hints(metrics_of(even(wrong=5), lookalike_share=share)) == []
