from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from core.config import ProbabilityMethod, RoundConfig, Weights
from core.data.networks import About, describe, find_network
from core.learn.devices import for_inference
from core.learn.kept_networks import keep_network, load_network
from core.learn.models.classifier import build_classifier
from core.learn.models.probes import LinearHead, Probe
from core.learn.models.segmenter import build_segmenter
from core.types import RoundError, Task

CPU = torch.device("cpu")


def about(config: RoundConfig, task: Task = Task.CLASSIFICATION, classes: int = 3) -> About:
    names = tuple(f"class {number}" for number in range(classes))
    size = config.input_size
    return About(
        task=task, classes=names, config=config.to_json(), mean=(0.5,), std=(0.2,), canvas=(size, size)
    )  # fmt: skip


def used(network: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return the network after a look in training: its statistics are its own by now."""
    network.train()(images)
    return network.eval()


@pytest.mark.parametrize(
    ("task", "config"),
    [
        (Task.CLASSIFICATION, RoundConfig(model="small_cnn", input_size=28, grey=True)),
        (Task.CLASSIFICATION, RoundConfig(model="test_resnet", input_size=32)),
        (Task.CLASSIFICATION, RoundConfig(model="resnet18", input_size=32, weights=Weights.FILE, weights_file="gone")),
        (Task.SEGMENTATION, RoundConfig(model="small_unet", input_size=48)),
        (Task.SEGMENTATION, RoundConfig(model="swiftnet_rn18", input_size=64, weights=Weights.PRETRAINED)),
        (Task.SEGMENTATION, RoundConfig(model="deeplabv3plus-resnet18", input_size=64, weights=Weights.PRETRAINED)),
    ],
)
def test_a_kept_network_is_restored_unchanged_without_initial_weights(
    tmp_path: Path, task: Task, config: RoundConfig
) -> None:
    build = {Task.CLASSIFICATION: build_classifier, Task.SEGMENTATION: build_segmenter}[task]
    channels, size = 1 if config.grey else 3, config.input_size
    images = torch.randn(4, channels, size, size, generator=torch.Generator().manual_seed(0))
    network = used(build(config, channels, 3, empty=True), images)
    kept = keep_network(tmp_path, "fold_0", network.to(memory_format=torch.channels_last), about(config, task))
    again = load_network(find_network(tmp_path, "fold_0"), CPU)
    with torch.inference_mode():
        torch.testing.assert_close(again(images), network(images), rtol=0, atol=0)
    assert torch.__version__.startswith(kept.about.versions["torch"])
    assert keep_network(tmp_path, "again", again, about(config, task)).hash == kept.hash


def probe_in(folder: Path) -> Probe:
    config = RoundConfig(method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32)
    torch.manual_seed(0)
    backbone = build_classifier(config, 3, 0)
    width = backbone.num_features
    head = LinearHead(torch.rand(width), torch.rand(width) + 1, nn.Linear(width, 3))
    said = about(config)
    frozen = keep_network(folder, "backbone", backbone, replace(said, predicts=False))
    keep_network(folder, "fold_0", head, replace(said, backbone=frozen.hash))
    return Probe(backbone, head).eval()


def test_a_kept_probe_is_restored_with_its_backbone(tmp_path: Path) -> None:
    probe = probe_in(tmp_path)
    probe.backbone = for_inference(probe.backbone, CPU, 3, 32)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(load_network(find_network(tmp_path, "fold_0"), CPU)(images), probe(images))


def test_a_probe_without_its_own_backbone_is_refused(tmp_path: Path) -> None:
    probe = probe_in(tmp_path)
    kept = find_network(tmp_path, "fold_0")
    with torch.no_grad():
        next(probe.backbone.parameters()).add_(1)
    keep_network(tmp_path, "backbone", probe.backbone, replace(kept.about, predicts=False))
    with pytest.raises(RoundError, match=r"backbone\.safetensors is missing or another one"):
        load_network(kept, CPU)


def test_tensors_of_another_network_are_refused(tmp_path: Path) -> None:
    config = RoundConfig(model="small_cnn", input_size=28, grey=True)
    kept = keep_network(tmp_path, "fold_0", nn.Linear(2, 2), about(config))
    with pytest.raises(RoundError, match=r"does not fit the network of these libraries \(made with torch"):
        load_network(kept, CPU)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    kept = keep_network(tmp_path, "fold_0", nn.Linear(2, 2), about(RoundConfig()))
    kept.path.write_bytes(b"pickled")
    with pytest.raises(RoundError, match="holds no tensors"):
        load_network(describe(tmp_path, "fold_0", kept.about), CPU)
