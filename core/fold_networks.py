"""What is kept of a fold beside its predictions: its network, and below a probe, once a round, the frozen one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from core.config import Method, RoundConfig
from core.data.networks import BACKBONE, About, find_network
from core.data.snapshot import Snapshot
from core.learn import probe
from core.learn.batches import Images
from core.learn.crossfold import Outcome
from core.learn.models.kept import keep_network
from core.types import ConfigError

Build = Callable[[RoundConfig, int, int], nn.Module]  # config, channels, classes


def about(snapshot: Snapshot, config: RoundConfig, images: Images, colours: Sequence[str] = ()) -> About:
    """Return what there is to say of any network that learnt these classes from these images."""
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


def keep_fold(folder: Path, name: str, said: About, outcome: Outcome, build: Build) -> tuple[str | None, str]:
    """Write a fold's network into the round's folder and return its hash, or None and why it could not be kept.

    Only the frozen network of a probe may be out of reach: where all embeddings are known nobody had to build it yet.
    """
    config = RoundConfig.from_json(said.config)
    if config.method is Method.PROBE:
        try:
            said = replace(said, backbone=_backbone(folder, said, config, build))
        except ConfigError as error:
            return None, f"the network is not kept: {error}"
    kept = outcome.kept
    said = replace(
        said,
        accuracy=kept.accuracy,
        mean_iou=kept.mean_iou,
        temperature=float(kept.columns.get("temperature", np.array(1.0))),
    )
    return keep_network(folder, name, outcome.network, said).hash, ""


def _backbone(folder: Path, said: About, config: RoundConfig, build: Build) -> str:
    """Return the hash of the frozen network, which the first fold writes."""
    known = find_network(folder, BACKBONE)
    if known is None:
        network = probe.frozen(config, partial(build, config, 1 if config.grey else 3, 0))
        known = keep_network(folder, BACKBONE, network, replace(said, predicts=False))
    return known.hash
