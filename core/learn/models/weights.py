"""First weights from a local file: plain tensors only, never anything that could run."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.types import ConfigError

_LEAST_SHARE = 0.5  # of a network's tensors a weights file must hold


def load_weights(network: nn.Module, path: Path, channels: int) -> None:
    """Give a network the tensors of a file; those of the classifier may be missing or of another size.

    Raises:
        ConfigError: the file is missing, is no state dict, or belongs to another network.
    """
    from timm.models import adapt_input_conv  # noqa: PLC0415 seconds, which our own networks need not wait for

    wanted = network.state_dict()
    held = {_plain(name): tensor for name, tensor in _read_tensors(path).items()}
    first = _plain(next(iter(wanted)))
    if first in held and held[first].ndim == 4 and held[first].shape[1] != channels:  # noqa: PLR2004 a kernel
        held[first] = adapt_input_conv(channels, held[first])
    named = {name: held[_plain(name)] for name in wanted if _plain(name) in held}
    fitting = {name: tensor for name, tensor in named.items() if tensor.shape == wanted[name].shape}
    if len(fitting) < _LEAST_SHARE * len(wanted):
        raise ConfigError(
            f"{path.name} fits {len(fitting)} of the network's {len(wanted)} tensors; it was probably made for another "
            "network: choose the model it belongs to"
        )
    network.load_state_dict(fitting, strict=False)


def _plain(name: str) -> str:
    """Return a tensor's name without its levels: what only extracts features calls `stages.0` `stages_0`."""
    return name.replace(".", "_")


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no weights file {path}; check the path") from error
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError, ImportError) as error:
        raise ConfigError(f"{path.name} is no readable weights file ({error}); download it again") from error
    except Exception as error:  # torch's own unpickling error, by another name in each version
        raise ConfigError(
            f"{path.name} holds more than plain tensors and is not opened; save it as .safetensors"
        ) from error
    state = held.get("state_dict", held) if isinstance(held, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"{path.name} holds no state dict; save `model.state_dict()`, best as .safetensors")
    return state
