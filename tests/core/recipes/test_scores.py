import numpy as np
import pytest

from core.recipes.scores import MaskScore, image_confusion, no_pixels
from core.types import IGNORE


def test_pixels_are_counted_over_all_images_and_ignored_ones_nowhere() -> None:
    confusion = no_pixels(3)
    confusion += image_confusion(np.array([[0, 0, 1, IGNORE]], np.uint8), np.array([[0, 1, 1, 2]], np.uint8), 3)
    confusion += image_confusion(np.array([[1, 1]], np.uint8), np.array([[1, 1]], np.uint8), 3)
    score = MaskScore.of(confusion)
    assert score.ious == [1 / 2, 3 / 4, None]
    assert score.mean_iou == pytest.approx(5 / 8)
    assert score.accuracy == pytest.approx(4 / 5)


def test_of_nothing_nothing_is_said() -> None:
    assert MaskScore.of(no_pixels(2)) == MaskScore(mean_iou=None, ious=[None, None], accuracy=None)
