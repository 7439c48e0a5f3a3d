from dataclasses import replace

import numpy as np
import pytest

from core.recipes.scores import MaskScore, Score, empty_confusion, image_confusion
from core.types import IGNORE


def test_pixels_are_counted_over_all_images_without_ignored_ones() -> None:
    confusion = empty_confusion(3)
    confusion += image_confusion(np.array([[0, 0, 1, IGNORE]], np.uint8), np.array([[0, 1, 1, 2]], np.uint8), 3)
    confusion += image_confusion(np.array([[1, 1]], np.uint8), np.array([[1, 1]], np.uint8), 3)
    score = MaskScore.of(confusion)
    assert score.ious == [1 / 2, 3 / 4, None]
    assert score.mean_iou == pytest.approx(5 / 8)
    assert score.accuracy == pytest.approx(4 / 5)


def test_no_predictions_have_no_score() -> None:
    assert MaskScore.of(empty_confusion(2)) == MaskScore(mean_iou=None, ious=[None, None], accuracy=None)


def test_the_likelier_of_two_equal_scores_is_better() -> None:
    one = Score(value=0.9, per_class=[0.9], accuracy=0.9, log_likelihood=-0.3)
    assert replace(one, value=0.91, log_likelihood=-0.5).beats(one)
    assert replace(one, log_likelihood=-0.2).beats(one)
    assert not one.beats(one)
    assert not replace(one, log_likelihood=None).beats(one)
    assert not one.beats(replace(one, log_likelihood=None))
