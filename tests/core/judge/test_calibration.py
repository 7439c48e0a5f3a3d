import numpy as np
import pytest

from core.judge.calibration import probabilities, reliability, temperature
from core.types import NO_LABEL


def drawn(count: int, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels drawn from exactly those probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, classes)).astype(np.float32)
    chance = probabilities(logits)
    labels = (chance.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return logits, labels


def test_probabilities_sum_to_one_and_survive_large_logits() -> None:
    probs = probabilities(np.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]], np.float32))
    np.testing.assert_allclose(probs, [[1, 0, 0], [1 / 3] * 3], atol=1e-6)


def test_logits_are_not_modified() -> None:
    logits, labels = drawn(50)
    before = logits.copy()
    temperature(logits, labels)
    probabilities(logits, 2.0)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_a_scaling_of_the_logits(factor: float) -> None:
    logits, labels = drawn(20_000)
    assert temperature(logits * np.float32(factor), labels) == pytest.approx(factor, rel=0.05)


def test_renaming_classes_and_permuting_items_change_no_temperature() -> None:
    logits, labels = drawn(500)
    order, rows = np.array([2, 0, 3, 1]), np.random.default_rng(1).permutation(500)
    renamed = temperature(logits[rows][:, order], np.argsort(order)[labels[rows]])
    assert renamed == pytest.approx(temperature(logits, labels), rel=1e-3)


def test_unlabelled_items_do_not_count() -> None:
    logits, labels = drawn(400)
    labels[:200] = NO_LABEL
    assert temperature(logits, labels) == pytest.approx(temperature(logits[200:], labels[200:]), rel=1e-6)
    assert temperature(logits, np.full(400, NO_LABEL)) == 1.0


def test_reliability_counts_every_item_once_and_matches_observed_agreement() -> None:
    expected = np.array([0.0, 0.05, 0.55, 0.59, 1.0])
    bins = reliability(expected, np.array([0, 1, 1, 1, 1]))
    assert [(row["lower"], row["count"], row["accuracy"]) for row in bins] == [
        (0.0, 2, 0.5),
        (0.5, 2, 1.0),
        (0.9, 1, 1.0),
    ]
    assert bins[1]["mean_confidence"] == pytest.approx(0.57)
