import pytest

from core.config import SGD, CrossTrainingSettings, RoundConfig
from core.types import ConfigError


def test_settings_survive_storage() -> None:
    settings = CrossTrainingSettings(steps=7, test_list="/a/test.txt", baseline=False)
    assert CrossTrainingSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"batch_size": 6}, None),
        ({"batch_size": 5}, "even"),
        ({"batch_size": 2}, "at least 4"),
        ({"block": 0}, "block is 0"),
        ({"steps": -1}, "steps is -1"),
        ({"learning_rate": -0.1}, "learning_rate"),
        ({"optimizer": "adam"}, "must be adamw or sgd"),
        ({"labelled_first": -3}, "labelled_first"),
        ({"colour": 1}, "unknown settings colour"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], said: str | None) -> None:
    if said is None:
        CrossTrainingSettings.from_json(values)
        return
    with pytest.raises(ConfigError, match=said):
        CrossTrainingSettings.from_json(values)


def test_defaults_suit_the_network() -> None:
    small = RoundConfig(model="small_unet", epochs=10, batch_size=4)
    large = RoundConfig(model="swiftnet_rn18", epochs=10, batch_size=4)
    usual, published = CrossTrainingSettings(), CrossTrainingSettings(optimizer=SGD)
    assert usual.rate(small, 3e-4) == 3e-4
    assert published.rate(small, 3e-4) > published.rate(large, 3e-4) == 1e-3
    assert CrossTrainingSettings(learning_rate=0.5).rate(small, 3e-4) == 0.5
    assert usual.pair_steps(small, 41) == 100
    assert usual.pair_steps(small, 3) == 10  # of as many as there are
    assert CrossTrainingSettings(steps=7).pair_steps(small, 41) == 7
