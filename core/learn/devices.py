"""Devices and precision of networks, and versions of libraries."""

from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version

import torch

from core.types import ConfigError

_THREADS = torch.get_num_threads()
_PIXELS_FOR_THREADS = 100_000


def choose(name: str) -> torch.device:
    """Return the device of this name; "auto" is a GPU where there is one.

    Raises:
        ConfigError: this machine has no such device.
    """
    if name == "auto":
        found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(found)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # builds without CUDA raise an AssertionError
        raise ConfigError(f"device {name!r} cannot be used here", "choose 'auto' or 'cpu'") from error
    return device


def use_fitting_threads(pixels: int) -> None:
    """Set the number of CPU threads for batches of so many pixels: for small ones one thread is fastest."""
    torch.set_num_threads(1 if pixels < _PIXELS_FOR_THREADS else _THREADS)


def describe(device: torch.device) -> str:
    """Return the name of a device for display."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads" if device.type == "cpu" else device.type


def library_version(library: str) -> str:
    """Return the version of a library, or "not installed"."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def fast_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return the context to run a network in: bfloat16 on a GPU that supports it, else full precision."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
