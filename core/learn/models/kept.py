"""Write a trained network so that it can be asked about new images, and read it again; tensors only, never pickled.

What is written, and where, says `core.data.networks`. On a CPU the same training gives the same file, so the same hash.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from core.config import Method, RoundConfig
from core.data.networks import BACKBONE, TENSORS, About, KeptNetwork, describe, find_network, read_tensors
from core.data.storage import atomic_path
from core.learn.devices import library_version
from core.learn.models.classifier import build_classifier
from core.learn.models.inference import for_inference
from core.learn.models.probes import Head, Probe
from core.learn.models.segmenter import build_segmenter
from core.types import RoundError, Task

_MAKERS = ("torch", "timm", "segmentation-models-pytorch", "safetensors")


def keep_network(folder: Path, name: str, network: nn.Module, about: About) -> KeptNetwork:
    """Write a network into a round's folder as `name`, whole or not at all; one of that name there is replaced.

    `about.versions` are filled in.
    """
    state: dict[str, Tensor] = network.state_dict()
    tensors = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in state.items()}  # none shared
    with atomic_path(folder / f"{name}{TENSORS}") as partial:
        save_file(tensors, partial)
    return describe(folder, name, replace(about, versions={maker: library_version(maker) for maker in _MAKERS}))


def load_network(kept: KeptNetwork, device: torch.device) -> nn.Module:
    """Return a kept network on the device, ready to be asked.

    Raises:
        RoundError: its file, or that of its backbone, is missing, damaged or another one, or does not fit.
        ConfigError: these versions of the libraries have no such network.
    """
    config = RoundConfig.from_json(kept.about.config)
    channels, classes = 1 if config.grey else 3, len(kept.about.classes)
    if config.method is Method.PROBE:
        network = _probe(kept, config, channels, classes, device)
    else:
        network = _BUILDERS[kept.about.task](config, channels, classes)
        _fill(network, kept)
    return network.to(memory_format=torch.channels_last).to(device).eval()


def _probe(kept: KeptNetwork, config: RoundConfig, channels: int, classes: int, device: torch.device) -> nn.Module:
    frozen = find_network(kept.folder, BACKBONE)
    if frozen is None or frozen.hash != kept.about.backbone:
        raise RoundError(
            f"{kept.folder / BACKBONE}{TENSORS} is missing or another one, {kept.name} was fitted to its features; put "
            "it back from a copy, or start a new round"
        )
    backbone = build_classifier(config, channels, 0, empty=True)
    _fill(backbone, frozen)
    tensors = _tensors(kept)
    head = Head(tensors["mean"], tensors["std"], nn.Linear(len(tensors["mean"]), classes))
    head.load_state_dict(tensors)
    return Probe(for_inference(backbone, device, channels, config.input_size), head)


def _fill(network: nn.Module, kept: KeptNetwork) -> None:
    try:
        network.load_state_dict(_tensors(kept))
    except RuntimeError as error:
        made = ", ".join(f"{name} {number}" for name, number in (kept.about.versions or {}).items())
        raise RoundError(
            f"{kept.path} does not fit the network of these libraries (made with {made}): {str(error).splitlines()[0]} "
            "Install those versions, or start a new round"
        ) from error


def _tensors(kept: KeptNetwork) -> dict[str, Tensor]:
    try:
        return load(read_tensors(kept))
    except SafetensorError as error:
        raise RoundError(f"{kept.path} holds no tensors ({error}); start a new round") from error


_BUILDERS: Mapping[Task, Callable[[RoundConfig, int, int], nn.Module]] = {
    Task.CLASSIFICATION: lambda config, channels, classes: build_classifier(config, channels, classes, empty=True),
    Task.SEGMENTATION: lambda config, channels, classes: build_segmenter(config, channels, classes, empty=True),
}
