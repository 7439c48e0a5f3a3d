import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import (
    BACKBONE,
    SMALL_NETWORK,
    ImageSummary,
    Method,
    RoundConfig,
    Weights,
    proposals,
    propose_config,
    with_model,
)
from core.types import ConfigError, Task

configs = st.builds(
    RoundConfig,
    folds=st.integers(2, 20),
    method=st.sampled_from(Method),
    input_size=st.integers(8, 512),
    grey=st.booleans(),
    epochs=st.integers(1, 99),
    seed=st.integers(0, 2**31),
    crop=st.sampled_from([0, 32, 448]),
    scales=st.lists(st.floats(0.25, 4), min_size=1, max_size=4).map(tuple),
    flip=st.booleans(),
    boundary=st.integers(0, 9),
)


@given(configs)
def test_what_is_stored_is_read_back(config: RoundConfig) -> None:
    assert RoundConfig.from_json(config.to_json()) == config
    assert RoundConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_a_config_of_before_masks_is_still_read() -> None:
    assert RoundConfig.from_json({"folds": 3, "model": "resnet18"}) == RoundConfig(folds=3, model="resnet18")


@pytest.mark.parametrize(
    "values",
    [
        {"folds": 1},
        {"epochs": 0},
        {"batch_size": 0},
        {"input_size": 2},
        {"weights": Weights.FILE},
        {"crop": 5},
        {"crop": -1},
        {"scales": ()},
        {"scales": (0.1,)},
        {"min_region": 0},
        {"boundary": -1},
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        RoundConfig(**values)


@pytest.mark.parametrize("values", [{"fold": 3}, {"method": "magic"}, {"weights": 7}, {"scales": 2}, {"scales": ["x"]}])
def test_unknown_names_and_values_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        RoundConfig.from_json(values)


def test_small_grey_images_get_a_small_network_and_few_of_them_more_epochs() -> None:
    small = propose_config(ImageSummary(width=28, height=20, grey=True, count=100))
    assert (small.model, small.input_size, small.grey) == (SMALL_NETWORK, 28, True)
    assert small.epochs * 100 >= 4000  # few images are shown more often
    assert propose_config(ImageSummary(width=28, height=28, grey=True, count=70_000)).epochs < small.epochs


@pytest.mark.parametrize(
    ("side", "grey", "decoded"), [(640, False, 160), (640, True, 160), (100, True, 100), (32, False, 32)]
)
def test_photographs_get_a_probe_of_the_packaged_network_and_its_fine_tuning_second(
    side: int, *, grey: bool, decoded: int
) -> None:
    first, second = proposals(ImageSummary(width=side, height=side * 3 // 4, grey=grey, count=100))
    assert (first.method, first.model, first.weights) == (Method.PROBE, BACKBONE, Weights.PACKAGED)
    assert (first.input_size, first.seen_size, first.grey) == (decoded, 160, False)
    assert (second.method, second.model, second.weights) == (Method.FINE_TUNE, BACKBONE, Weights.PACKAGED)


def test_no_more_folds_are_proposed_than_there_are_groups() -> None:
    drives = ImageSummary(width=480, height=360, grey=False, count=367, groups=3)
    assert propose_config(drives, Task.SEGMENTATION).folds == 3
    assert propose_config(ImageSummary(width=28, height=28, grey=True, count=100, groups=1)).folds == 2
    assert propose_config(ImageSummary(width=28, height=28, grey=True, count=100, groups=90)).folds == 5


def test_small_scenes_get_a_small_network_and_natural_ones_swiftnet_without_the_hub() -> None:
    small = propose_config(ImageSummary(width=128, height=96, grey=False, count=240), Task.SEGMENTATION)
    assert (small.model, small.input_size, small.crop, small.mirror) == ("small_unet", 96, 0, False)
    street = propose_config(ImageSummary(width=480, height=360, grey=False, count=701), Task.SEGMENTATION)
    assert (street.model, street.input_size, street.crop) == ("swiftnet_rn18", 480, 448)
    assert street.weights is Weights.NONE
    large = propose_config(ImageSummary(width=3000, height=4000, grey=False, count=50), Task.SEGMENTATION)
    assert large.input_size == 1024
    assert small.min_region < street.min_region < large.min_region
    tiny = propose_config(ImageSummary(width=4, height=4, grey=True, count=1), Task.SEGMENTATION)
    assert (tiny.input_size, tiny.grey) == (32, True)


def test_another_network_is_trained_from_scratch_unless_its_weights_are_packaged() -> None:
    proposed = propose_config(ImageSummary(width=640, height=480, grey=False, count=100))
    assert with_model(proposed, BACKBONE) == proposed
    other = with_model(proposed, "resnet18")
    assert (other.method, other.model, other.weights) == (Method.FINE_TUNE, "resnet18", Weights.NONE)
    assert (other.seen_size, other.all_stages) == (160, False)
