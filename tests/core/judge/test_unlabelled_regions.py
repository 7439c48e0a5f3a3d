"""The regions that are proposed for the pixels nobody labelled."""

import cv2
import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from core.judge.regions import Suspect
from core.judge.unlabelled_regions import propose_regions
from core.types import IGNORE, NO_LABEL, ByteArray, IntArray, widened

CLASSES = 5
SEEDS = st.integers(0, 999)


def prediction(seed: int, height: int = 40, width: int = 60) -> tuple[IntArray, ByteArray]:
    """Return patches of five classes with specks in them, some of it IGNORE, and a confidence for each pixel."""
    rng = np.random.default_rng(seed)
    small = rng.normal(size=(5, 7, CLASSES)).astype(np.float32)
    mask = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).argmax(axis=2).astype(np.uint8)
    specks = rng.random(mask.shape) < 0.08
    mask[specks] = rng.integers(0, CLASSES, int(specks.sum()))
    cv2.circle(mask, (int(rng.integers(width)), int(rng.integers(height))), 6, IGNORE, -1)
    return mask, rng.integers(0, 256, mask.shape, dtype=np.uint8)


def inside(one: Suspect, shape: tuple[int, ...]) -> IntArray:
    layer = np.zeros(shape, np.uint8)
    one.region.paint(layer, 1)
    return layer


@drawn(SEEDS)
@settings(deadline=None, max_examples=40)
def test_every_predicted_pixel_is_in_exactly_one_region_of_its_class(seed: int) -> None:
    predicted, confidence = prediction(seed)
    found = propose_regions(predicted, confidence, 1)
    np.testing.assert_array_equal(sum(inside(one, predicted.shape) for one in found), predicted != IGNORE)
    assert sum(one.area for one in found) == int((predicted != IGNORE).sum())
    for one in found:
        pixels = inside(one, predicted.shape) == 1
        assert set(predicted[pixels].tolist()) == {one.pseudo}
        assert one.area == int(pixels.sum()) == one.region.area
        assert one.confidence == pytest.approx(confidence[pixels].mean() / 255)
        assert (one.given, one.self_confidence, one.log_odds) == (NO_LABEL, 1.0, 0.0)


@drawn(SEEDS, st.integers(1, 60))
@settings(deadline=None, max_examples=40)
def test_the_regions_are_those_that_opencv_finds_and_are_large_enough(seed: int, least: int) -> None:
    predicted, confidence = prediction(seed)
    wanted = []
    for label in range(CLASSES):
        number, parts = cv2.connectedComponents((predicted == label).astype(np.uint8), connectivity=8)
        wanted += [(label, (parts == part).tobytes()) for part in range(1, number) if (parts == part).sum() >= least]
    found = propose_regions(predicted, confidence, least)
    assert sorted((one.pseudo, (inside(one, predicted.shape) == 1).tobytes()) for one in found) == sorted(wanted)


@drawn(SEEDS, st.permutations(range(CLASSES)))
@settings(deadline=None, max_examples=30)
def test_renaming_the_classes_changes_nothing(seed: int, names: list[int]) -> None:
    predicted, confidence = prediction(seed)
    renamed = np.array([*names, *range(CLASSES, 256)], np.uint8)[predicted]
    before, after = (propose_regions(mask, confidence, 9) for mask in (predicted, renamed))
    assert [one.region.to_bytes() for one in after] == [one.region.to_bytes() for one in before]
    assert [(one.pseudo, one.confidence) for one in after] == [(names[one.pseudo], one.confidence) for one in before]


def test_masks_of_more_classes_than_a_byte_holds_give_the_same() -> None:
    predicted, confidence = prediction(7)
    wide = widened(predicted, 300)
    narrow_found, wide_found = propose_regions(predicted, confidence, 4), propose_regions(wide, confidence, 4)
    assert [one.region.to_bytes() for one in narrow_found] == [one.region.to_bytes() for one in wide_found]
    wide[wide == 1] = IGNORE  # a class like any other here
    assert {one.pseudo for one in propose_regions(wide, confidence, 1)} == {0, 2, 3, 4, IGNORE}


def test_an_image_of_one_class_is_one_region_and_one_of_no_prediction_is_none() -> None:
    sure = np.full((6, 9), 204, np.uint8)
    (one,) = propose_regions(np.full((6, 9), 3, np.uint8), sure, 54)
    assert (one.pseudo, one.area, one.region.box, one.confidence) == (3, 54, (0, 0, 9, 6), pytest.approx(0.8))
    assert propose_regions(np.full((6, 9), 3, np.uint8), sure, 55) == []
    assert propose_regions(np.full((6, 9), IGNORE, np.uint8), sure, 1) == []


def test_parts_that_touch_at_a_corner_are_one_and_across_a_row_s_end_are_two() -> None:
    predicted = np.array([[1, 0, 0, 2], [2, 1, 0, 0]], np.uint8)
    found = propose_regions(predicted, np.full((2, 4), 255, np.uint8), 1)
    assert sorted((one.pseudo, one.area) for one in found) == [(0, 4), (1, 2), (2, 1), (2, 1)]
