"""Mixing networks by likelihood: properties first, then cases computed by hand."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from core.judge.fold_predictions import fit_weights, log_likelihood, mix_probabilities, sharpen

SEEDS = st.integers(0, 10_000)


def drawn(seed: int, items: int = 300, networks: int = 3) -> np.ndarray:
    """Return probabilities of given labels, (N, M)."""
    rng = np.random.default_rng(seed)
    common = rng.normal(1, 1.5, (items, 1))
    return np.asarray(1 / (1 + np.exp(-common - rng.normal(0, 1, (items, networks)))))


@given(SEEDS, st.integers(1, 5), st.integers(1, 400))
@settings(max_examples=40, deadline=None)
def test_the_mix_is_never_less_likely_than_the_best_network_alone(seed: int, networks: int, items: int) -> None:
    likely = drawn(seed, items, networks)
    weights = fit_weights(likely)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)
    assert log_likelihood(likely @ weights) >= max(log_likelihood(one) for one in likely.T) - 1e-12


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_no_other_weights_have_a_higher_likelihood(seed: int) -> None:
    likely = drawn(seed)
    best = log_likelihood(likely @ fit_weights(likely))
    for weights in np.random.default_rng(seed).dirichlet(np.ones(3), 200):
        assert log_likelihood(likely @ weights) <= best + 1e-6


@given(SEEDS, st.permutations(range(4)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_networks_changes_nothing(seed: int, order: list[int]) -> None:
    likely = drawn(seed, networks=4)
    np.testing.assert_allclose(fit_weights(likely[:, order]), fit_weights(likely)[order], atol=1e-6)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_an_uninformative_network_gets_hardly_any_weight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    good = rng.uniform(0.5, 1.0, 500)
    assert fit_weights(np.stack([good, np.full(500, 0.1)], axis=1))[1] < 1e-3


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_duplicate_network_does_not_change_the_mix(seed: int) -> None:
    likely = drawn(seed, networks=2)
    twice = likely[:, [0, 1, 1]]
    np.testing.assert_allclose(twice @ fit_weights(twice), likely @ fit_weights(likely), atol=2e-3)
    same = likely[:, [0, 0, 0]]
    np.testing.assert_allclose(same @ fit_weights(same), likely[:, 0])


def test_two_equally_good_networks_get_equal_weights() -> None:
    np.testing.assert_allclose(fit_weights(np.array([[0.9, 0.1], [0.1, 0.9]])), [0.5, 0.5])


def test_weights_are_equal_without_labels() -> None:
    np.testing.assert_allclose(fit_weights(np.empty((0, 4))), 0.25)


def test_a_mix_is_the_weighted_mean() -> None:
    probs = [np.array([[0.8, 0.2]], np.float32), np.array([[0.4, 0.6]], np.float32)]
    np.testing.assert_allclose(mix_probabilities(probs, np.array([0.75, 0.25])), [[0.7, 0.3]], rtol=1e-6)


def test_sharpening_by_one_changes_nothing_and_by_half_squares_the_odds() -> None:
    probs = np.array([[0.8, 0.2]], np.float32)
    np.testing.assert_allclose(sharpen(probs, 1.0), probs, rtol=1e-6)
    odds = sharpen(probs, 0.5)[0]
    assert odds[0] / odds[1] == pytest.approx(16, rel=1e-5)
