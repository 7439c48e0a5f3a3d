"""Storage of trained networks as plain tensors, and loading for inference.

`core.data.networks` defines the files. `keep_fold` stores the network of a fold, and the frozen network of a probe once
per round. On a CPU the same training gives the same file, so the same hash.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from core.config import ProbabilityMethod, RoundConfig
from core.data.networks import BACKBONE, TENSORS, About, KeptNetwork, describe, find_network, read_tensors
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path
from core.learn import probe
from core.learn.batches import ImageBatches
from core.learn.crossfold import FoldResult
from core.learn.devices import for_inference, library_version
from core.learn.models.classifier import build_classifier
from core.learn.models.probes import LinearHead, PixelHead, PixelProbe, Probe, SceneEncoder
from core.learn.models.segmenter import build_segmenter
from core.types import ConfigError, RoundError, Task

_MAKERS = ("torch", "timm", "segmentation-models-pytorch", "safetensors")
_BUILDERS: Mapping[Task, Callable[[RoundConfig, int, int], nn.Module]] = {
    Task.CLASSIFICATION: lambda config, channels, classes: build_classifier(config, channels, classes, empty=True),
    Task.SEGMENTATION: lambda config, channels, classes: build_segmenter(config, channels, classes, empty=True),
}
Build = Callable[[RoundConfig, int, int], nn.Module]  # config, channels, classes


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
    """Return a kept network on the device, in evaluation mode.

    Raises:
        RoundError: its file, or that of its backbone, is missing, damaged or another one, or does not fit.
        ConfigError: these versions of the libraries have no such network.
    """
    config = RoundConfig.from_json(kept.about.config)
    channels, classes = 1 if config.grey else 3, len(kept.about.classes)
    if config.method is ProbabilityMethod.PROBE:
        network = _PROBES[kept.about.task](kept, config, channels, classes, device)
    else:
        network = _BUILDERS[kept.about.task](config, channels, classes)
        _fill(network, kept)
    return network.to(memory_format=torch.channels_last).to(device).eval()


def describe_training(
    snapshot: Snapshot, config: RoundConfig, images: ImageBatches, colours: Sequence[str] = ()
) -> About:
    """Return the facts of a network trained with these classes and images."""
    return About(
        task=snapshot.task,
        classes=tuple(snapshot.classes),
        colours=tuple(colours),
        config=config.to_json(),
        mean=images.scaling.mean,
        std=images.scaling.std,
        canvas=images.size,
        window=snapshot.window,
    )


def keep_fold(folder: Path, name: str, about: About, outcome: FoldResult, build: Build) -> tuple[str | None, str]:
    """Write the network of a fold into the round's folder and return its hash, or None and the reason.

    Only the frozen network of a probe may be unavailable: with all embeddings cached it was not built before.
    """
    config = RoundConfig.from_json(about.config)
    if config.method is ProbabilityMethod.PROBE:
        try:
            about = replace(about, backbone=_backbone(folder, about, config, build))
        except ConfigError as error:
            return None, f"the network is not kept: {error}"
    kept = outcome.kept
    about = replace(
        about,
        accuracy=kept.accuracy,
        mean_iou=kept.mean_iou,
        temperature=float(kept.columns.get("temperature", np.array(1.0))),
    )
    return keep_network(folder, name, outcome.network, about).hash, ""


def _fill_backbone(kept: KeptNetwork, backbone: nn.Module) -> None:
    """Load the tensors kept with the round into a probe's frozen network."""
    frozen = find_network(kept.folder, BACKBONE)
    if frozen is None or frozen.hash != kept.about.backbone:
        raise RoundError(
            f"{kept.folder / BACKBONE}{TENSORS} is missing or another one, {kept.name} was fitted to its features",
            "put it back from a copy, or start a new round",
        )
    _fill(backbone, frozen)


def _probe(kept: KeptNetwork, config: RoundConfig, channels: int, classes: int, device: torch.device) -> nn.Module:
    backbone = build_classifier(config, channels, 0, empty=True)
    _fill_backbone(kept, backbone)
    tensors = _tensors(kept)
    head = LinearHead(tensors["mean"], tensors["std"], nn.Linear(len(tensors["mean"]), classes))
    head.load_state_dict(tensors)
    return Probe(for_inference(backbone, device, channels, config.input_size), head)


def _pixel_probe(
    kept: KeptNetwork, config: RoundConfig, channels: int, classes: int, _device: torch.device
) -> nn.Module:
    backbone = cast(SceneEncoder, build_segmenter(config, channels, 0, empty=True))
    _fill_backbone(kept, backbone)
    tensors = _tensors(kept)
    head = PixelHead(tensors["mean"], tensors["std"], classes)
    _fill(head, kept)
    return PixelProbe(backbone, head)


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
        raise RoundError(f"{kept.path} holds no tensors ({error})", "start a new round") from error


def _backbone(folder: Path, about: About, config: RoundConfig, build: Build) -> str:
    """Return the hash of the frozen network, which the first fold writes."""
    known = find_network(folder, BACKBONE)
    if known is None:
        network = probe.build_frozen(config, partial(build, config, 1 if config.grey else 3, 0))
        known = keep_network(folder, BACKBONE, network, replace(about, predicts=False))
    return known.hash


_PROBES: Mapping[Task, Callable[[KeptNetwork, RoundConfig, int, int, torch.device], nn.Module]] = {
    Task.CLASSIFICATION: _probe,
    Task.SEGMENTATION: _pixel_probe,
}
