import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.config import (
    BACKBONE,
    SMALL_NETWORK,
    CrossTrainingSettings,
    DatasetSummary,
    IteratedSettings,
    Member,
    ProbabilityMethod,
    RoundConfig,
    TrainingCosts,
    Weights,
    as_fine_tuning,
    further_network,
    proposals,
    propose_config,
    settings_by_network,
    with_model,
)
from core.types import ConfigError, Task

members = st.builds(
    Member,
    method=st.sampled_from(ProbabilityMethod),
    model=st.sampled_from([SMALL_NETWORK, "resnet18"]),
    weights=st.sampled_from([Weights.NONE, Weights.PRETRAINED]),
    input_size=st.integers(8, 512),
    epochs=st.integers(1, 99),
)
configs = st.builds(
    RoundConfig,
    members=st.lists(members, max_size=3).map(tuple),
    folds=st.integers(2, 20),
    method=st.sampled_from(ProbabilityMethod),
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
def test_a_config_survives_json(config: RoundConfig) -> None:
    assert RoundConfig.from_json(config.to_json()) == config
    assert RoundConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


DEFAULT = (
    '{"folds": 5, "method": "fine-tune", "model": "small_cnn", "weights": "none", "weights_file": "", '
    '"weights_mean": [], "weights_std": [], "weights_padding": "", "input_size": 28, "upscale": 0, "grey": false, '
    '"epochs": 4, "batch_size": 256, "learning_rate": 0.0, "seed": 0, "device": "auto", "all_stages": false, '
    '"flip": false, "crop": 0, "mirror": true, "scales": [1.0], "class_weights": false, "min_region": 64, '
    '"boundary": 3}'
)
FULL = (
    '{"folds": 3, "method": "probe", "model": "tf_efficientnet_lite0", "weights": "file", "weights_file": "/w.pth", '
    '"weights_mean": [0.5, 0.5, 0.25], "weights_std": [1.0, 2.5, 3.0], "weights_padding": "same", "input_size": 64, '
    '"upscale": 160, "grey": true, "epochs": 7, "batch_size": 32, "learning_rate": 0.5, "seed": 9, '
    '"device": "cuda:1", "all_stages": true, "flip": true, "members": [{"method": "probe", "model": "resnet18", '
    '"weights": "pretrained", "weights_file": "", "weights_mean": [0.5], "weights_std": [0.25], '
    '"weights_padding": "", "input_size": 28, "upscale": 0, "all_stages": false, "flip": false, "epochs": 3, '
    '"batch_size": 256, "learning_rate": 0.0}], "crop": 448, "mirror": false, "scales": [0.5, 1.0], '
    '"class_weights": true, "min_region": 9, "boundary": 0}'
)


def test_the_stored_form_does_not_change() -> None:
    member = Member(
        method=ProbabilityMethod.PROBE,
        model="resnet18",
        weights=Weights.PRETRAINED,
        weights_mean=(0.5,),
        weights_std=(0.25,),
        epochs=3,
    )
    full = RoundConfig(
        folds=3,
        method=ProbabilityMethod.PROBE,
        model=BACKBONE,
        weights=Weights.FILE,
        weights_file="/w.pth",
        weights_mean=(0.5, 0.5, 0.25),
        weights_std=(1.0, 2.5, 3.0),
        weights_padding="same",
        input_size=64,
        upscale=160,
        grey=True,
        epochs=7,
        batch_size=32,
        learning_rate=0.5,
        seed=9,
        device="cuda:1",
        all_stages=True,
        flip=True,
        members=(member,),
        crop=448,
        mirror=False,
        scales=(0.5, 1.0),
        class_weights=True,
        min_region=9,
        boundary=0,
    )
    for config, stored in ((RoundConfig(), DEFAULT), (full, FULL)):
        assert json.dumps(config.to_json()) == stored
        read = RoundConfig.from_json(json.loads(stored))
        assert read == config
        assert hash(read) == hash(config)


def test_a_config_from_before_masks_is_still_read() -> None:
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
def test_an_impossible_config_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        RoundConfig(**values)


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"fold": 3, "x": 1}, "unknown settings fold, x; known are all_stages, batch_size, boundary"),
        ({"method": "magic"}, "'magic' is not one of fine-tune, probe"),
        ({"weights": 7}, "7 is not one of none, packaged, pretrained, file"),
        ({"scales": 2}, "scales are 2, must be a list of numbers, for example [0.75, 1, 1.25]"),
        ({"scales": ["x"]}, "scales are ['x'], must be a list of numbers, for example [0.75, 1, 1.25]"),
        ({"scales": []}, "scales are (), must be one or more from 0.25 to 4.0"),
        ({"members": "small_cnn"}, "members are 'small_cnn', must be a list of settings"),
        ({"members": [1]}, "members are [1], must be a list of settings"),
        ({"members": [{"folds": 3}]}, "unknown settings folds; known are all_stages, batch_size, epochs"),
        ({"members": [{"method": "m"}]}, "'m' is not one of fine-tune, probe"),
        ({"members": [{"weights_mean": "a"}]}, "weights_mean are 'a', must be a list of numbers"),
        ({"folds": 1}, "folds is 1, must be at least 2"),
        ({"weights": "file"}, "weights are 'file' but no weights_file is given; name a .safetensors or .pth file"),
    ],
)
def test_unknown_names_and_values_are_refused_with_the_cause(values: dict[str, object], cause: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(cause)):
        RoundConfig.from_json(values)


def test_small_grey_images_get_a_small_network_and_few_of_them_more_epochs() -> None:
    small = propose_config(DatasetSummary(width=28, height=20, grey=True, count=100))
    assert (small.model, small.input_size, small.grey) == (SMALL_NETWORK, 28, True)
    assert small.epochs * 100 >= 4000  # few images are shown more often
    assert propose_config(DatasetSummary(width=28, height=28, grey=True, count=70_000)).epochs < small.epochs


@pytest.mark.parametrize(
    ("side", "grey", "decoded"), [(640, False, 160), (640, True, 160), (100, True, 100), (32, False, 32)]
)
def test_photographs_get_a_probe_of_the_packaged_network_and_its_fine_tuning_second(
    side: int, *, grey: bool, decoded: int
) -> None:
    first, second = proposals(DatasetSummary(width=side, height=side * 3 // 4, grey=grey, count=100))
    assert (first.method, first.model, first.weights) == (ProbabilityMethod.PROBE, BACKBONE, Weights.PACKAGED)
    assert (first.input_size, first.seen_size, first.grey) == (decoded, 160, False)
    assert (second.method, second.model, second.weights) == (ProbabilityMethod.FINE_TUNE, BACKBONE, Weights.PACKAGED)


def test_at_most_as_many_folds_as_groups_are_proposed() -> None:
    drives = DatasetSummary(width=480, height=360, grey=False, count=367, groups=3)
    assert propose_config(drives, Task.SEGMENTATION).folds == 3
    assert propose_config(DatasetSummary(width=28, height=28, grey=True, count=100, groups=1)).folds == 2
    assert propose_config(DatasetSummary(width=28, height=28, grey=True, count=100, groups=90)).folds == 5


def test_small_scenes_get_a_small_network_and_natural_ones_a_packaged_encoder() -> None:
    small = propose_config(DatasetSummary(width=128, height=96, grey=False, count=240), Task.SEGMENTATION)
    assert (small.model, small.input_size, small.crop, small.mirror) == ("small_unet", 96, 0, False)
    street = propose_config(DatasetSummary(width=480, height=360, grey=False, count=701), Task.SEGMENTATION)
    assert (street.model, street.input_size) == (f"deeplabv3plus-{BACKBONE}", 480)
    assert (street.weights, street.method, street.scales) == (Weights.PACKAGED, ProbabilityMethod.PROBE, (1.0, 2.0))
    assert street.crop == 448
    large = propose_config(DatasetSummary(width=3000, height=4000, grey=False, count=50), Task.SEGMENTATION)
    assert (large.input_size, large.scales) == (1024, (0.5, 1.0))
    assert small.min_region < street.min_region < large.min_region
    gpu = propose_config(DatasetSummary(width=480, height=360, grey=False, count=701, gpu=True), Task.SEGMENTATION)
    assert gpu == replace(street, method=ProbabilityMethod.FINE_TUNE, scales=(1.0,))
    tiny = propose_config(DatasetSummary(width=4, height=4, grey=True, count=1), Task.SEGMENTATION)
    assert (tiny.input_size, tiny.grey) == (32, True)


@pytest.mark.parametrize("task", Task)
def test_switching_from_a_probe_to_training_keeps_the_network_and_other_configs_unchanged(task: Task) -> None:
    first, second = proposals(DatasetSummary(width=480, height=360, grey=False, count=701), task)
    assert as_fine_tuning(first) == second == as_fine_tuning(second)


def test_another_network_is_trained_from_scratch_unless_its_weights_are_packaged() -> None:
    proposed = propose_config(DatasetSummary(width=640, height=480, grey=False, count=100))
    assert with_model(proposed, BACKBONE) == proposed
    other = with_model(proposed, "resnet18")
    assert (other.method, other.model, other.weights) == (ProbabilityMethod.FINE_TUNE, "resnet18", Weights.NONE)
    assert (other.seen_size, other.all_stages) == (160, False)


def test_the_networks_of_a_round_share_folds_and_seed() -> None:
    member = Member(method=ProbabilityMethod.FINE_TUNE, model=SMALL_NETWORK, input_size=32, epochs=8)
    config = RoundConfig(folds=7, seed=3, grey=True, device="cpu", model="resnet18", input_size=64, members=(member,))
    first, second = config.networks
    assert first == replace(config, members=())
    assert second == replace(first, model=SMALL_NETWORK, input_size=32, epochs=8)
    assert Member.of(second) == member


def test_a_round_with_one_network_is_stored_in_the_former_form() -> None:
    assert "members" not in RoundConfig().to_json()


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"members": [{"folds": 3}]}, "unknown settings folds"),
        ({"members": [{"epochs": 0}]}, "network 2: epochs is 0"),
        ({"members": [{}, {"weights": "packaged"}]}, "network 3: no weights of small_cnn"),
        ({"members": "small_cnn"}, "must be a list"),
        ({"members": [{}] * 8}, "at most 7"),
    ],
)
def test_an_impossible_further_network_is_refused(values: dict[str, object], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        RoundConfig.from_json(values)


def test_a_further_network_uses_the_method_of_the_first_unless_it_starts_from_scratch() -> None:
    first = propose_config(DatasetSummary(width=32, height=32, grey=False, count=5000))
    same = further_network(first, {"input_size": 24})
    assert same == Member.of(replace(first, input_size=24))
    probe = further_network(first, {"model": "resnet18", "weights": "pretrained"})
    assert (probe.method, probe.upscale, probe.all_stages) == (ProbabilityMethod.PROBE, first.upscale, True)
    scratch = further_network(first, {"model": SMALL_NETWORK, "epochs": 8})
    assert (scratch.method, scratch.weights, scratch.upscale) == (ProbabilityMethod.FINE_TUNE, Weights.NONE, 0)
    assert scratch.epochs == 8
    whole = further_network(first, {"model": BACKBONE, "weights": "none"})
    assert (whole.method, whole.weights, whole.upscale) == (ProbabilityMethod.FINE_TUNE, Weights.NONE, 0)
    with pytest.raises(ConfigError, match="folds"):
        further_network(first, {"folds": 3})


def test_a_further_network_is_described_by_its_differences_from_the_first() -> None:
    config = RoundConfig(model="resnet18", epochs=8, members=(Member(model="small_cnn", epochs=3, batch_size=256),))
    told = settings_by_network(config.to_json())
    assert told["network 2"] == "model small_cnn, epochs 3"
    assert told["model"] == "resnet18"
    assert "members" not in told
    assert settings_by_network(RoundConfig().to_json()) == RoundConfig().to_json()


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
def test_a_value_of_the_wrong_type_is_refused_with_the_expected_type(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        CrossTrainingSettings.from_json(values)
    assert said in str(refused.value)


def test_an_integer_is_accepted_as_a_float_and_other_settings_keep_their_defaults() -> None:
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
