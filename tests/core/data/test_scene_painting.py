import numpy as np
import pytest

from core.data.scene_painting import GROUND, HEIGHT, WIDTH, paint_scene

BAR = np.zeros((8, 8))
BAR[:, 3:5] = 16


def paint(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return paint_scene(np.stack([BAR] * count), np.arange(1, count + 1), np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_every_digit_is_seen_and_covers_its_share_of_the_mask(seed: int) -> None:
    picture, mask = paint(2, seed)
    assert (picture.shape, picture.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((HEIGHT, WIDTH), np.uint8)
    areas = np.bincount(mask.ravel(), minlength=3) / mask.size
    assert areas[GROUND] > 0.7
    assert (areas[1:] > 0.015).all()
    assert (areas[1:] < 0.1).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_digit_differs_from_its_ground_and_the_picture_has_texture(seed: int) -> None:
    picture, mask = paint(1, seed)
    inside, outside = picture[mask == 1].astype(float), picture[mask == GROUND].astype(float)
    assert np.abs(inside.mean(0) - outside.mean(0)).max() > 25
    assert outside.std(0).max() > 3


def test_a_scene_is_a_matter_of_its_seed() -> None:
    for one, other in zip(paint(3, 7), paint(3, 7), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (paint(3, 7)[0] != paint(3, 8)[0]).any()


def test_what_finds_no_room_is_left_out() -> None:
    _, mask = paint(60, 1)
    assert len(np.unique(mask)) - 1 < 20
