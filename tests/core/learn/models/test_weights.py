from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core.learn.models.weights import load_weights
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
