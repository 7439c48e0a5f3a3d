from dataclasses import replace

import pytest
import torch
from torch import nn

from core.config import BACKBONE, RoundConfig, Weights
from core.learn.batches import Scaling
from core.learn.models.classifier import (
    build_classifier,
    initial_scaling,
    keep_resolution,
    scaling_assumption,
    small_cnn,
)
from core.types import ConfigError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 33, 64])
def test_the_small_network_accepts_any_small_size(channels: int, size: int) -> None:
    network = small_cnn(channels, 7, size).eval()
    assert network(torch.zeros(2, channels, size, size)).shape == (2, 7)


def test_a_timm_network_keeps_the_resolution_of_small_images() -> None:
    config = RoundConfig(model="resnet18", input_size=32)
    network = build_classifier(config, 1, 4).eval()
    assert network.conv1.kernel_size == (3, 3)
    assert network.conv1.stride == (1, 1)
    assert isinstance(network.maxpool, nn.Identity)
    large = build_classifier(RoundConfig(model="test_resnet", input_size=96), 3, 4).eval()
    assert large(torch.zeros(1, 3, 96, 96)).shape == (1, 4)


def test_a_pretrained_stem_keeps_its_kernel_and_loses_its_stride() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 7, 2, 3), nn.Conv2d(4, 4, 3, 2, 1))
    kernel = network[0].weight
    keep_resolution(network, fresh=False)
    assert network[0].weight is kernel
    assert network[0].stride == (1, 1)
    assert network[1].stride == (2, 2)


def test_a_network_of_zero_classes_returns_features() -> None:
    features = build_classifier(RoundConfig(model="test_resnet", input_size=32), 3, 0).eval()
    assert features(torch.zeros(2, 3, 32, 32)).ndim == 2


def test_an_unknown_network_is_refused_with_near_names() -> None:
    with pytest.raises(ConfigError, match="resnet18"):
        build_classifier(RoundConfig(model="resnt18"), 3, 2)


def test_the_small_network_has_no_weights_to_load() -> None:
    with pytest.raises(ConfigError, match="choose weights 'none'"):
        build_classifier(RoundConfig(weights=Weights.FILE, weights_file="x.pth"), 1, 2)


def test_images_are_scaled_as_in_the_training_of_the_initial_weights() -> None:
    packaged = RoundConfig(model=BACKBONE, weights=Weights.PACKAGED)
    assert initial_scaling(packaged, 3) == Scaling((0.5,) * 3, (0.5,) * 3)
    file = RoundConfig(model="resnet18", weights=Weights.FILE, weights_file="some.pth")
    assert initial_scaling(file, 3).mean == (0.485, 0.456, 0.406)
    assert "some.pth does not say how its images were scaled: mean 0.485, 0.456, 0.406" in scaling_assumption(file)
    said = replace(file, weights_mean=(0.1, 0.2, 0.3), weights_std=(0.4, 0.4, 0.4))
    assert initial_scaling(said, 3) == Scaling((0.1, 0.2, 0.3), (0.4, 0.4, 0.4))
    assert initial_scaling(said, 1).mean == pytest.approx((0.2,))
    assert scaling_assumption(said) == scaling_assumption(packaged) == ""
    with pytest.raises(ConfigError, match="1 channels, the images have 3"):
        initial_scaling(replace(file, weights_mean=(0.1,), weights_std=(0.4,)), 3)


def test_a_network_pads_as_its_file_requires_or_is_refused() -> None:
    config = RoundConfig(
        model="mobilenetv2_050", weights=Weights.FILE, weights_file="w.pth", weights_padding="same", input_size=96
    )
    assert type(build_classifier(config, 3, 2, empty=True).conv_stem).__name__ == "Conv2dSame"
    with pytest.raises(ConfigError, match="leave the padding empty"):
        build_classifier(replace(config, model="resnet18"), 3, 2, empty=True)
