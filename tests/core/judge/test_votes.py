"""Several models' likeliest classes of one image, merged."""

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from core.judge.votes import merged
from core.types import ByteArray, FloatArray, IntArray

CLASSES = 4


def models(seed: int, folds: int, sharpness: float = 2.0) -> FloatArray:
    """Return what some models give each class at each pixel, (F, K, H, W)."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(1, CLASSES, 9, 11))
    logits = sharpness * (common + 0.7 * rng.normal(size=(folds, CLASSES, 9, 11)))
    shares = np.exp(logits)
    probs: FloatArray = shares / shares.sum(axis=1, keepdims=True)
    return probs


def votes_of(probs: FloatArray) -> list[tuple[IntArray, ByteArray]]:
    return [(one.argmax(axis=0).astype(np.uint8), np.round(255 * one.max(axis=0)).astype(np.uint8)) for one in probs]


@drawn(st.integers(0, 999), st.integers(1, 7))
@settings(deadline=None, max_examples=50)
def test_confidence_is_the_mean_where_all_agree_and_never_more_than_it(seed: int, folds: int) -> None:
    probs = models(seed, folds)
    predicted, confidence = merged(votes_of(probs))
    mean = np.take_along_axis(probs.mean(axis=0), predicted[None].astype(np.int64), axis=0)[0]
    named = np.stack([one.argmax(axis=0) for one in probs])
    unanimous = (named == named[:1]).all(axis=0)
    np.testing.assert_allclose(confidence[unanimous] / 255, mean[unanimous], atol=1 / 255)
    assert (confidence / 255 <= mean + 1 / 255).all()
    left = np.where(named == predicted, 0, 1 - probs.max(axis=1)).mean(axis=0)
    assert (mean - confidence / 255 <= left + 1 / 255).all()
    assert (named == predicted).any(axis=0).all(), "somebody named it"


@drawn(st.integers(0, 999), st.permutations(range(CLASSES)))
@settings(deadline=None, max_examples=30)
def test_renaming_the_classes_changes_nothing(seed: int, names: list[int]) -> None:
    votes = votes_of(models(seed, 5))
    renamed = np.array(names, np.uint8)
    predicted, confidence = merged(votes)
    again, sure = merged([(renamed[named], own) for named, own in votes])
    np.testing.assert_array_equal(again, renamed[predicted])
    np.testing.assert_array_equal(sure, confidence)


def test_sure_models_are_the_dense_mean() -> None:
    """With networks as sure as trained ones are, the class is nearly always that of the dense mean."""
    probs = np.concatenate([models(seed, 5, sharpness=4) for seed in range(20)], axis=3)
    predicted, _ = merged(votes_of(probs))
    assert (predicted == probs.mean(axis=0).argmax(axis=0)).mean() > 0.95


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([(1, 200)], (1, 200)),
        ([(1, 250), (2, 120), (2, 140)], (2, 87)),  # two who lean to a class outweigh one who is sure, by a hair
        ([(1, 255), (2, 255), (1, 0)], (1, 85)),  # as likely: the first to name one
        ([(3, 255)] * 9, (3, 255)),
    ],
)
def test_some_by_hand(votes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    wide = [(np.full((1, 1), named, np.uint16), np.full((1, 1), sure, np.uint8)) for named, sure in votes]
    predicted, confidence = merged(wide)
    assert (int(predicted[0, 0]), int(confidence[0, 0])) == expected
    assert (predicted.dtype, confidence.dtype) == (np.uint16, np.uint8)
