from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core.config import RoundConfig, Weights
from core.learn.models.classifier import build_classifier, keep_resolution, load_weights, small_cnn
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


def tiny(classes: int = 3, channels: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(4, classes))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_weights_file_is_loaded_but_for_another_classifier(tmp_path: Path, suffix: str) -> None:
    stored = tiny(classes=9).state_dict()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": stored}, path)
    else:
        save_file(stored, path)
    network = tiny()
    own = network[2].weight.clone()
    load_weights(network, path, 3)
    torch.testing.assert_close(network[0].weight, stored["0.weight"])
    torch.testing.assert_close(network[2].weight, own)


def test_colour_weights_serve_grey_images(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(tiny().state_dict(), path)
    network = tiny(channels=1)
    load_weights(network, path, 1)
    torch.testing.assert_close(network[0].weight, load_file(path)["0.weight"].sum(dim=1, keepdim=True))


class Evil:
    """What a weights file must never be able to run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


@pytest.mark.parametrize("what", ["missing", "garbage", "empty", "code", "other network", "no tensors"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_bad_weights_file_is_refused_with_a_cure(tmp_path: Path, what: str, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if what == "garbage":
        path.write_bytes(b"\x93not weights" * 40)
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "code":
        torch.save({"0.weight": Evil()}, path)
    elif what == "other network":
        save_file({"a": torch.zeros(1)}, path) if suffix == ".safetensors" else torch.save({"a": torch.zeros(1)}, path)
    elif what == "no tensors":
        torch.save([1, 2], path)
    with pytest.raises(ConfigError, match=r"check the path|download it again|safetensors|choose the model"):
        load_weights(tiny(), path, 3)
