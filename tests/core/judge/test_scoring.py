import numpy as np
import pytest
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from hypothesis import given, settings, strategies as st

from core.judge import row_blocks
from core.judge.scoring import confident_votes, margin, self_confidence
from core.types import NO_LABEL


def drawn(count: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(classes, 0.5), count)
    return probs, rng.integers(0, classes, count)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 999))
def test_scores_equal_those_of_cleanlab(count: int, classes: int, seed: int) -> None:
    probs, labels = drawn(count, classes, seed)
    for score, method in ((self_confidence, "self_confidence"), (margin, "normalized_margin")):
        theirs = get_label_quality_scores(labels, probs, method=method)
        np.testing.assert_allclose(score(probs, labels), theirs, rtol=1e-6, atol=1e-9)


def test_scores_match_three_hand_made_cases() -> None:
    probs = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.7, 0.2, 0.1]])
    labels = np.array([0, 1, 2])
    np.testing.assert_allclose(self_confidence(probs, labels), [0.7, 0.2, 0.1])
    np.testing.assert_allclose(margin(probs, labels), [0.75, 0.25, 0.2])


def test_the_joint_keeps_the_count_of_each_given_label_and_finds_planted_errors() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 3000)
    given_labels = np.where(rng.random(3000) < 0.1, (truth + 1) % 3, truth)
    probs = np.full((3000, 3), 0.02)
    probs[np.arange(3000), truth] = 0.96
    joint = confident_votes(probs, given_labels).joint
    np.testing.assert_allclose(joint.sum(axis=1), np.bincount(given_labels))
    planted = int((given_labels != truth).sum())
    assert joint.sum() - joint.trace() == pytest.approx(planted, rel=0.1)
    assert find_label_issues(given_labels, probs).sum() == pytest.approx(planted, rel=0.1)


def test_a_class_without_given_labels_does_no_harm() -> None:
    probs, labels = drawn(60, 4, 0)
    labels[labels == 2] = 1
    joint = confident_votes(probs, labels).joint
    assert np.isfinite(joint).all()
    assert joint[2].sum() == 0


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 7), st.integers(1, 80), st.integers(0, 999))
def test_the_joint_equals_cleanlabs_and_the_votes_add_up_to_it(classes: int, count: int, seed: int) -> None:
    probs, labels = drawn(count, classes, seed)
    votes = confident_votes(probs, labels)
    theirs = compute_confident_joint(labels, probs, calibrate=False)
    given_counts = np.bincount(labels, minlength=classes)
    np.testing.assert_allclose(votes.joint, theirs * (given_counts / theirs.sum(axis=1))[:, None])
    said = votes.voted != NO_LABEL
    counted = np.zeros((classes, classes))
    np.add.at(counted, (labels[said], votes.voted[said]), votes.weight[labels[said]])
    off = ~np.eye(classes, dtype=bool)
    np.testing.assert_allclose(counted[off], votes.joint[off])


def test_unlabelled_items_do_not_vote_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    probs, labels = drawn(60, 4, 0)
    labels[::3] = NO_LABEL
    votes = confident_votes(probs, labels)
    assert (votes.voted[::3] == NO_LABEL).all()
    np.testing.assert_allclose(votes.joint, confident_votes(probs[labels >= 0], labels[labels >= 0]).joint)
    monkeypatch.setattr(row_blocks, "_VALUES", 7)
    np.testing.assert_array_equal(confident_votes(probs, labels).voted, votes.voted)
