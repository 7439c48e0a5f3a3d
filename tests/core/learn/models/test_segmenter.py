from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from core.config import Method, RoundConfig, Weights
from core.learn.models.segmenter import build_segmenter
from core.types import ConfigError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "model", ["small_unet", "swiftnet_rn18", "deeplabv3plus-resnet18", "deeplabv3plus-test_resnet"]
)
def test_every_network_takes_any_size_and_learns_from_two_images(model: str, channels: int) -> None:
    network = build_segmenter(RoundConfig(model=model), channels, 5).train()
    logits = network(torch.randn(2, channels, 37, 61))
    assert logits.shape == (2, 5, 37, 61)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("swiftnet", "swiftnet_rn18"),
        ("deeplabv3plus-resnt18", "deeplabv3plus-resnet18"),
        ("resnet18", "deeplabv3plus-resnet18"),
        ("qqqqq", "try small_unet"),
    ],
)
def test_an_unknown_network_is_refused_with_near_names(model: str, near: str) -> None:
    with pytest.raises(ConfigError, match=near):
        build_segmenter(RoundConfig(model=model), 3, 2)


def test_an_encoder_without_features_of_several_sizes_is_refused_with_another() -> None:
    with pytest.raises(ConfigError, match="choose a convolutional encoder such as deeplabv3plus-resnet18"):
        build_segmenter(RoundConfig(model="deeplabv3plus-vit_small_patch16_224"), 3, 2)


def test_a_probe_is_refused() -> None:
    with pytest.raises(ConfigError, match="masks need method fine-tune"):
        build_segmenter(RoundConfig(model="swiftnet_rn18", method=Method.PROBE), 3, 0)


@pytest.mark.parametrize("model", ["swiftnet_rn18", "deeplabv3plus-resnet18"])
def test_a_batch_of_one_is_refused_where_it_cannot_be_normalised(model: str) -> None:
    with pytest.raises(ConfigError, match="normalises over at least 2"):
        build_segmenter(RoundConfig(model=model, batch_size=1), 3, 2)


def test_the_small_network_has_no_weights_to_load() -> None:
    with pytest.raises(ConfigError, match="choose weights 'none'"):
        build_segmenter(RoundConfig(model="small_unet", weights=Weights.PRETRAINED), 3, 2)


@pytest.mark.parametrize(
    ("model", "encoder", "tensor"),
    [
        ("swiftnet_rn18", "resnet18", "encoder.layer1.0.conv1.weight"),
        ("deeplabv3plus-resnet18", "resnet18", "network.encoder.model.layer1.0.conv1.weight"),
        ("deeplabv3plus-convnext_atto", "convnext_atto", "network.encoder.model.stages_0.blocks.0.conv_dw.weight"),
    ],
)
def test_a_classifiers_weights_file_is_the_encoders(tmp_path: Path, model: str, encoder: str, tensor: str) -> None:
    torch.manual_seed(1)
    stored = timm.create_model(encoder, pretrained=False).state_dict()
    save_file(stored, tmp_path / "weights.safetensors")
    config = RoundConfig(model=model, weights=Weights.FILE, weights_file=str(tmp_path / "weights.safetensors"))
    found = build_segmenter(config, 3, 4).state_dict()[tensor]
    name = tensor.split("encoder.")[1].removeprefix("model.").replace("stages_0", "stages.0")
    torch.testing.assert_close(found, stored[name])
    with pytest.raises(ConfigError, match="choose the model it belongs to"):
        build_segmenter(RoundConfig.from_json({**config.to_json(), "model": "deeplabv3plus-mobilenetv2_100"}), 3, 4)
