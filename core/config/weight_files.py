"""Facts about a file of weights: how the images were scaled and padded that its network was trained with.

A .safetensors file may hold `mean` and `std`, JSON lists of a number a channel in [0, 1], and `pad_type`: timm's names.
A folder as the hub has it holds the file beside a `config.json`, whose `pretrained_cfg` says `mean`, `std` and more.
Other files say nothing. Needs no torch.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from core.config.rounds import PADDINGS, Member, RoundConfig, Weights
from core.types import ConfigError

_NAMES = "model.safetensors", "pytorch_model.bin"  # of the file in a folder
_CONFIG = "config.json"


def weights_path(config: RoundConfig) -> Path:
    """Return the file of a config's weights, which is in the folder where that is named.

    Raises:
        ConfigError: the folder holds none.
    """
    path = Path(config.weights_file)
    if not path.is_dir():
        return path
    for name in _NAMES:
        if (path / name).is_file():
            return path / name
    raise ConfigError(f"{path} holds neither {' nor '.join(_NAMES)}; name the file itself")


def published_facts(config: RoundConfig) -> dict[str, Any]:
    """Return the `pretrained_cfg` beside the file where a folder is named, {} where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    path = Path(config.weights_file) / _CONFIG
    if config.weights is not Weights.FILE or not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("pretrained_cfg", {})
        return dict(found)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{path} is no config.json of a network ({error}); name the file of weights itself"
        ) from error


def with_file_facts(config: RoundConfig) -> RoundConfig:
    """Return the config with what the files of weights of its networks say, where the config itself leaves it open.

    A file that cannot be opened is left to the one who loads it.

    Raises:
        ConfigError: a fact makes no sense.
    """
    first, *others = (_filled(network) for network in config.networks)
    return replace(first, members=tuple(map(Member.of, others)))


def _filled(config: RoundConfig) -> RoundConfig:
    """Return the config of one network with what its file says."""
    if config.weights is not Weights.FILE:
        return config
    path, facts = weights_path(config), published_facts(config)
    header = _header(path)
    facts |= {name: header[name] for name in ("mean", "std") if name in header}
    try:
        facts |= {name: json.loads(header[name]) for name in ("mean", "std") if name in header}
        mean, std = (tuple(map(float, facts.get(name) or ())) for name in ("mean", "std"))
        if not config.weights_mean:
            config = replace(config, weights_mean=mean, weights_std=std)
    except (TypeError, ValueError, ConfigError) as error:
        raise ConfigError(
            f"{path.name} holds mean {facts.get('mean')} and std {facts.get('std')} ({error}); name them in "
            "the round's settings"
        ) from error
    padding = header.get("pad_type", "")
    known = padding if padding in PADDINGS else ""
    return replace(config, weights_padding=config.weights_padding or known)


def _header(path: Path) -> dict[str, str]:
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}
