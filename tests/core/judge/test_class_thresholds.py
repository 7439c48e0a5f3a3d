"""One threshold a class."""

import json

import numpy as np
import pytest
from hypothesis import given, given as drawn, settings, strategies as st

from core.judge.class_thresholds import (
    FEWEST,
    LEVELS,
    ClassThreshold,
    accepted_counts,
    as_json,
    balanced_thresholds,
    estimate,
    level_counts,
    level_of,
)
from core.types import FloatArray, IntArray

SEEDS = st.integers(0, 999)
RARE = 3


def predictions(seed: int, count: int = 4000) -> tuple[IntArray, FloatArray, IntArray]:
    """Return predicted classes, confidences and labels: calibrated, the last class rare and never surer than .7."""
    rng = np.random.default_rng(seed)
    pseudo = rng.choice(4, count, p=[0.5, 0.3, 0.17, 0.03])
    sure = np.where(pseudo == RARE, rng.uniform(0.3, 0.7, count), rng.uniform(0.3, 1, count))
    right = rng.random(count) < sure
    return pseudo, sure, np.where(right, pseudo, (pseudo + 1) % 4)


def found(seed: int, **more: float) -> list[ClassThreshold]:
    pseudo, sure, labels = predictions(seed)
    level = level_of(sure)
    right = pseudo == labels
    every, agreeing = level_counts(pseudo, level, 4), level_counts(pseudo[right], level[right], 4)
    return estimate(every, agreeing, np.zeros((4, LEVELS), np.int64), **more)  # type: ignore[arg-type]


@drawn(SEEDS)
@settings(deadline=None, max_examples=30)
def test_the_precision_of_a_class_is_reached_at_its_threshold_and_not_just_below(seed: int) -> None:
    pseudo, sure, labels = predictions(seed)
    level = level_of(sure)
    for one in found(seed):
        if one.basis == "precision":
            inside = (pseudo == one.label) & (level >= one.percent)
            assert (labels[inside] == one.label).mean() == pytest.approx(one.precision)
            assert one.precision is not None
            assert one.precision >= 0.95
            assert one.seen == inside.sum() >= FEWEST
            for lower in range(50, one.percent):
                some = (pseudo == one.label) & (level >= lower)
                assert (labels[some] == one.label).mean() < 0.95


@drawn(SEEDS)
@settings(deadline=None, max_examples=30)
def test_a_rare_class_with_low_confidence_gets_a_balanced_threshold(seed: int) -> None:
    pseudo, sure, _ = predictions(seed)
    thresholds = found(seed)
    rare = thresholds[RARE]
    assert (rare.basis, rare.percent < 80) == ("balanced", True)
    let_in = {one.label: (level_of(sure[pseudo == one.label]) >= one.percent).mean() for one in thresholds}
    others = np.concatenate([level_of(sure[pseudo == one]) >= thresholds[one].percent for one in range(3)])
    assert let_in[RARE] == pytest.approx(others.mean(), abs=0.1)


@drawn(SEEDS, st.permutations(range(4)))
@settings(deadline=None, max_examples=20)
def test_renaming_the_classes_changes_nothing(seed: int, names: list[int]) -> None:
    pseudo, sure, labels = predictions(seed)
    level, right, name = level_of(sure), pseudo == labels, np.array(names)
    nothing = np.zeros((4, LEVELS), np.int64)
    renamed = estimate(
        level_counts(name[pseudo], level, 4), level_counts(name[pseudo[right]], level[right], 4), nothing
    )
    before = {names[one.label]: (one.percent, one.basis, one.precision, one.seen) for one in found(seed)}
    assert {one.label: (one.percent, one.basis, one.precision, one.seen) for one in renamed} == before


@drawn(SEEDS)
@settings(deadline=None, max_examples=20)
def test_a_higher_target_has_no_lower_threshold(seed: int) -> None:
    for modest, strict in zip(found(seed, target=0.8), found(seed, target=0.97), strict=True):
        if modest.basis == strict.basis == "precision":
            assert modest.percent <= strict.percent


def test_noise_in_the_given_labels_is_taken_into_account() -> None:
    every = np.zeros((2, LEVELS), np.int64)
    every[:, 90] = 1000
    right = np.zeros_like(every)
    right[:, 90] = 890  # every tenth label is wrong
    nothing = np.zeros_like(every)
    doubted = estimate(every, right, nothing)
    trusted = estimate(every, right, nothing, reachable=np.array([0.9, 0.9]))
    assert [one.basis for one in doubted] == ["balanced"] * 2
    assert [(one.basis, one.percent) for one in trusted] == [("precision", 50)] * 2
    assert trusted[0].precision == pytest.approx(890 / 900)


def test_the_balanced_share_is_taken_from_unlabelled_items() -> None:
    every, right, unlabelled = (np.zeros((2, LEVELS), np.int64) for _ in range(3))
    every[0, [60, 90]] = 100
    right[0, [60, 90]] = [50, 99]  # from 61 on right often enough
    unlabelled[0, [70, 55]] = [30, 70]  # of which three in ten are let in
    unlabelled[1, [80, 75, 60, 40]] = [10, 20, 30, 40]  # and so of the class that nobody could judge
    certain, balanced = estimate(every, right, unlabelled)
    assert (certain.percent, certain.basis) == (61, "precision")
    assert (balanced.percent, balanced.basis, balanced.precision) == (75, "balanced", None)


def test_a_class_that_is_never_predicted_gets_a_threshold_of_100_percent() -> None:
    nothing = np.zeros((3, LEVELS), np.int64)
    assert [one.percent for one in estimate(nothing, nothing, nothing)] == [100] * 3
    unsure = nothing.copy()
    unsure[1, 30] = 9
    assert estimate(nothing, nothing, unsure)[1].percent == 50  # never below


def test_class_thresholds_are_stored_as_json() -> None:
    stored = as_json(found(0))
    assert json.loads(json.dumps(stored)) == stored
    assert [one["label"] for one in stored] == [0, 1, 2, 3]
    assert set(stored[0]) == {"label", "percent", "basis", "precision", "seen"}


def test_confidences_are_rounded_down_to_whole_percent() -> None:
    assert level_of(np.array([0.29, 0.999, 1.0, 0.0])).tolist() == [29, 99, 100, 0]


def counted(classes: np.ndarray, levels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (classes, levels), 1)
    return counts


def test_balanced_thresholds_match_a_hand_made_example() -> None:
    counts = np.array(
        [
            [0, 2, 2, 4, 2],  # half of ten: four have .75 and would be six with those above
            [0, 5, 0, 0, 0],  # all alike: taken whole
            [0, 0, 0, 0, 0],  # never predicted
            [1, 1, 0, 0, 2],  # half of four
        ]
    )
    np.testing.assert_allclose(balanced_thresholds(counts, 0.5), [1.0, 0.25, 2.0, 0.5])
    np.testing.assert_array_equal(accepted_counts(counts, balanced_thresholds(counts, 0.5)), [2, 5, 0, 2])
    np.testing.assert_allclose(balanced_thresholds(counts, 0.5, 0.5), [1.0, 0.5, 2.0, 0.5])
    np.testing.assert_array_equal(accepted_counts(counts, balanced_thresholds(counts, 0.5, 0.5)), [2, 0, 0, 2])
    np.testing.assert_array_equal(accepted_counts(counts, balanced_thresholds(counts, 1.0)), [10, 5, 0, 4])


def test_a_rare_class_gets_its_share_of_pseudo_labels() -> None:
    """One threshold that takes half of all takes nothing of it; a threshold for each class takes half of it too."""
    rng = np.random.default_rng(0)
    levels = np.concatenate([rng.integers(800, 1000, 9_900), rng.integers(300, 600, 100)])
    counts = counted(np.repeat([0, 1], [9_900, 100]), levels, (2, 1_001))
    one = balanced_thresholds(counts.sum(axis=0)[None], 0.5)
    assert accepted_counts(counts, np.repeat(one, 2))[1] == 0
    shares = accepted_counts(counts, balanced_thresholds(counts, 0.5)) / counts.sum(axis=1)
    np.testing.assert_allclose(shares, 0.5, atol=0.02)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.05, 1.0),
    least=st.sampled_from([0.0, 0.3, 0.9]),
    size=st.tuples(st.integers(1, 6), st.sampled_from([2, 11, 256])),
)
def test_balanced_thresholds_keep_their_invariants_for_any_counts(
    seed: int, share: float, least: float, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, size) * (rng.random(size) < 0.4)
    total = counts.sum(axis=1)
    thresholds = balanced_thresholds(counts, share, least)
    chosen = accepted_counts(counts, thresholds)
    levels = np.arange(size[1]) / (size[1] - 1)
    surest = np.where(total > 0, levels[size[1] - 1 - (counts[:, ::-1] > 0).argmax(axis=1)], 0)
    at_surest = np.take_along_axis(counts, np.rint(surest * (size[1] - 1)).astype(int)[:, None], axis=1)[:, 0]
    assert (thresholds >= least - 1e-9).all()
    assert (chosen <= np.maximum(share * total + 1e-9, at_surest)).all()
    reachable = (total > 0) & (surest >= least)
    assert (chosen[reachable] > 0).all()
    assert (chosen[~reachable] == 0).all()
    more = accepted_counts(counts, balanced_thresholds(counts, min(1.0, share + 0.2), least))
    assert (more >= chosen).all()
    order = rng.permutation(size[0])
    np.testing.assert_allclose(balanced_thresholds(counts[order], share, least), thresholds[order])


def test_a_share_of_one_accepts_everything_above_the_minimum() -> None:
    counts = np.ones((3, 11), np.int64)
    assert accepted_counts(counts, balanced_thresholds(counts, 1.0, 0.5)).tolist() == [6, 6, 6]
    assert balanced_thresholds(counts, 1.0)[0] == pytest.approx(0.0)
