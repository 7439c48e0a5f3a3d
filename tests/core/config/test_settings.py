"""What the settings of all recipes have in common."""

from typing import Any

import pytest

from core.config import CrossTrainingSettings, IteratedSettings
from core.config.recipes import SETTINGS
from core.types import ConfigError


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"steps": "abc"}, 'steps is "abc", must be a whole number'),
        ({"steps": 2.5}, "steps is 2.5, must be a whole number"),
        ({"steps": True}, "steps is true, must be a whole number"),
        ({"learning_rate": None}, "learning_rate is null, must be a number"),
        ({"baseline": 1}, "baseline is 1, must be true or false"),
        ({"test_split": 2020}, "test_split is 2020, must be a text; a number as one stands in quotes"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_what_it_must_be(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        CrossTrainingSettings.from_json(values)
    assert said in str(refused.value)


def test_a_whole_number_is_a_number_and_what_is_stored_reads_back() -> None:
    assert CrossTrainingSettings.from_json({"learning_rate": 1}).learning_rate == 1
    assert IteratedSettings.from_json({"iterations": 2, "consistency": True}).iterations == 2
    for settings in SETTINGS.values():
        assert settings.from_json(settings().to_json()) == settings()
