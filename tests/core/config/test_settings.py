"""Properties common to the settings of all recipes."""

from typing import Any

import pytest

from core.config import CrossTrainingSettings, IteratedSettings, TrainingCosts
from core.types import ConfigError


def test_an_unknown_setting_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as refused:
        IteratedSettings.from_json({"step": 1, "a": 2, "share": "x"})
    assert refused.value.message == "unknown settings a, step of the recipe"
    assert refused.value.cure.startswith("known are adaptive, adaptive_masks, consistency, fine_tuning, fine")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"steps": "abc"}, 'steps is "abc", must be a whole number'),
        ({"steps": 2.5}, "steps is 2.5, must be a whole number"),
        ({"steps": True}, "steps is true, must be a whole number"),
        ({"learning_rate": None}, "learning_rate is null, must be a number"),
        ({"learning_rate": True}, "learning_rate is true, must be a number"),
        ({"learning_rate": "1"}, 'learning_rate is "1", must be a number'),
        ({"block": "x", "steps": "y"}, 'steps is "y", must be a whole number'),
        ({"baseline": 1}, "baseline is 1, must be true or false"),
        ({"test_split": 2020}, "test_split is 2020, must be a text; a number as one stands in quotes"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_what_it_must_be(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        CrossTrainingSettings.from_json(values)
    assert said in str(refused.value)


def test_a_whole_number_is_a_number_and_other_settings_keep_their_defaults() -> None:
    assert CrossTrainingSettings.from_json({"learning_rate": 1}).learning_rate == 1
    assert IteratedSettings.from_json({"iterations": 2, "consistency": True}).iterations == 2


def test_the_time_of_iterations_grows_with_each_network_that_is_trained() -> None:
    costs = TrainingCosts(images=100, once=1, training=2, strong=4, predicting=1)
    assert IteratedSettings(iterations=3).seconds(costs, 10, 8) == 1 + 10 * (4 + 2) * 4 + 4  # two for the proposals
    assert IteratedSettings(iterations=3, strong_views=False).seconds(costs, 10, 8) == 1 + 10 * 6 * 2 + 4
    assert IteratedSettings(iterations=1, votes=5).seconds(costs, 10, 8) == 1 + 10 * 9 * 4 + 6
    beside = (4 + 3 * 5) / 4  # a quarter of each batch has labels
    assert IteratedSettings(iterations=0, consistency=True).seconds(costs, 10, 8) == 1 + 10 * (4 + 3 * beside) + 1
    more = IteratedSettings(iterations=0, consistency=True, ratio=1, whole_batch=True, mixing=True)
    assert more.seconds(costs, 10, 8) == 1 + 10 * (4 + 3 * (4 + 1 + 2 * 4)) + 1  # a label, and an image in two views
    assert IteratedSettings().seconds(TrainingCosts(images=100, once=7), 10, 8) == 7


def test_the_time_follows_a_budget_of_views_or_minutes_instead_of_epochs() -> None:
    costs = TrainingCosts(images=100, once=1, training=2, strong=4, predicting=1)
    views = IteratedSettings(iterations=0, consistency=True, views=600)
    assert views.steps(8) == 100  # 6 of 8 images are unlabelled
    assert views.seconds(costs, 10, 8) == views.seconds(costs, 99, 8) == 1 + 8 * (4 + 3 * (4 + 3 * 5) / 4) + 1
    assert IteratedSettings(iterations=1, views=600).steps(8) == 100
    minutes = IteratedSettings(iterations=2, minutes=0.5)
    assert minutes.seconds(costs, 10, 8) == 1 + 30 * 5 + 3
    assert minutes.seconds(TrainingCosts(images=100, once=7), 10, 8) == 7
