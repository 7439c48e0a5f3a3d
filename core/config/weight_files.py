"""Facts in the header of a file of weights: how the images were scaled and padded that its network was trained with.

A .safetensors file may hold `mean` and `std`, JSON lists of a number a channel in [0, 1], and `pad_type`: timm's names.
Other files say nothing. Needs no torch.
"""

import json
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from core.config.rounds import PADDINGS, Member, RoundConfig, Weights
from core.types import ConfigError


def with_file_facts(config: RoundConfig) -> RoundConfig:
    """Return the config with what the files of weights of its networks say, where the config itself leaves it open.

    A file that cannot be opened is left to the one who loads it.

    Raises:
        ConfigError: a fact in the header makes no sense.
    """
    first, *others = (_filled(network) for network in config.networks)
    return replace(first, members=tuple(map(Member.of, others)))


def _filled(config: RoundConfig) -> RoundConfig:
    """Return the config of one network with what its file says."""
    path = Path(config.weights_file)
    if config.weights is not Weights.FILE or path.suffix != ".safetensors":
        return config
    try:
        with safe_open(path, framework="numpy") as file:
            facts: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError):
        return config
    try:
        mean, std = (tuple(map(float, json.loads(facts.get(name, "[]")))) for name in ("mean", "std"))
        if not config.weights_mean:
            config = replace(config, weights_mean=mean, weights_std=std)
    except (TypeError, ValueError, ConfigError) as error:
        raise ConfigError(
            f"the header of {path.name} holds mean {facts.get('mean')} and std {facts.get('std')} ({error}); name them "
            "in the round's settings"
        ) from error
    padding = facts.get("pad_type", "")
    known = padding if padding in PADDINGS else ""
    return replace(config, weights_padding=config.weights_padding or known)
