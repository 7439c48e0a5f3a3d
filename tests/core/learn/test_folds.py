import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from core.learn.folds import deal
from core.types import NO_LABEL, RoundError

datasets = st.integers(2, 6).flatmap(
    lambda folds: st.tuples(
        st.just(folds),
        st.lists(st.tuples(st.integers(NO_LABEL, 4), st.integers(0, 40)), min_size=folds * 3, max_size=120),
        st.integers(0, 2**31),
    )
)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels, groups = np.array(rows).T
    return np.arange(len(rows)) * 7 + 3, labels, groups


@settings(deadline=None, max_examples=40)
@given(datasets)
def test_groups_stay_whole_and_no_fold_is_empty(data: tuple[int, list[tuple[int, int]], int]) -> None:
    folds, rows, seed = data
    ids, labels, groups = columns(rows)
    if len(np.unique(groups)) < folds:
        with pytest.raises(RoundError, match="choose fewer folds"):
            deal(ids, labels, groups, folds=folds, seed=seed)
        return
    dealt = deal(ids, labels, groups, folds=folds, seed=seed)
    assert set(dealt.tolist()) == set(range(folds))
    for group in np.unique(groups):
        assert len(np.unique(dealt[groups == group])) == 1


@settings(deadline=None, max_examples=40)
@given(datasets)
def test_the_order_of_rows_and_the_names_of_groups_change_nothing(
    data: tuple[int, list[tuple[int, int]], int],
) -> None:
    folds, rows, seed = data
    ids, labels, groups = columns(rows)
    if len(np.unique(groups)) < folds:
        return
    dealt = deal(ids, labels, groups, folds=folds, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(len(ids))
    again = deal(ids[shuffled], labels[shuffled], 1000 - groups[shuffled], folds=folds, seed=seed)
    np.testing.assert_array_equal(again, dealt[shuffled])


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 7), st.lists(st.integers(NO_LABEL, 5), min_size=10, max_size=200), st.integers(0, 2**31))
def test_class_counts_of_folds_differ_by_at_most_one_without_groups(folds: int, labels: list[int], seed: int) -> None:
    count = np.arange(len(labels))
    dealt = deal(count, np.array(labels), count, folds=folds, seed=seed)
    for label in set(labels):
        assert np.ptp(np.bincount(dealt[np.array(labels) == label], minlength=folds)) <= 1
    assert np.bincount(dealt, minlength=folds).min() > 0


def test_single_samples_even_out_folds_with_large_groups() -> None:
    labels = np.repeat([0, 1], 50)
    groups = np.arange(100)
    groups[:11] = 0  # a group of eleven, all of class 0
    dealt = deal(np.arange(100), labels, groups, folds=5, seed=1)
    assert np.bincount(dealt[labels == 0], minlength=5).tolist().count(10) >= 3
    assert np.bincount(dealt).max() - np.bincount(dealt).min() <= 2


def test_another_seed_gives_other_folds() -> None:
    ids = np.arange(100)
    one, other = (deal(ids, ids % 3, ids, folds=5, seed=seed) for seed in (0, 1))
    assert (one != other).any()


def test_folds_do_not_follow_label_noise_drawn_with_the_same_seed() -> None:
    ids = np.arange(2000)
    for seed in range(3):
        noisy = np.random.default_rng(seed).permutation(2000)[:200]
        dealt = deal(ids, np.zeros(2000, int), ids, folds=5, seed=seed)
        assert np.bincount(dealt[noisy], minlength=5).max() < 80


def test_a_million_samples_are_divided_into_folds_in_seconds() -> None:
    rng = np.random.default_rng(0)
    ids, labels = np.arange(1_000_000), rng.integers(0, 10, 1_000_000)
    began = time.process_time()
    deal(ids, labels, ids, folds=5, seed=0)
    assert time.process_time() - began < 10
