"""Scores of images and the agreement of masks, against cases computed by hand and against cleanlab."""

import numpy as np
import pytest
from cleanlab.segmentation.rank import get_label_quality_scores
from hypothesis import given as drawn, settings, strategies as st

from core.judge.differing_pixels import differing_pixels
from core.judge.mask_scoring import (
    agreement_by_confidence,
    class_counts,
    class_ious,
    given_histograms,
    histogram,
    inner_pixels,
    mean_iou,
    pixel_accuracy,
    pixel_confusion,
    softmin_score,
)
from core.types import IGNORE, WIDE_IGNORE


@drawn(st.integers(0, 999))
@settings(deadline=None, max_examples=20)
def test_the_softmin_equals_cleanlabs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (3, 20, 30))
    probs = rng.dirichlet(np.full(4, 0.5), labels.shape).transpose(0, 3, 1, 2)
    theirs = get_label_quality_scores(labels, probs, method="softmin", verbose=False)[0]
    given = np.take_along_axis(probs, labels[:, None], axis=1)[:, 0]
    ours = [softmin_score(histogram(np.round(255 * image).astype(np.uint8))) for image in given]
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_the_softmin_matches_a_hand_made_example() -> None:
    counts = np.zeros(256, np.int64)
    counts[0], counts[255] = 1, 3
    heavy, light = np.exp(0), np.exp(-10)
    assert softmin_score(counts) == pytest.approx(3 * light / (heavy + 3 * light))
    assert softmin_score(counts, temperature=1e6) == pytest.approx(0.75, abs=1e-4)
    assert softmin_score(np.zeros(256, np.int64)) == 1.0
    counts[:] = 0
    counts[51] = 9
    assert softmin_score(counts) == pytest.approx(0.2)


def test_one_wrong_patch_lowers_an_images_score_and_a_border_does_not() -> None:
    given = np.zeros((40, 40), np.uint8)
    given[:, 20:] = 1
    likely = np.full(given.shape, 240, np.uint8)
    clean = softmin_score(histogram(likely, inner_pixels(given, 3)))
    likely[:, 17:23] = 20
    assert softmin_score(histogram(likely, inner_pixels(given, 3))) == clean
    likely[5:10, 5:10] = 20
    assert softmin_score(histogram(likely, inner_pixels(given, 3))) < clean - 0.3


@pytest.mark.parametrize("boundary", [0, 1, 3])
def test_inner_pixels_are_far_from_every_other_class(boundary: int) -> None:
    rng = np.random.default_rng(boundary)
    given = np.kron(rng.integers(0, 3, (5, 6)), np.ones((12, 12))).astype(np.uint8)
    given[30:33, 10:40] = IGNORE
    inner = inner_pixels(given, boundary)
    for y in range(given.shape[0]):
        for x in range(given.shape[1]):
            near = given[max(0, y - boundary) : y + boundary + 1, max(0, x - boundary) : x + boundary + 1]
            assert bool(inner[y, x]) == (given[y, x] != IGNORE and (near == given[y, x]).all()), (y, x)


def test_confusion_and_iou_match_a_hand_made_example() -> None:
    given = np.array([[0, 0, 1, 1], [0, IGNORE, 1, 2]], np.uint8)
    predicted = np.array([[0, 1, 1, 1], [0, 2, 0, 2]], np.uint8)
    confusion = pixel_confusion(given, predicted, 4)
    np.testing.assert_array_equal(confusion, [[2, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    assert class_ious(confusion) == [2 / 4, 2 / 4, 1.0, None]
    assert mean_iou(confusion) == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert pixel_accuracy(confusion) == pytest.approx(5 / 7)


def test_a_perfect_prediction_has_iou_1_and_an_absent_class_none() -> None:
    given = np.array([[0, 2], [2, 2]], np.uint8)
    confusion = pixel_confusion(given, given, 3)
    assert class_ious(confusion) == [1.0, None, 1.0]
    assert mean_iou(confusion) == 1.0


def test_a_class_that_is_only_predicted_has_iou_0() -> None:
    given, predicted = np.zeros((2, 2), np.uint8), np.array([[0, 0], [0, 1]], np.uint8)
    assert class_ious(pixel_confusion(given, predicted, 2)) == [0.75, 0.0]


def test_metrics_are_missing_without_labelled_pixels() -> None:
    given = np.full((3, 3), IGNORE, np.uint8)
    confusion = pixel_confusion(given, np.zeros_like(given), 2)
    assert not confusion.any()
    assert (class_ious(confusion), mean_iou(confusion), pixel_accuracy(confusion)) == ([None, None], None, None)


@drawn(st.integers(0, 999), st.sampled_from([np.uint8, np.uint16]))
@settings(deadline=None, max_examples=30)
def test_the_confusion_counts_every_pixel_and_follows_renamed_classes(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    classes = 6 if dtype is np.uint8 else 300
    given = rng.integers(0, classes, (17, 23)).astype(dtype)
    predicted = np.where(rng.random(given.shape) < 0.7, given, rng.integers(0, classes, given.shape)).astype(dtype)
    given[rng.random(given.shape) < 0.1] = np.iinfo(dtype).max
    known = given != np.iinfo(dtype).max
    plain = np.zeros((classes, classes), np.int64)
    np.add.at(plain, (given[known].astype(int), predicted[known].astype(int)), 1)
    np.testing.assert_array_equal(pixel_confusion(given, predicted, classes), plain)
    name = rng.permutation(classes)
    renamed = np.where(known, name[np.where(known, given, 0)], np.iinfo(dtype).max).astype(dtype)
    after = pixel_confusion(renamed, name[predicted].astype(dtype), classes)
    np.testing.assert_array_equal(after[np.ix_(name, name)], plain)


def test_an_undeclared_class_is_refused() -> None:
    given = np.array([[0, 7]], np.uint8)
    with pytest.raises(ValueError, match="class 7"):
        pixel_confusion(given, np.zeros_like(given), 3)
    with pytest.raises(ValueError, match="class 7"):
        pixel_confusion(np.zeros_like(given), given, 3)
    wide = np.array([[0, 300, WIDE_IGNORE]], np.uint16)
    with pytest.raises(ValueError, match="class 300"):
        pixel_confusion(wide, wide, 300)


def test_agreement_is_counted_by_image_and_confidence() -> None:
    given, predicted = np.array([[0, 0, 1, IGNORE]], np.uint8), np.array([[0, 1, 1, 1]], np.uint8)
    confidence = np.array([[200, 200, 250, 250]], np.uint8)
    counted = (given != IGNORE).astype(np.uint8)
    differing = differing_pixels([given, given], [predicted, given])
    every, right = agreement_by_confidence([confidence] * 2, [counted] * 2, differing)
    assert (every[0, 200], right[0, 200], every[0, 250], right[0, 250], every[0].sum()) == (2, 1, 1, 1, 3)
    assert (every[1] == every[0]).all()
    assert (right[1] == every[1]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_image_of_one_pixel_has_one_inner_pixel_or_none(dtype: type) -> None:
    assert inner_pixels(np.zeros((1, 1), dtype), 3).tolist() == [[255]]
    assert inner_pixels(np.full((1, 1), np.iinfo(dtype).max, dtype), 3).tolist() == [[0]]


def test_counts_are_exact_in_very_large_images() -> None:
    assert class_counts(np.ones((4097, 4097), np.uint8), 2).tolist() == [0, 4097**2], "no float32 can hold it"


@drawn(st.integers(0, 10_000))
@settings(max_examples=40)
def test_the_histogram_of_given_probabilities_follows_from_confidences_and_differing_pixels(seed: int) -> None:
    random = np.random.default_rng(seed)
    given, predicted = random.integers(0, 3, (2, 9, 11)).astype(np.uint8)
    given[random.random(given.shape) < 0.1] = IGNORE
    confidence = random.integers(128, 256, given.shape).astype(np.uint8)
    given_probability = np.where(given == predicted, confidence, 255 - confidence).astype(np.uint8)
    counted = ((random.random(given.shape) < 0.7) & (given != IGNORE)).astype(np.uint8)
    differing = differing_pixels([given], [predicted])
    differing = differing.where(differing.values_of([counted]) != 0)
    _, right = agreement_by_confidence([confidence], [counted], differing)
    [found] = given_histograms(right, [given_probability], differing)
    np.testing.assert_array_equal(found, histogram(given_probability, counted))
