"""The regions of one image where prediction and given mask differ."""

import cv2
import numpy as np
import pytest
from hypothesis import given as drawn, settings, strategies as st

from core.judge.differing_pixels import MaskPair, differing_pixels
from core.judge.regions import RegionFinding, Regions, find_regions, propose_regions
from core.types import IGNORE, NO_LABEL, WIDE_IGNORE, ByteArray, IntArray, ignore_of, widen

CLASSES = 5
FIGURES = ("area", "given", "pseudo", "confidence", "self_confidence", "log_odds")
SHIFT = st.integers(-3, 3)


def ground(height: int = 60, width: int = 80, dtype: type = np.uint8) -> IntArray:
    return np.zeros((height, width), dtype)


def scene(seed: int, height: int = 70, width: int = 90) -> IntArray:
    """Return a mask of patches of five classes with round and thin things on them, and some pixels nobody labelled."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(5, 6, CLASSES)).astype(np.float32)
    mask = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC).argmax(axis=2).astype(np.uint8)
    for _ in range(4):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(mask, centre, int(rng.integers(2, 12)), int(rng.integers(CLASSES)), -1)
    cv2.line(mask, (int(rng.integers(width)), 0), (int(rng.integers(width)), height), int(rng.integers(CLASSES)), 2)
    cv2.circle(mask, (int(rng.integers(width)), int(rng.integers(height))), 5, IGNORE, -1)
    return mask


def noise(mask: IntArray, seed: int) -> tuple[IntArray, IntArray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, mask.shape, dtype=np.uint8), rng.integers(0, 256, mask.shape, dtype=np.uint8)


def found(
    given: IntArray, predicted: IntArray, settled: IntArray | None = None, *, boundary: int = 3, least: int = 16
) -> Regions:
    [regions] = find_regions([MaskPair(given, predicted, *noise(given, 0), settled)], boundary=boundary, least=least)
    return regions


def painted(regions: Regions, shape: tuple[int, ...]) -> IntArray:
    inside = np.zeros(shape, np.uint8)
    for suspect in regions.suspects:
        layer = np.zeros(shape, np.uint8)
        suspect.region.paint(layer, 1)
        inside += layer
    return inside


def without_ignored(mask: IntArray) -> IntArray:
    return np.where(mask == IGNORE, 0, mask).astype(np.uint8)


@drawn(st.integers(0, 999))
@settings(deadline=None, max_examples=30)
def test_an_identical_prediction_gives_no_region(seed: int) -> None:
    regions = found(scene(seed), scene(seed))
    assert (regions.suspects, regions.at_boundary, regions.tiny) == ([], 0, 0)


@drawn(st.integers(0, 999), st.integers(0, 4))
@settings(deadline=None, max_examples=40)
def test_every_pixel_that_differs_is_in_one_region_of_one_class_pair(seed: int, boundary: int) -> None:
    """With the smallest area 1 and no boundary nothing is dropped; else what is left out was counted."""
    given, predicted = scene(seed), without_ignored(scene(seed + 1000))
    differs = (given != predicted) & (given != IGNORE)
    everything = found(given, predicted, boundary=0, least=1)
    np.testing.assert_array_equal(painted(everything, given.shape), differs)
    some = found(given, predicted, boundary=boundary, least=20)
    assert painted(some, given.shape).max(initial=0) <= 1
    assert len(everything.suspects) == len(some.suspects) + some.at_boundary + some.tiny
    whole = {region.region.to_bytes() for region in everything.suspects}
    assert {region.region.to_bytes() for region in some.suspects} <= whole, "a region keeps all its pixels"
    for suspect in some.suspects:
        inside = np.zeros(given.shape, np.uint8)
        suspect.region.paint(inside, 1)
        assert set(given[inside == 1].tolist()) == {suspect.given}
        assert set(predicted[inside == 1].tolist()) == {suspect.pseudo}
        assert cv2.connectedComponents(inside, connectivity=8)[0] == 2
        assert suspect.area == suspect.region.area == inside.sum() >= 20


@drawn(st.integers(0, 999))
@settings(deadline=None, max_examples=30)
def test_regions_equal_those_of_a_plain_search(seed: int) -> None:
    given, predicted = scene(seed), without_ignored(scene(seed + 1000))
    plain = set()
    for label in range(CLASSES):
        for pseudo in range(CLASSES):
            if pseudo != label:
                pair = ((given == label) & (predicted == pseudo)).astype(np.uint8)
                count, parts, facts, _ = cv2.connectedComponentsWithStats(pair, connectivity=8)
                plain |= {
                    (label, pseudo, int(facts[part, cv2.CC_STAT_AREA]), *facts[part, :4].tolist())
                    for part in range(1, count)
                    if cv2.erode((parts == part).astype(np.uint8), np.ones((4, 4)), borderValue=0).any()
                }
    thick = {
        (suspect.given, suspect.pseudo, suspect.area, *suspect.region.box)
        for suspect in found(given, predicted, least=16).suspects
    }
    assert plain <= thick


@drawn(st.integers(0, 999))
@settings(deadline=None, max_examples=30)
def test_renaming_classes_changes_nothing(seed: int) -> None:
    given, predicted = scene(seed), without_ignored(scene(seed + 1000))
    name = np.append(np.random.default_rng(seed).permutation(CLASSES), np.full(251, IGNORE)).astype(np.uint8)
    before, after = found(given, predicted), found(name[given], name[predicted])
    assert [suspect.region.to_bytes() for suspect in before.suspects] == [
        suspect.region.to_bytes() for suspect in after.suspects
    ]
    assert [int(name[suspect.pseudo]) for suspect in before.suspects] == [suspect.pseudo for suspect in after.suspects]
    assert (before.at_boundary, before.tiny) == (after.at_boundary, after.tiny)


@drawn(st.integers(0, 999), SHIFT, SHIFT)
@settings(deadline=None, max_examples=60)
def test_a_shift_by_up_to_three_pixels_is_a_boundary_difference_and_not_a_finding(seed: int, x: int, y: int) -> None:
    """Thin things are moved too: their regions are as thin as they are, and explained by the shift."""
    wide = scene(seed, 90, 110)
    given, predicted = wide[10:80, 10:100], without_ignored(wide)[10 + y : 80 + y, 10 + x : 100 + x]
    regions = found(np.ascontiguousarray(given), np.ascontiguousarray(predicted))
    assert regions.suspects == []


def test_a_shift_of_a_large_block_is_counted_as_boundary_differences() -> None:
    given, predicted = ground(), ground()
    given[20:40, 20:40] = 1
    predicted[22:42, 20:40] = 1
    regions = found(given, predicted)
    assert (len(regions.suspects), regions.at_boundary, regions.tiny) == (0, 2, 0)


@drawn(st.integers(0, 999))
@settings(deadline=None, max_examples=30)
def test_unlabelled_and_settled_pixels_are_never_suspicious(seed: int) -> None:
    given, predicted = scene(seed), without_ignored(scene(seed + 1000))
    regions = found(given, predicted, least=1, boundary=0)
    assert not painted(regions, given.shape)[given == IGNORE].any()
    assert found(np.full_like(given, IGNORE), predicted).suspects == []
    settled = (np.random.default_rng(seed).random(given.shape) < 0.4).astype(np.uint8)
    left = painted(found(given, predicted, least=1, boundary=0, settled=settled), given.shape)
    np.testing.assert_array_equal(left, (given != predicted) & (given != IGNORE) & (settled == 0))


def test_an_overlooked_thin_object_is_found_whole_in_both_directions() -> None:
    plain, pole = ground(), ground()
    pole[5:55, 40:42] = 2
    for given, predicted in ((plain, pole), (pole, plain)):
        regions = found(given, predicted)
        assert [suspect.area for suspect in regions.suspects] == [100]
        assert regions.suspects[0].region.box == (40, 5, 2, 50)
        assert found(given, predicted, least=101).tiny == 1


def test_a_real_region_keeps_its_thin_parts() -> None:
    given, predicted = ground(), ground()
    predicted[10:30, 10:30] = 1
    predicted[19:21, 30:60] = 1
    [suspect] = found(given, predicted).suspects
    assert (suspect.given, suspect.pseudo, suspect.area) == (0, 1, 20 * 20 + 2 * 30)
    assert suspect.region.box == (10, 10, 50, 20)


def test_regions_that_touch_at_a_corner_are_joined_and_class_pairs_divide_them() -> None:
    given, predicted = ground(), ground()
    predicted[10:20, 10:20] = 1
    predicted[20:30, 20:30] = 1
    predicted[20:30, 10:20] = 2
    given[30:40, 20:30] = 3
    predicted[30:40, 20:30] = 1
    kinds = [(suspect.given, suspect.pseudo, suspect.area) for suspect in found(given, predicted).suspects]
    assert kinds == [(0, 1, 200), (0, 2, 100), (3, 1, 100)]


def test_regions_at_the_image_edges_do_not_continue_in_the_next_row() -> None:
    given, predicted = ground(), ground()
    predicted[10:20, :10] = 1
    predicted[10:20, -10:] = 1
    assert [suspect.region.box for suspect in found(given, predicted).suspects] == [(0, 10, 10, 10), (70, 10, 10, 10)]


def test_probabilities_are_means_over_the_pixels_of_the_region() -> None:
    given, predicted = ground(), ground()
    predicted[10:20, 10:20] = 1
    sure, likely = np.zeros_like(given), np.full_like(given, 255)
    sure[10:15, 10:20], sure[15:20, 10:20] = 255, 51
    likely[10:20, 10:20] = 51
    [regions] = find_regions([MaskPair(given, predicted, sure, likely)], boundary=3, least=16)
    [suspect] = regions.suspects
    assert suspect.confidence == pytest.approx(0.6)
    assert suspect.self_confidence == pytest.approx(0.2)


def test_regions_are_found_with_more_than_255_classes() -> None:
    given, predicted = ground(dtype=np.uint16), ground(dtype=np.uint16)
    given[:] = 300
    predicted[:] = 300
    given[0:5] = WIDE_IGNORE
    predicted[0:20, 10:30] = 44  # 300 and 44 are equal in their lower byte
    [suspect] = found(given, predicted).suspects
    assert (suspect.given, suspect.pseudo, suspect.area) == (300, 44, 15 * 20)
    assert ignore_of(given) == WIDE_IGNORE
    assert 0 < len(differing_pixels([given], [predicted])) == 300


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 3)])
def test_regions_are_found_in_images_of_any_size(shape: tuple[int, int]) -> None:
    given = np.zeros(shape, np.uint8)
    regions = found(given, np.ones_like(given), boundary=0, least=1)
    assert [suspect.area for suspect in regions.suspects] == [given.size]


@drawn(st.lists(st.tuples(st.integers(1, 70), st.integers(1, 90)), min_size=1, max_size=4), st.integers(0, 999))
@settings(deadline=None, max_examples=40)
def test_images_searched_together_have_the_same_regions_as_alone(sizes: list[tuple[int, int]], seed: int) -> None:
    pairs = []
    for number, (height, width) in enumerate(sizes):
        given, predicted = (scene(seed + number + other)[:height, :width] for other in (0, 500))
        settled = (noise(given, number)[0] < 30).astype(np.uint8) if number % 2 else None
        pairs.append(MaskPair(given.copy(), predicted.copy(), *noise(given, number), settled))
    together = find_regions(pairs, boundary=2, least=4)
    for pair, regions in zip(pairs, together, strict=True):
        [alone] = find_regions([pair], boundary=2, least=4)
        assert (regions.at_boundary, regions.tiny) == (alone.at_boundary, alone.tiny)
        assert [told(one) for one in regions.suspects] == [told(one) for one in alone.suspects]


def told(suspect: RegionFinding) -> tuple[object, ...]:
    return (suspect.region.to_bytes(), *(getattr(suspect, name) for name in FIGURES))


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


def inside(one: RegionFinding, shape: tuple[int, ...]) -> IntArray:
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
def test_the_regions_equal_those_of_opencv_above_the_minimum_area(seed: int, least: int) -> None:
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


def test_16_bit_masks_give_the_same_regions() -> None:
    predicted, confidence = prediction(7)
    wide = widen(predicted, 300)
    narrow_found, wide_found = propose_regions(predicted, confidence, 4), propose_regions(wide, confidence, 4)
    assert [one.region.to_bytes() for one in narrow_found] == [one.region.to_bytes() for one in wide_found]
    wide[wide == 1] = IGNORE  # a class like any other here
    assert {one.pseudo for one in propose_regions(wide, confidence, 1)} == {0, 2, 3, 4, IGNORE}


def test_an_image_of_one_class_is_one_region_and_one_without_predictions_has_none() -> None:
    sure = np.full((6, 9), 204, np.uint8)
    (one,) = propose_regions(np.full((6, 9), 3, np.uint8), sure, 54)
    assert (one.pseudo, one.area, one.region.box, one.confidence) == (3, 54, (0, 0, 9, 6), pytest.approx(0.8))
    assert propose_regions(np.full((6, 9), 3, np.uint8), sure, 55) == []
    assert propose_regions(np.full((6, 9), IGNORE, np.uint8), sure, 1) == []


def test_parts_that_touch_at_a_corner_are_joined_but_not_across_the_end_of_a_row() -> None:
    predicted = np.array([[1, 0, 0, 2], [2, 1, 0, 0]], np.uint8)
    found = propose_regions(predicted, np.full((2, 4), 255, np.uint8), 1)
    assert sorted((one.pseudo, one.area) for one in found) == [(0, 4), (1, 2), (2, 1), (2, 1)]
