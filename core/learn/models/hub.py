"""Published weights of timm's networks: found in the hub's cache, or downloaded from the hub into it.

A download that was cut off goes on where it was. Only `fetch` downloads, for a round whose settings say so.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from tqdm import tqdm  # type: ignore[import-untyped]

from core.types import ConfigError, RoundCancelledError

_FILES = "model.safetensors", "pytorch_model.bin"
_MEGABYTE = 1e6

Tell = Callable[[str], None]


class Published(NamedTuple):
    """Location of a network's published weights: repository and revision of the hub, and possible file names."""

    repository: str
    revision: str | None
    files: tuple[str, ...]

    @property
    def address(self) -> str:
        """Return the URL of the first of the files."""
        return hf_hub_url(self.repository, self.files[0], revision=self.revision)


def published(model: str) -> Published:
    """Return where the weights of one of timm's networks are published.

    Raises:
        ConfigError: none are.
    """
    import timm  # noqa: PLC0415 seconds, which our own networks need not wait for

    known = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if known is None or not known.hf_hub_id:
        raise ConfigError(f"no weights of {model} are published on the hub; choose weights 'none', or name a file")
    repository, _, revision = known.hf_hub_id.partition("@")
    files = (known.hf_hub_filename,) if known.hf_hub_filename else _FILES
    return Published(repository, revision or None, files)


def is_network_of_timm(model: str) -> bool:
    """Return whether a name is one of timm's networks; those of masks are built otherwise and load their encoders."""
    import timm  # noqa: PLC0415 see published

    return bool(timm.is_model(model))


def cached(model: str) -> Path | None:
    """Return the file of a network's weights where it has been downloaded before; asks no network."""
    where = published(model)
    for name in where.files:
        try:
            return Path(hf_hub_download(where.repository, name, revision=where.revision, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
    return None


def download_size(model: str) -> int | None:
    """Return the bytes that `fetch` would download, 0 where all is here already; None where the hub does not answer."""
    if cached(model) is not None:
        return 0
    where = published(model)
    for name in where.files:
        try:
            return get_hf_file_metadata(hf_hub_url(where.repository, name, revision=where.revision)).size
        except EntryNotFoundError:
            continue
        except Exception:  # noqa: BLE001  the hub's client raises a dozen kinds; each means that it does not answer
            return None
    return None


def fetch(model: str, tell: Tell = lambda _: None, should_stop: Callable[[], bool] = lambda: False) -> Path:
    """Return the file of a network's weights, downloaded now where it is not here; `tell` receives the progress.

    Raises:
        ConfigError: it cannot be had; names the file to download elsewhere.
        RoundCancelledError: `should_stop` returned true; what was downloaded stays.
    """
    found = cached(model)
    if found is not None:
        return found
    where, told = published(model), _telling(tell, should_stop)
    for name in where.files:
        try:
            get_hf_file_metadata(hf_hub_url(where.repository, name, revision=where.revision))  # fails at once offline
            return Path(hf_hub_download(where.repository, name, revision=where.revision, tqdm_class=told))
        except RoundCancelledError:
            raise
        except Exception as error:  # the hub's client raises a dozen kinds; each means that the file cannot be had
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                continue
            raise ConfigError(
                f"the weights of {model} cannot be downloaded from {constants.ENDPOINT} ({type(error).__name__}); "
                "check the connection and start the round again, which goes on where it was, or download "
                f"{where.address} elsewhere and name the file (or its folder, with config.json) as weights 'file'"
            ) from error
    raise ConfigError(f"{where.repository} holds none of {', '.join(where.files)}; name a file of weights instead")


def _telling(tell: Tell, should_stop: Callable[[], bool]) -> type[Any]:
    """Return a progress bar of the hub's client that draws nothing and tells in words."""

    class Told(tqdm):  # type: ignore[misc]
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

    return Told
