import pytest
import torch
from torch import nn

from core.config import RoundConfig, Weights
from core.learn.models.classifier import build_classifier, keep_resolution, small_cnn
from core.types import ConfigError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 33, 64])
def test_the_small_network_takes_any_small_size(channels: int, size: int) -> None:
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


def test_no_classes_means_features() -> None:
    features = build_classifier(RoundConfig(model="test_resnet", input_size=32), 3, 0).eval()
    assert features(torch.zeros(2, 3, 32, 32)).ndim == 2


def test_an_unknown_network_is_refused_with_near_names() -> None:
    with pytest.raises(ConfigError, match="resnet18"):
        build_classifier(RoundConfig(model="resnt18"), 3, 2)


def test_the_small_network_has_no_weights_to_load() -> None:
    with pytest.raises(ConfigError, match="choose weights 'none'"):
        build_classifier(RoundConfig(weights=Weights.FILE, weights_file="x.pth"), 1, 2)
