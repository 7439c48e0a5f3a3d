from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from core.config import BACKBONE, ProbabilityMethod, RoundConfig, Weights
from core.learn.models.segmenter import build_segmenter
from core.types import ConfigError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "model", ["small_unet", "swiftnet_rn18", "deeplabv3plus-resnet18", "deeplabv3plus-test_resnet"]
)
def test_every_network_accepts_any_size_and_trains_on_two_images(model: str, channels: int) -> None:
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


def test_a_probe_of_a_network_without_its_own_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose deeplabv3plus-tf_efficientnet_lite0"):
        build_segmenter(RoundConfig(model="swiftnet_rn18", method=ProbabilityMethod.PROBE), 3, 0)


def test_an_encoder_without_maps_of_the_strides_of_a_probe_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose a convolutional encoder such as deeplabv3plus-resnet18"):
        build_segmenter(RoundConfig(model="deeplabv3plus-vit_tiny_patch16_224", method=ProbabilityMethod.PROBE), 3, 0)


def test_the_encoders_of_probe_and_trained_network_start_with_the_packaged_weights() -> None:
    config = RoundConfig(model=f"deeplabv3plus-{BACKBONE}", weights=Weights.PACKAGED)
    frozen, again, trained = (build_segmenter(config, 3, classes).eval() for classes in (0, 0, 4))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(frozen(image), again(image))
        coarse = trained.network.encoder(image)[3]  # of stride 8
        own = frozen(image)[:, : coarse.numel()].reshape(coarse.shape)
    torch.testing.assert_close(own, coarse, atol=1e-3, rtol=1e-3)  # frozen ones run channels last


@pytest.mark.parametrize("model", ["swiftnet_rn18", "deeplabv3plus-resnet18"])
def test_a_batch_of_one_is_refused_if_it_cannot_be_normalised(model: str) -> None:
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
def test_the_weights_file_of_a_classifier_is_loaded_into_the_encoder(
    tmp_path: Path, model: str, encoder: str, tensor: str
) -> None:
    torch.manual_seed(1)
    stored = timm.create_model(encoder, pretrained=False).state_dict()
    save_file(stored, tmp_path / "weights.safetensors")
    config = RoundConfig(model=model, weights=Weights.FILE, weights_file=str(tmp_path / "weights.safetensors"))
    found = build_segmenter(config, 3, 4).state_dict()[tensor]
    name = tensor.split("encoder.")[1].removeprefix("model.").replace("stages_0", "stages.0")
    torch.testing.assert_close(found, stored[name])
    with pytest.raises(ConfigError, match="choose the model it belongs to"):
        build_segmenter(RoundConfig.from_json({**config.to_json(), "model": "deeplabv3plus-mobilenetv2_100"}), 3, 4)


def test_only_a_probe_uses_the_padding_of_its_weights_file() -> None:
    config = RoundConfig(model="deeplabv3plus-mobilenetv2_050", method=ProbabilityMethod.PROBE, weights_padding="same")
    layers = {type(module).__name__ for module in build_segmenter(config, 3, 0, empty=True).modules()}
    assert "Conv2dSame" in layers
    with pytest.raises(ConfigError, match="leave weights_padding empty"):
        build_segmenter(RoundConfig(model="deeplabv3plus-mobilenetv2_050", weights_padding="same"), 3, 2)
