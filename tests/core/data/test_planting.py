"""Errors put into masks on purpose."""

import cv2
import numpy as np
import pytest

from core.data.planting import Planting, plant
from core.types import IGNORE, IntArray, ignore_of


def scene(dtype: type = np.uint8) -> IntArray:
    """Return ground 0 with a disc 1, a block 2 and a bar 3, and a strip nobody labelled, (90, 120)."""
    mask = np.zeros((90, 120), np.uint8)
    cv2.circle(mask, (30, 30), 14, 1, -1)
    mask[20:45, 55:80] = 2
    mask[60:68, 20:100] = 3
    mask[80:] = IGNORE
    wide = mask.astype(dtype)
    wide[mask == IGNORE] = ignore_of(wide)
    return wide


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", list(Planting))
def test_the_region_contains_exactly_the_wrong_pixels(kind: Planting, dtype: type) -> None:
    for seed in range(8):
        true = scene(dtype)
        given, region = plant(true, kind, np.random.default_rng(seed))
        wrong = np.zeros(true.shape, np.uint8)
        region.paint(wrong, 1)
        assert given.dtype == dtype
        np.testing.assert_array_equal(wrong == 1, given != true)
        np.testing.assert_array_equal(true, scene(dtype))
        assert region.area >= 48


@pytest.mark.parametrize("kind", list(Planting))
def test_ignored_pixels_stay_and_none_is_added(kind: Planting) -> None:
    for seed in range(8):
        given, _ = plant(scene(), kind, np.random.default_rng(seed))
        np.testing.assert_array_equal(given == IGNORE, scene() == IGNORE)


@pytest.mark.parametrize("kind", list(Planting))
def test_a_seed_gives_the_same_error_again(kind: Planting) -> None:
    first, _ = plant(scene(), kind, np.random.default_rng(3))
    again, _ = plant(scene(), kind, np.random.default_rng(3))
    np.testing.assert_array_equal(first, again)


def test_each_kind_of_error_changes_the_mask_as_named() -> None:
    for seed in range(8):
        true = scene()
        objects = {
            name: plant(true, kind, np.random.default_rng(seed))[0] for name, kind in Planting.__members__.items()
        }
        was = true[objects["DROPPED"] != true]
        assert len(np.unique(was)) == 1
        assert not objects["DROPPED"][objects["DROPPED"] != true].any()
        assert set(objects["SWAPPED"][objects["SWAPPED"] != true].tolist()) <= {1, 2, 3}
        grown = objects["DILATED"] != true
        assert (true[grown] == 0).mean() > 0.5
        moved = objects["SHIFTED"] != true
        assert 0 in objects["SHIFTED"][moved]
        assert len(np.unique(objects["MERGED"])) <= len(np.unique(true))


def test_classes_absent_from_the_mask_can_be_swapped_in() -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[20:40, 20:40] = 1
    given, _ = plant(mask, Planting.SWAPPED, np.random.default_rng(0), classes=3)
    assert set(np.unique(given)) == {0, 2}


def test_planting_an_error_needs_a_mask_with_objects() -> None:
    with pytest.raises(ValueError, match="more in it"):
        plant(np.zeros((50, 50), np.uint8), Planting.DROPPED, np.random.default_rng(0))
    with pytest.raises(ValueError, match="more in it"):
        plant(np.full((50, 50), IGNORE, np.uint8), Planting.DROPPED, np.random.default_rng(0))
