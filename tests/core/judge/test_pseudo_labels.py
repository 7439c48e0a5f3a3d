import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from core.judge.label_noise import LabelNoise
from core.judge.pseudo_labels import posterior_confidence, propose
from core.judge.scoring import ConfidentVotes
from core.types import NO_LABEL

MANY = 1e9  # items of each class: what is added to the counts is nothing beside them
COUNT = 40_000  # at most as many are judged


def noise_of(rate: float, classes: int) -> LabelNoise:
    """Return the noise of labels of which a share is wrong, each other class as often."""
    rates = np.full((classes, classes), rate / (classes - 1))
    np.fill_diagonal(rates, 1 - rate)
    return LabelNoise(counted_as(MANY * rates.T), 1.0)


def counted_as(joint: np.ndarray) -> ConfidentVotes:
    """Return votes that add up to a joint; nobody at hand voted for anything."""
    return ConfidentVotes(np.full(COUNT, NO_LABEL), np.ones(len(joint)), joint)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 6), st.integers(1, 30), st.floats(0, 1), st.integers(0, 999))
def test_both_probabilities_are_valid_and_renaming_classes_changes_nothing(
    classes: int, count: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    probs, labels = rng.dirichlet(np.ones(classes), count), rng.integers(-1, classes, count)
    counted = rng.integers(0, 4, (classes, classes)) + np.eye(classes)
    pseudo_true, given_true = posterior_confidence(probs, labels, LabelNoise(counted_as(counted), share))
    assert ((pseudo_true >= 0) & (pseudo_true <= 1) & (given_true >= 0) & (given_true <= 1)).all()
    order = rng.permutation(classes)
    renamed = np.where(labels == NO_LABEL, NO_LABEL, np.argsort(order)[labels])
    again = posterior_confidence(probs[:, order], renamed, LabelNoise(counted_as(counted[np.ix_(order, order)]), share))
    np.testing.assert_allclose(again, (pseudo_true, given_true), rtol=1e-9)


def test_a_contradiction_is_rarely_right_when_labels_are_rarely_wrong() -> None:
    probs, labels = np.array([[0.1, 0.9]]), np.array([0])
    rare, _ = posterior_confidence(probs, labels, noise_of(0.002, 2))
    often, _ = posterior_confidence(probs, labels, noise_of(0.3, 2))
    assert rare[0] < 0.05
    assert often[0] > 0.75
    assert rare[0] == pytest.approx(0.9 * 0.002 / (0.9 * 0.002 + 0.1 * 0.998))  # Bayes by hand


def test_an_unlabelled_item_keeps_the_networks_own_probability() -> None:
    pseudo_true, given_true = posterior_confidence(np.array([[0.1, 0.9]]), np.array([NO_LABEL]), noise_of(0.1, 2))
    assert pseudo_true[0] == pytest.approx(0.9)
    assert given_true[0] == 0


def test_confidence_equals_observed_agreement_under_the_noise_model() -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(3, 0.3), 40_000)
    truth = (probs.cumsum(axis=1) > rng.random((40_000, 1))).argmax(axis=1)
    noise = noise_of(0.2, 3)
    labels = (noise.rates[truth].cumsum(axis=1) > rng.random((40_000, 1))).argmax(axis=1)
    confidence, given_true = posterior_confidence(probs, labels, noise)
    pseudo = probs.argmax(axis=1)
    for low in (0.2, 0.4, 0.6, 0.8):
        inside = (confidence >= low) & (confidence < low + 0.2)
        assert (pseudo == truth)[inside].mean() == pytest.approx(confidence[inside].mean(), abs=0.03)
    suspicious = pseudo != labels
    proposal = propose(confidence, given_true, suspicious)
    outcomes = [
        (np.where(suspicious & (confidence >= step / 100), pseudo, labels) == truth).mean() for step in range(50, 101)
    ]
    chosen = outcomes[round(proposal.threshold * 100) - 50]
    assert chosen >= max(outcomes) - 0.002
    assert chosen == pytest.approx(proposal.label_accuracy_after, abs=0.01)
    assert (labels == truth).mean() == pytest.approx(proposal.label_accuracy_before, abs=0.01)


def test_the_proposal_counts_exactly_the_labels_that_accepting_changes() -> None:
    confidence = np.array([0.95, 0.9, 0.6, 0.2, 0.99])
    given_true = np.array([0.01, 0.05, 0.3, 0.7, 0.99])
    suspicious = np.array([True, True, True, True, False])
    proposal = propose(confidence, given_true, suspicious)
    assert proposal.changes == int((suspicious & (confidence >= proposal.threshold)).sum()) == 3
    assert proposal.threshold == pytest.approx(0.6)
    assert proposal.precision == pytest.approx(np.mean([0.95, 0.9, 0.6]))


def test_the_threshold_is_one_without_suspicious_labels() -> None:
    proposal = propose(np.array([0.9]), np.array([0.9]), np.array([False]))
    assert (proposal.threshold, proposal.changes) == (1.0, 0)


def test_a_suggestion_that_is_more_likely_wrong_than_right_is_never_proposed() -> None:
    proposal = propose(np.array([0.4, 0.45]), np.array([0.01, 0.02]), np.array([True, True]))
    assert (proposal.threshold, proposal.changes) == (1.0, 0)
