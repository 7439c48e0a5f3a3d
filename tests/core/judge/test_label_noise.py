"""Estimates of label noise by strong, weak and random networks, where the truth is known."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from core.data.demo import wrong_labels
from core.judge import label_noise
from core.judge.calibration import probabilities, temperature
from core.judge.label_noise import LabelNoise, fit_noise
from core.judge.pseudo_labels import ThresholdProposal
from core.judge.scoring import ConfidentVotes, confident_votes
from core.types import NO_LABEL, FloatArray, IntArray
from tools.fixtures.labels import calibrate, draw_case, propose_labels


def drawn(signal: float, **more: Any) -> tuple[FloatArray, IntArray, IntArray]:
    """Return logits, given labels and true classes; the networks are as good as `signal`, so many labels are wrong."""
    case = draw_case(signal, **more)
    return calibrate(case), case.given, case.true


def judged(logits: FloatArray, given: IntArray) -> tuple[ThresholdProposal, FloatArray, IntArray]:
    """Return the proposal, the confidences and the pseudo labels."""
    proposal, pseudo, confidence, _ = propose_labels(logits, given)
    return proposal, confidence, pseudo


@pytest.mark.parametrize("signal", [2.5, 4.0, 7.0])
def test_the_estimated_effect_of_accepting_is_observed(signal: float) -> None:
    logits, given, true = drawn(signal)
    proposal, confidence, pseudo = judged(logits, given)
    accepted = (pseudo != given) & (confidence >= proposal.threshold)
    before, after = (given == true).mean(), (np.where(accepted, pseudo, given) == true).mean()
    assert proposal.precision == pytest.approx((pseudo == true)[accepted].mean(), abs=0.07)
    assert proposal.label_accuracy_before == pytest.approx(before, abs=0.02)
    assert proposal.label_accuracy_after == pytest.approx(after, abs=0.015)
    assert after > before + 0.02


@pytest.mark.parametrize(
    ("signal", "classes", "each", "wrong"),
    [
        (0.5, 10, 200, 0.08),
        (1.5, 10, 200, 0.08),
        (2.0, 10, 200, 0.0),
        (0.0, 10, 200, 0.0),
        (1.0, 300, 3, 0.0),
        (2.5, 100, 30, 0.0),
        (2.5, 100, 30, 0.08),
        (2.5, 200, 20, 0.0),
    ],
)
def test_a_weak_network_does_not_override_right_labels(signal: float, classes: int, each: int, wrong: float) -> None:
    logits, given, true = drawn(signal, classes=classes, each=each, wrong=wrong)
    assert (logits.argmax(axis=1) == given).mean() < 0.75
    proposal, confidence, pseudo = judged(logits, given)
    accepted = (pseudo != given) & (confidence >= proposal.threshold)
    assert (np.where(accepted, pseudo, given) == true).mean() >= (given == true).mean() - 0.005
    assert proposal.changes < 0.03 * len(given)


def test_wrong_labels_of_one_direction_are_all_estimated() -> None:
    logits, _, true = drawn(6.0)
    given = np.where(np.random.default_rng(1).random(len(true)) < 0.3, (true + 1) % 10, true)
    noise, _ = fit_noise(logits, given, confident_votes(probabilities(logits), given))
    assert 1 - noise.joint.trace() / noise.joint.sum() == pytest.approx(0.3, abs=0.03)
    assert noise.rates[np.arange(10), (np.arange(10) + 1) % 10] == pytest.approx(0.3, abs=0.08)


def test_an_item_does_not_count_as_evidence_for_itself() -> None:
    joint = np.diag([3.0, 3.0, 3.0])
    joint[0, 1] = 1.5  # an item labelled 0 voted for 1, and stands for one and a half
    noise = LabelNoise(ConfidentVotes(np.array([1, NO_LABEL, 1]), np.array([1.5, 1, 1]), joint), 1.0)
    own, silent, agreeing = noise.likelihoods(np.array([0, 0, 1]), np.arange(3))
    assert own[1] == pytest.approx(0.5 / 5), "of class 1 three are left, and one right and one wrong one are added"
    assert silent[1] == pytest.approx(2 / 6.5)
    assert agreeing[1] == pytest.approx((3 + 1 - 1) / 5.5)
    half = LabelNoise(noise.votes, 0.5)
    [own] = half.likelihoods(np.array([0]), np.array([0]))
    assert own[1] == pytest.approx(0.5 / 5)
    assert own[0] == pytest.approx((3 + 1) / 5), "nor is what was given back of its vote said for its label"


def silent(joint: FloatArray) -> ConfidentVotes:
    """Return votes that add up to a joint, none of them of an item at hand."""
    return ConfidentVotes(np.empty(0, np.int64), np.ones(len(joint)), joint)


def test_rates_sum_to_one_and_are_positive() -> None:
    rates = LabelNoise(silent(np.array([[90.0, 0, 0], [10, 50, 0], [0, 0, 0]])), 1.0).rates
    np.testing.assert_allclose(rates.sum(axis=1), 1)
    assert (rates > 0).all()
    assert rates[0, 1] == pytest.approx(10.5 / 102)  # of the true class 0: 100 items, one right and one wrong added


def test_a_share_below_one_returns_the_rest_to_the_given_labels() -> None:
    noise = LabelNoise(silent(np.array([[90.0, 10], [0, 50]])), 0.25)
    np.testing.assert_allclose(noise.joint, [[97.5, 2.5], [0, 50]])


def test_errors_are_spread_evenly_only_if_the_labels_support_it() -> None:
    for signal, classes, each in ((7.0, 10, 100), (6.0, 60, 30)):
        logits, given, true = drawn(signal, classes=classes, each=each)
        noise, _ = fit_noise(logits, given, confident_votes(probabilities(logits), given))
        assert noise.evenly >= 0.5
        one_way = np.where(np.random.default_rng(1).random(len(true)) < 0.15, (true + 1) % classes, true)
        noise, _ = fit_noise(logits, one_way, confident_votes(probabilities(logits), one_way))
        assert noise.evenly <= 0.25


def test_spreading_errors_evenly_keeps_their_number_and_lowers_the_weight_of_a_vote() -> None:
    joint = np.array([[8.0, 2, 0], [0, 10, 0], [0, 0, 10]])
    votes = ConfidentVotes(np.array([1]), np.ones(3), joint)
    noise = LabelNoise(votes, 1.0, 1.0)
    np.testing.assert_allclose(noise.joint.sum(axis=1), 10)
    assert noise.joint.sum() - noise.joint.trace() == pytest.approx(2)
    assert len(set(noise.joint[~np.eye(3, dtype=bool)].round(9))) == 1
    np.testing.assert_allclose(noise.likelihoods(np.array([0]), np.array([0]))[0], noise.rates[:, 0])


def test_unlabelled_items_do_not_affect_the_noise() -> None:
    logits, given, _ = drawn(4.0)
    more, labels = np.concatenate([logits, logits[:300]]), np.concatenate([given, np.full(300, NO_LABEL)])
    alone = fit_noise(logits, given, confident_votes(probabilities(logits), given))
    together = fit_noise(more, labels, confident_votes(probabilities(more), labels))
    assert (together[0].share, together[1]) == (alone[0].share, alone[1])


def test_a_subsample_gives_the_same_noise_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, given, _ = drawn(3.0, each=1000)
    order = np.arange(len(given)).reshape(10, -1).T.ravel()  # one of each class in turn
    whole, _ = fit_noise(logits, given, confident_votes(probabilities(logits), given))
    monkeypatch.setattr(label_noise, "_FIT_VALUES", 1)
    monkeypatch.setattr(label_noise, "_FIT_ITEMS", 5000)
    for rows in (np.arange(len(given)), order):
        some, _ = fit_noise(logits[rows], given[rows], confident_votes(probabilities(logits[rows]), given[rows]))
        assert some.share == pytest.approx(whole.share, abs=0.2)


def test_real_digits_with_every_twelfth_label_wrong_are_repaired_as_expected() -> None:
    images, true = load_digits(return_X_y=True)
    given = wrong_labels(true.astype(np.int64), 0.08, 0)
    model = LogisticRegression(C=0.1, max_iter=300)
    logits = cross_val_predict(model, images / 16, given, cv=3, method="predict_log_proba").astype(np.float32)
    logits /= np.float32(temperature(logits, given))
    proposal, confidence, pseudo = judged(logits, given)
    accepted = (pseudo != given) & (confidence >= proposal.threshold)
    assert (given == true).mean() < 0.93
    assert (np.where(accepted, pseudo, given) == true).mean() > 0.975
    assert proposal.precision == pytest.approx((pseudo == true)[accepted].mean(), abs=0.05)
    assert proposal.label_accuracy_before == pytest.approx((given == true).mean(), abs=0.02)
