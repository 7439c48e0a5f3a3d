import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import SMALL_NETWORK, ImageSummary, Method, RoundConfig, Weights, propose_config
from core.types import ConfigError

configs = st.builds(
    RoundConfig,
    folds=st.integers(2, 20),
    method=st.sampled_from(Method),
    input_size=st.integers(8, 512),
    grey=st.booleans(),
    epochs=st.integers(1, 99),
    seed=st.integers(0, 2**31),
)


@given(configs)
def test_what_is_stored_is_read_back(config: RoundConfig) -> None:
    assert RoundConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "values", [{"folds": 1}, {"epochs": 0}, {"batch_size": 0}, {"input_size": 2}, {"weights": Weights.FILE}]
)
def test_what_cannot_work_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        RoundConfig(**values)


@pytest.mark.parametrize("values", [{"fold": 3}, {"method": "magic"}, {"weights": 7}])
def test_unknown_names_and_values_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        RoundConfig.from_json(values)


def test_small_images_get_a_small_network_and_large_ones_a_known_one() -> None:
    small = propose_config(ImageSummary(width=28, height=20, grey=True, count=100))
    assert (small.model, small.input_size, small.grey) == (SMALL_NETWORK, 28, True)
    assert small.epochs * 100 >= 4000  # few images are shown more often
    assert propose_config(ImageSummary(width=28, height=28, grey=True, count=70_000)).epochs < small.epochs
    large = propose_config(ImageSummary(width=640, height=480, grey=True, count=100))
    assert large.model != SMALL_NETWORK
    assert large.input_size <= 224
