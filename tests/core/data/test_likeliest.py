"""Five likeliest classes instead of all: what stays exact, and what becomes an equal share of the rest."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from core.data import likeliest as module
from core.data.likeliest import KEPT, LIKELIEST, LOGITS, expand, keeps_all, likeliest, logits_in, summarise
from core.types import NO_LABEL, FloatArray


def softmax(logits: FloatArray) -> FloatArray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def drawn(classes: int, seed: int, scale: float = 3.0) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    return (scale * rng.normal(size=(50, classes))).astype(np.float32), rng.integers(NO_LABEL, classes, 50)


@given(st.integers(6, 300), st.integers(0, 999), st.sampled_from([0.0, 1.0, 30.0]))
@settings(max_examples=40, deadline=None)
def test_likeliest_and_given_classes_keep_their_probabilities_and_the_rest_keeps_its_sum(
    classes: int, seed: int, scale: float
) -> None:
    logits, given_labels = drawn(classes, seed, scale)
    again = expand(summarise(logits, given_labels), classes)
    exact, found = softmax(logits), softmax(again)
    kept = np.zeros(logits.shape, bool)
    np.put_along_axis(kept, likeliest(logits, KEPT), values=True, axis=1)
    known = np.flatnonzero(given_labels != NO_LABEL)
    kept[known, given_labels[known]] = True
    np.testing.assert_array_equal(again[kept], logits[kept])
    np.testing.assert_allclose(found[kept], exact[kept], rtol=2e-5)
    np.testing.assert_allclose(np.where(kept, 0, found).sum(axis=1), np.where(kept, 0, exact).sum(axis=1), atol=2e-6)
    for row in range(len(again)):
        assert len(np.unique(again[row][~kept[row]])) <= 1


@given(st.integers(2, 40), st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_the_likeliest_are_in_the_order_of_a_stable_sort(classes: int, seed: int) -> None:
    probs = np.random.default_rng(seed).integers(0, 4, (30, classes)).astype(np.float32)  # many are equal
    most = min(KEPT, classes)
    np.testing.assert_array_equal(likeliest(probs, most), np.argsort(-probs, axis=1, kind="stable")[:, :most])


def test_no_probability_is_lost_when_only_one_class_is_left() -> None:
    logits, _ = drawn(KEPT + 1, 3)
    again = expand(summarise(logits, np.full(len(logits), NO_LABEL)), KEPT + 1)
    np.testing.assert_allclose(softmax(again), softmax(logits), rtol=1e-5, atol=1e-9)


def test_rows_are_summarised_independently(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = drawn(20, 5)
    whole = summarise(logits, labels)
    monkeypatch.setattr(module, "_VALUES", 70)
    np.testing.assert_array_equal(summarise(logits, labels), whole)
    columns = {LIKELIEST: whole}
    rows = np.array([4, 0, 9])
    np.testing.assert_array_equal(logits_in(columns, 20)[rows], expand(whole, 20)[rows])
    np.testing.assert_array_equal(logits_in({LOGITS: logits}, 20)[rows], logits[rows])


def test_a_sample_takes_42_bytes_and_more_only_with_very_many_classes() -> None:
    labels = np.zeros(2, np.int64)
    assert summarise(np.zeros((2, 1000), np.float32), labels).dtype.itemsize == 42
    assert summarise(np.zeros((2, 70_000), np.float32), labels).dtype.itemsize == 52


def test_all_classes_are_kept_up_to_a_million_samples_or_if_there_are_few() -> None:
    assert keeps_all(1_000_000, 1000)
    assert not keeps_all(1_000_001, 12)
    assert keeps_all(100_000_000, 11)
