"""Initial weights: published on the hub, from a local file, or from an installed package.

Files hold plain tensors only; pickled code is never executed. Published weights of timm's networks are found in the
hub's cache, or downloaded into it. An interrupted download continues. Only `fetch` downloads, for a round whose
settings ask for it.
"""

import os
from collections.abc import Callable
from hashlib import file_digest, sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]

from core.config import DEEPLAB, PACKAGED, RoundConfig, Weights, open_weights, published_facts, weights_path
from core.types import ConfigError, RoundCancelledError

_FILES = "model.safetensors", "pytorch_model.bin"
_MEGABYTE = 1e6
Tell = Callable[[str], None]
_LEAST_SHARE = 0.5  # of a network's tensors a weights file must hold


class Published(NamedTuple):
    """Location of published weights: repository and revision on the hub, and possible file names."""

    repository: str
    revision: str | None
    files: tuple[str, ...]

    @property
    def address(self) -> str:
        """URL of the first of the files."""
        return hf_hub_url(self.repository, self.files[0], revision=self.revision)


def published_weights(model: str) -> Published:
    """Return the location of the published weights of one of timm's networks.

    Raises:
        ConfigError: there are none.
    """
    import timm  # noqa: PLC0415 seconds, which small networks need not wait for

    known = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if known is None or not known.hf_hub_id:
        raise ConfigError(f"no weights of {model} are published on the hub", "choose weights 'none', or name a file")
    repository, _, revision = known.hf_hub_id.partition("@")
    files = (known.hf_hub_filename,) if known.hf_hub_filename else _FILES
    return Published(repository, revision or None, files)


def is_timm_network(model: str) -> bool:
    """Return True for the names of timm's networks; networks for masks are others, and load their encoders."""
    import timm  # noqa: PLC0415 see published

    return bool(timm.is_model(model))


def find_cached(model: str) -> Path | None:
    """Return the downloaded file of a network's weights, or None; offline."""
    where = published_weights(model)
    for name in where.files:
        try:
            return Path(hf_hub_download(where.repository, name, revision=where.revision, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
    return None


def download_size(model: str) -> int | None:
    """Return the bytes that `fetch` would download, 0 if already downloaded, None if the hub does not answer."""
    if find_cached(model) is not None:
        return 0
    where = published_weights(model)
    for name in where.files:
        try:
            return get_hf_file_metadata(hf_hub_url(where.repository, name, revision=where.revision)).size
        except EntryNotFoundError:
            continue
        except Exception:  # noqa: BLE001  the hub's client raises a dozen kinds where the hub does not answer
            return None
    return None


def fetch(model: str, tell: Tell = lambda _: None, should_stop: Callable[[], bool] = lambda: False) -> Path:
    """Return the file of a network's weights, after a download if necessary; `tell` receives the progress.

    Raises:
        ConfigError: it is not available; names the file to download elsewhere.
        RoundCancelledError: `should_stop` returned true; the downloaded part stays.
    """
    found = find_cached(model)
    if found is not None:
        return found
    where, progress = published_weights(model), _progress_bar(tell, should_stop)
    for name in where.files:
        try:
            get_hf_file_metadata(hf_hub_url(where.repository, name, revision=where.revision))  # fails at once offline
            return Path(hf_hub_download(where.repository, name, revision=where.revision, tqdm_class=progress))
        except RoundCancelledError:
            raise
        except Exception as error:  # the hub's client raises a dozen kinds; the file is not available with any of them
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                continue
            raise ConfigError(
                f"the weights of {model} cannot be downloaded from {constants.ENDPOINT} ({type(error).__name__})",
                "check the connection and start the round again, which goes on where it was, or download "
                f"{where.address} elsewhere and name the file (or its folder, with config.json) as weights 'file'",
            ) from error
    raise ConfigError(f"{where.repository} holds none of {', '.join(where.files)}", "name a file of weights instead")


def load_weights(network: nn.Module, path: Path, channels: int) -> None:
    """Load the tensors of a file into a network; those of the classifier may be missing or of another size.

    Raises:
        ConfigError: the file is missing, is not a state dict, or belongs to another network.
    """
    fill(network, _read_tensors(path), channels, source=path.name)


def load_packaged(network: nn.Module, architecture: str, channels: int) -> None:
    """Load the weights of an installed package into a network of one of timm's architectures.

    The file has other names than timm, with its tensors in the same order.

    Raises:
        ConfigError: the package is not installed, or its file is not the expected one.
    """
    import timm  # noqa: PLC0415 see fill

    with torch.device("meta"):  # names and shapes only
        names = list(timm.create_model(architecture).state_dict())
    path = packaged_file(architecture)
    tensors = _read_tensors(path).values()
    fill(network, dict(zip(names, tensors, strict=True)), channels, source=path.name)


def packaged_file(architecture: str) -> Path:
    """Return the path of the installed weights of an architecture.

    Raises:
        ConfigError: the package is not installed, or its file is not the expected one.
    """
    known = PACKAGED[architecture]
    found = find_spec(known.module)
    folder = next(iter(found.submodule_search_locations or ()), "") if found else ""
    path = Path(folder) / known.file
    if not folder or not path.exists():
        raise ConfigError(f"the weights of {architecture} are not installed", f"install the package {known.package}")
    if sha256(path.read_bytes()).hexdigest() != known.sha256:
        raise ConfigError(
            f"{path} is not the file that Outfold was made with", f"install the package {known.package} again"
        )
    return path


def origin_of(config: RoundConfig) -> str | None:
    """Return the origin of a network's initial weights, with hash and licence as far as known; None without any."""
    name = config.model.removeprefix(DEEPLAB)
    if config.weights is Weights.PACKAGED:
        known = PACKAGED[name]
        return f"{known.package}, {known.trained_on}, {known.licence}, sha256 {known.sha256}"
    if config.weights is Weights.FILE:
        path, licence = weights_path(config), published_facts(config).get("license")
        digest = None
        if path.is_file():
            with open_weights(path) as opened:
                digest = f"sha256 {file_digest(opened, 'sha256').hexdigest()}"
        return ", ".join(filter(None, (path.name, licence, digest)))
    if config.weights is Weights.PRETRAINED:
        import timm  # noqa: PLC0415 see fill

        published = timm.get_pretrained_cfg(name)
        facts = () if published is None else (published.hf_hub_id, published.license)
        file = None if published is None or not published.hf_hub_id else find_cached(name)
        digest = None if file is None else f"sha256 {sha256(file.read_bytes()).hexdigest()}"
        return ", ".join(filter(None, ("timm", *facts, digest)))
    return None


def fill(network: nn.Module, tensors: dict[str, Tensor], channels: int, *, source: str) -> None:
    """Load these tensors into a network; those of the classifier may be missing or of another size.

    Raises:
        ConfigError: they belong to another network.
    """
    from timm.models import adapt_input_conv  # noqa: PLC0415 seconds, which small networks need not wait for

    wanted = network.state_dict()
    plain = {_plain(name): tensor for name, tensor in tensors.items()}
    first = _plain(next(iter(wanted)))
    if first in plain and plain[first].ndim == 4 and plain[first].shape[1] != channels:  # noqa: PLR2004 a kernel
        plain[first] = adapt_input_conv(channels, plain[first])
    matching = {name: plain[_plain(name)] for name in wanted if _plain(name) in plain}
    fitting = {name: tensor for name, tensor in matching.items() if tensor.shape == wanted[name].shape}
    if len(fitting) < _LEAST_SHARE * len(wanted):
        raise ConfigError(
            f"{source} fits {len(fitting)} of the network's {len(wanted)} tensors",
            "it was probably made for another network: choose the model it belongs to",
        )
    network.load_state_dict(fitting, strict=False)


def _progress_bar(tell: Tell, should_stop: Callable[[], bool]) -> type[Any]:
    """Return a progress bar class for the hub's client that draws nothing and reports in words."""

    class ReportingBar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  as tqdm's
            options.pop("name", None)
            super().__init__(*args, **options | {"file": open(os.devnull, "w"), "disable": False})  # noqa: PTH123, SIM115

        def update(self, n: float | None = 1) -> bool | None:
            if should_stop():
                raise RoundCancelledError("stopped while downloading weights")
            moved: bool | None = super().update(n)
            total = f" of {self.total / _MEGABYTE:,.0f}" if self.total else ""
            tell(f"{self.n / _MEGABYTE:,.0f}{total} MB of weights")
            return moved

    return ReportingBar


def _plain(name: str) -> str:
    """Return the name of a tensor without levels: in feature extractors `stages.0` is `stages_0`."""
    return name.replace(".", "_")


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Raises:
        ConfigError: the file cannot be read, holds more than tensors, or values that no network can have.
    """
    state = _load(path)
    for name, tensor in state.items():
        flaw = _flaw(tensor)
        if flaw:
            raise ConfigError(f"{path.name}: {name} holds {flaw}", "train or download the weights again")
    return state


def _flaw(tensor: Tensor) -> str:
    """Return a description of values that no network can have, "" if all are real and finite."""
    if tensor.is_complex():
        return "complex numbers"
    values = tensor.float()  # as in networks, where values too large for 32 bits are infinite
    if bool(torch.isfinite(values).all()):
        return ""
    return "NaN" if bool(torch.isnan(values).any()) else "infinite values"


def _load(path: Path) -> dict[str, Tensor]:
    try:
        with open_weights(path) as file:  # not by its path: a link might lead elsewhere by now
            if path.suffix == ".safetensors":
                return load(file.read())
            stored = torch.load(file, map_location="cpu", weights_only=True)
    except ConfigError:  # a ValueError too
        raise
    except FileNotFoundError as error:
        raise ConfigError(f"there is no weights file {path}", "check the path") from error
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError, ImportError) as error:
        raise ConfigError(f"{path.name} is not a readable weights file ({error})", "download it again") from error
    except Exception as error:  # torch's unpickling error, with another name in each version
        raise ConfigError(
            f"{path.name} holds more than plain tensors and is not opened", "save it as .safetensors"
        ) from error
    state = stored.get("state_dict", stored) if isinstance(stored, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"{path.name} holds no state dict", "save `model.state_dict()`, best as .safetensors")
    return state
