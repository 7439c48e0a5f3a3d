"""Paired intervals and tests, against results by hand and by scipy."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import binomtest, bootstrap

from core.judge import paired
from core.judge.paired import (
    bonferroni,
    interval_of_mean,
    intervals_of_sums,
    mcnemar,
    resample_count,
    simultaneous,
    tail_of,
)

splits = st.integers(0, 60)


@given(splits, splits)
def test_mcnemar_equals_the_exact_binomial_test(better: int, worse: int) -> None:
    found = mcnemar(better, worse)
    expected = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert found.p == pytest.approx(expected)
    assert found.p_mid <= found.p <= 1


@given(splits, splits)
def test_mcnemars_p_is_symmetric(better: int, worse: int) -> None:
    assert mcnemar(better, worse).p == mcnemar(worse, better).p
    assert mcnemar(better, worse).p_mid == mcnemar(worse, better).p_mid


def test_mcnemar_matches_a_hand_made_example() -> None:
    found = mcnemar(1, 6)
    assert found.p == pytest.approx(2 * (1 + 7) / 2**7)
    assert found.p_mid == pytest.approx(2 * 1 / 2**7 + 7 / 2**7)
    assert (mcnemar(0, 0).p, mcnemar(4, 4).p, mcnemar(4, 4).p_mid) == (1, 1, 1)
    assert mcnemar(59, 17).p == pytest.approx(sum(comb(76, won) for word in (0,) for won in range(word, 18)) / 2**75)


def test_mcnemar_is_exact_for_many_items() -> None:
    assert mcnemar(50_000, 50_000).p == 1
    assert 0 < mcnemar(50_500, 49_500).p < 0.01


def test_bonferroni_matches_a_hand_made_example() -> None:
    assert bonferroni([0.01, 0.04, 0.5]) == pytest.approx([0.03, 0.12, 1.0])
    assert bonferroni([]) == []
    assert simultaneous(0.95, 1) == 0.95
    assert simultaneous(0.95, 5) == pytest.approx(0.99)


def test_the_number_of_resamples_follows_the_tail_up_to_a_limit() -> None:
    many = [resample_count(simultaneous(0.95, classes), 10_000) for classes in (1, 5, 10, 1000)]
    assert many[:1] == [2000]
    assert many == sorted(many)
    assert many[2] == pytest.approx(10 / 0.0025, rel=0.01)
    assert many[3] == 20_000
    assert resample_count(0.99, 20) > resample_count(0.99, 1000), "of few items an end lies further out"


@given(st.lists(st.floats(0, 1), max_size=12))
def test_corrected_p_values_are_never_smaller_and_keep_their_order(p_values: list[float]) -> None:
    adjusted = bonferroni(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted, strict=True))
    for smaller, larger in zip(
        np.argsort(p_values, kind="stable"), np.argsort(p_values, kind="stable")[1:], strict=False
    ):
        assert adjusted[smaller] <= adjusted[larger]


def test_the_interval_of_a_mean_equals_scipys_for_many_items() -> None:
    won = np.random.default_rng(0).choice([-1, 0, 1], size=2_000, p=[0.05, 0.85, 0.1])
    found = interval_of_mean(won)
    theirs = bootstrap((won,), np.mean, n_resamples=5_000, method="percentile", rng=0).confidence_interval
    assert found.low == pytest.approx(theirs.low, abs=0.001)
    assert found.high == pytest.approx(theirs.high, abs=0.001)


@given(st.lists(st.integers(-2, 2), min_size=4, max_size=40), st.sampled_from([0.5, 0.95, 0.999]))
def test_the_interval_of_a_mean_is_the_exact_bootstrap_interval(values: list[int], level: float) -> None:
    won, count = np.array(values), len(values) + 2
    found, turned = interval_of_mean(won, 2, level=level), interval_of_mean(-won, 2, level=level)
    assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low)), "the sides are treated alike"
    chances = {0: 1.0}
    for _ in range(count):  # the distribution of the sum, item by item
        step: dict[int, float] = {}
        for total, chance in chances.items():
            for value in [*values, -2, 2]:
                step[total + value] = step.get(total + value, 0.0) + chance / count
        chances = step
    below = sum(chance for total, chance in chances.items() if total < round(found.low * 2 * count))
    beyond = sum(chance for total, chance in chances.items() if total > round(found.high * 2 * count))
    assert max(below, beyond) <= tail_of(level, len(values)) + 1e-12


def test_both_intervals_agree_for_many_items() -> None:
    won = np.random.default_rng(1).choice([-1, 0, 1], size=3_000, p=[0.1, 0.8, 0.1])
    (by_sums,) = intervals_of_sums(won[:, None], lambda sums: sums / 3_000, seed=0, resamples=20_000)
    exactly = interval_of_mean(won)
    assert by_sums.low == pytest.approx(exactly.low, abs=0.001)
    assert by_sums.high == pytest.approx(exactly.high, abs=0.001)


def test_an_end_beyond_the_resamples_follows_a_normal_tail() -> None:
    won = np.random.default_rng(1).choice([-1, 0, 1], size=3_000, p=[0.1, 0.8, 0.1])
    level = simultaneous(0.95, 500)
    (few,) = intervals_of_sums(won[:, None], lambda sums: sums / 3_000, seed=0, resamples=2_000, levels=[level])
    exactly = interval_of_mean(won, level=level)
    assert few.low == pytest.approx(exactly.low, abs=0.003)
    assert few.high == pytest.approx(exactly.high, abs=0.003)


def test_the_interval_of_equal_items_has_a_positive_width() -> None:
    found = interval_of_mean(np.zeros(100, np.int64))
    assert found.low < 0 < found.high
    assert found.contains_zero
    assert found.high < interval_of_mean(np.zeros(30, np.int64)).high


def test_an_interval_gets_wider_with_its_level_and_narrower_with_more_items() -> None:
    won = np.random.default_rng(2).choice([-1, 0, 1], size=400)
    widths = {
        (level, count): (found := interval_of_mean(won[:count], level=level)).high - found.low
        for level in (0.8, 0.99)
        for count in (50, 400)
    }
    assert widths[0.8, 400] < widths[0.99, 400] < widths[0.99, 50]
    assert widths[0.8, 400] < widths[0.8, 50]


def test_the_result_depends_on_the_seed_and_not_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    items = np.random.default_rng(3).normal(size=(50, 2))

    def ends(seed: int) -> list[float]:
        found = intervals_of_sums(items, lambda sums: sums, seed=seed)
        return [end for interval in found for end in (interval.low, interval.high)]

    first, other = ends(0), ends(1)
    assert ends(0) == first != other
    monkeypatch.setattr(paired, "_PICKS", 170)
    assert ends(0) == pytest.approx(first, rel=1e-12)
