"""Devices of networks, the fastest form and precision on each, and versions of libraries.

On a CPU batch norm is folded into convolutions, and bfloat16 used where the CPU supports it. Measured for
EfficientNet-Lite0 at 160 pixels on one core of an AMD EPYC with AVX512-BF16, images a second: 76 as built (channels
last), 93 folded, 219 folded in bfloat16; ONNX Runtime 149, OpenVINO 174, both in float32. The features then differ by
2.5 % (relative norm), and the average precision of wrong labels by .002. Stronger networks (ConvNeXt, ViTs as of
DINOv2, DINOv3 and SigLIP, Swin, ResNet-50) gain by a factor of 1.8 to 2.2; random weights differ by .8 %.
"""

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor, nn

from core.types import ConfigError

_THREADS = torch.get_num_threads()
_PIXELS_FOR_THREADS = 100_000
_SAME, _ALIKE = 1e-3, 0.1  # largest relative norm of the difference: of a folded network, of one in bfloat16


def choose(name: str) -> torch.device:
    """Return the device of this name; "auto" is a GPU if there is one.

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
    """Set the number of CPU threads for batches of this number of pixels: one thread is fastest for small ones."""
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


class Bfloat16(nn.Module):
    """Copy of a network that computes in bfloat16 and returns float32."""

    def __init__(self, network: nn.Module) -> None:
        """Copy and convert `network`."""
        super().__init__()
        self.network = copy.deepcopy(network).to(torch.bfloat16)

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's output for float32 images."""
        answer: Tensor = self.network(images.to(torch.bfloat16))
        return answer.float()


def for_inference(network: nn.Module, device: torch.device, channels: int, size: int) -> nn.Module:
    """Return the network on the device in its fastest equivalent form; its weights are not modified.

    `size` is the side of its images, in pixels. A form is only used if its outputs for random images are close to the
    network's: norms are paired with convolutions by the order in which modules are registered, which in some of timm's
    networks is not that of use, and not every operation exists in bfloat16.
    """
    network = network.eval().to(memory_format=torch.channels_last).to(device)
    if device.type != "cpu":
        return network  # a GPU gets its precision by autocast, see `fast_precision`
    images = torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():  # tensors made in inference mode could not be used outside of it
        expected = network(images)
        folded = fold_norms(network)
        fastest = folded if _difference(folded, images, expected) <= _SAME else network
        if has_bfloat16():
            half = Bfloat16(fastest)
            fastest = half if _difference(half, images, expected) <= _ALIKE else fastest
    return fastest


def has_bfloat16() -> bool:
    """Return True if this CPU multiplies bfloat16 faster than float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def fold_norms(network: nn.Module) -> nn.Module:
    """Return a copy with each batch norm folded into the convolution that was registered before it."""
    folded = copy.deepcopy(network)
    before: nn.Conv2d | None = None
    for name, module in list(folded.named_modules()):
        if isinstance(module, nn.Conv2d):
            before = module
        elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            if before is not None and before.out_channels == module.num_features:
                _fold(before, module)
                folded.set_submodule(name, getattr(module, "act", None) or nn.Identity())
            before = None
    return folded.to(memory_format=torch.channels_last)


def _difference(network: nn.Module, images: Tensor, expected: Tensor) -> float:
    """Return the relative norm of the difference to the expected outputs; infinite where the network fails."""
    try:
        return float((network(images) - expected).norm() / expected.norm().clamp_min(1e-12))
    except RuntimeError:  # an operation that does not exist in this precision
        return math.inf


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Fold scale and shift of a norm into the convolution before it."""
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    scale = (variance + norm.eps).rsqrt() * (norm.weight if norm.affine else 1)
    shift = (norm.bias if norm.affine else 0) - mean * scale
    bias = shift if convolution.bias is None else shift + convolution.bias * scale
    convolution.weight = nn.Parameter(convolution.weight * scale.view(-1, 1, 1, 1), requires_grad=False)
    convolution.bias = nn.Parameter(bias, requires_grad=False)
