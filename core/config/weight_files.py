"""Facts about a file of weights: scaling and padding of the images that its network was trained with.

A .safetensors file may hold `mean` and `std`, JSON lists of one number per channel in [0, 1], and `pad_type`: timm's
names. A folder in the hub's layout holds the file beside a `config.json`, whose `pretrained_cfg` has `mean`, `std` and
more. Other files have no facts. Needs no torch.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import Any

from core.config.rounds import PADDINGS, Member, RoundConfig, Weights
from core.data.confined import open_within
from core.types import ConfigError

_NAMES = "model.safetensors", "pytorch_model.bin"  # of the file in a folder
_CONFIG = "config.json"
_LENGTH_BYTES, _LONGEST_HEADER = 8, 100_000_000  # of a .safetensors file, as its format has them
_ROOTS: list[str] = []


def allow_weights_in(roots: Sequence[str]) -> None:
    """Hold this process's files of weights to these real paths of folders; none: any is allowed."""
    _ROOTS[:] = roots


def allowed_weights() -> tuple[str, ...]:
    """Return the folders set by `allow_weights_in`, for a child process."""
    return tuple(_ROOTS)


def open_weights(path: Path) -> BufferedReader:
    """Open a file of weights, or the config.json beside it, within the allowed folders.

    Raises:
        ConfigError: it lies outside.
        OSError: it cannot be opened.
    """
    return open_within(path, _ROOTS)


def weights_path(config: RoundConfig) -> Path:
    """Return the file of a config's weights; of a folder, the file in it.

    Raises:
        ConfigError: the folder has no such file.
    """
    path = Path(config.weights_file)
    if not path.is_dir():
        return path
    for name in _NAMES:
        if (path / name).is_file():
            return path / name
    raise ConfigError(f"{path} holds neither {' nor '.join(_NAMES)}", "name the file itself")


def published_facts(config: RoundConfig) -> dict[str, Any]:
    """Return the `pretrained_cfg` of a folder, {} if there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    path = Path(config.weights_file) / _CONFIG
    if config.weights is not Weights.FILE or not path.is_file():
        return {}
    try:
        with open_weights(path) as file:
            return dict(json.load(file).get("pretrained_cfg", {}))
    except ConfigError:  # a ValueError too
        raise
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{path} is not a config.json of a network ({error})", "name the file of weights itself"
        ) from error


def with_file_facts(config: RoundConfig) -> RoundConfig:
    """Return the config with missing values filled in from the files of weights of its networks.

    A file that cannot be opened is reported by the function that loads it.

    Raises:
        ConfigError: a fact is invalid.
    """
    first, *others = (_fill_in(network) for network in config.networks)
    return replace(first, members=tuple(map(Member.of, others)))


def _fill_in(config: RoundConfig) -> RoundConfig:
    """Return the config of one network with the facts of its file."""
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
            f"{path.name} holds mean {facts.get('mean')} and std {facts.get('std')} ({error})",
            "name them in the round's settings",
        ) from error
    padding = header.get("pad_type", "")
    known = padding if padding in PADDINGS else ""
    return replace(config, weights_padding=config.weights_padding or known)


def _header(path: Path) -> dict[str, str]:
    if path.suffix != ".safetensors":
        return {}
    try:
        with open_weights(path) as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            metadata = json.loads(file.read(min(length, _LONGEST_HEADER))).get("__metadata__") or {}
    except ConfigError:  # a ValueError too
        raise
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}
