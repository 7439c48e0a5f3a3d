"""Networks for masks: a small U-Net, SwiftNet, or DeepLabV3+ with any of timm's encoders.

The small U-Net is for scenes of some hundred pixels: seconds on two cores instead of minutes. A quarter of the
resolution is its finest, as in SwiftNet, since most work is at the resolution where objects are recognised. Each
further level halves and widens.

A probe uses the encoder of DeepLabV3+ alone, frozen; its classifier of pixels is in `core.learn.models.probes`.

Shapes: images (B, C, H, W) of any size, logits (B, K, H, W).
"""

import difflib
from itertools import pairwise
from typing import Any

import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.config import (
    BACKBONE,
    DEEPLAB,
    SMALL_MASK_NETWORK,
    SWIFTNET,
    ProbabilityMethod,
    RoundConfig,
    Weights,
    weights_path,
)
from core.learn.models.classifier import Residual
from core.learn.models.probes import STRIDES, SceneEncoder
from core.learn.models.swiftnet import SwiftNet, upsample
from core.learn.models.weights import load_packaged, load_weights
from core.types import ConfigError

_STRIDE = 16  # DeepLabV3+'s coarsest features: the last stage is dilated instead of halved
_LEAST_BATCH = 2  # batch normalisation needs two where an image is pooled to one cell
_DIVISOR = 32  # sides must be a multiple of it, for any encoder
_STEM = 16  # channels at stride 2
_WIDTHS = (32, 64, 96)  # channels at strides 4, 8, 16


class Padded(nn.Module):
    """Network for sides of certain multiples, made to accept any: the edge is repeated, and the logits are cropped."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits at the images' own size, (B, K, H, W)."""
        height, width = images.shape[2:]
        below, right = -height % _DIVISOR, -width % _DIVISOR
        logits: Tensor = self.network(F.pad(images, (0, right, 0, below), mode="replicate"))
        return logits[:, :, :height, :width]


class SmallUnet(nn.Module):
    """U-Net whose decoder adds the encoder's features of the same size."""

    def __init__(self, channels: int, classes: int) -> None:
        """Take images of `channels` channels."""
        super().__init__()
        self.stem = _unit(channels, _STEM, stride=2)
        self.down = nn.ModuleList([_halving(before, after) for before, after in pairwise((_STEM, *_WIDTHS))])
        self.deepest = Residual(_WIDTHS[-1])
        self.narrow = nn.ModuleList([nn.Conv2d(after, before, 1) for before, after in pairwise(_WIDTHS)])
        self.blend = nn.ModuleList([_unit(width, width) for width in _WIDTHS[:-1]])
        self.head = nn.Conv2d(_WIDTHS[0], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits at the images' own size, (B, K, H, W)."""
        features, seen = self.stem(images), []
        for halve in self.down:
            features = halve(features)
            seen.append(features)
        features = self.deepest(seen.pop())
        for narrow, blend in zip(reversed(self.narrow), reversed(self.blend), strict=True):
            skip = seen.pop()
            features = blend(upsample(narrow(features), skip) + skip)
        return upsample(self.head(features), images)


def build_segmenter(config: RoundConfig, channels: int, classes: int, *, empty: bool = False) -> nn.Module:
    """Return the config's network for images (B, channels, H, W) of any size; it returns logits (B, classes, H, W).

    With 0 classes it is the encoder that a probe freezes. An `empty` one comes without its initial weights, to load
    those of a kept network.

    Raises:
        ConfigError: the network is unknown or unsuitable, or its weights are not available.
    """
    first = Weights.NONE if empty else config.weights
    if classes == 0 or (config.method is ProbabilityMethod.PROBE and not config.model.startswith(DEEPLAB)):
        return _frozen_encoder(config, first, channels)
    if config.model == SMALL_MASK_NETWORK:
        if config.weights is not Weights.NONE:
            raise ConfigError(
                f"{SMALL_MASK_NETWORK} has no initial weights", f"choose weights 'none', or {SWIFTNET}, which has"
            )
        return SmallUnet(channels, classes)
    if config.batch_size < _LEAST_BATCH:
        raise ConfigError(f"batch_size is {config.batch_size}, {config.model} normalises over at least {_LEAST_BATCH}")
    if config.weights_padding:
        raise ConfigError(f"the padding of {config.model} cannot be chosen", "leave weights_padding empty, or probe")
    if config.model == SWIFTNET:
        return SwiftNet(_encoder(config, "resnet18", channels, first), classes)
    if config.model.startswith(DEEPLAB):
        return _deeplab(config, first, channels, classes)
    raise _unknown_network(config.model, config.model)


def _encoder(config: RoundConfig, name: str, channels: int, first: Weights) -> nn.Module:
    import timm  # noqa: PLC0415 seconds, which the small networks need not wait for

    try:
        network: nn.Module = timm.create_model(
            name, pretrained=first is Weights.PRETRAINED, in_chans=channels, num_classes=0, global_pool=""
        )
    except Exception as error:  # the hub's client raises a dozen kinds; the weights are not available with any of them
        raise _failed_build(config, error) from error
    if first is Weights.FILE:
        load_weights(network, weights_path(config), channels)
    return network


def _frozen_encoder(config: RoundConfig, first: Weights, channels: int) -> SceneEncoder:
    import timm  # noqa: PLC0415 see _encoder

    if not config.model.startswith(DEEPLAB):
        raise ConfigError(
            f"{config.model} has no encoder that a probe of masks can freeze",
            f"choose {DEEPLAB}{BACKBONE} or another {DEEPLAB}NAME, or method '{ProbabilityMethod.FINE_TUNE}'",
        )
    name = config.model.removeprefix(DEEPLAB)
    if not timm.is_model(name):
        raise _unknown_network(config.model, name)
    try:
        options: dict[str, Any] = {"features_only": True, "in_chans": channels}
        if config.weights_padding:
            options["pad_type"] = config.weights_padding
        measured: Any = timm.create_model(name, **options)
        strides = measured.feature_info.reduction()
        encoder: nn.Module = timm.create_model(
            name,
            pretrained=first is Weights.PRETRAINED,
            out_indices=tuple(strides.index(stride) for stride in STRIDES),
            **options,
        )
    except Exception as error:  # as in _encoder; besides, not every encoder has maps of these strides
        raise _failed_build(config, error) from error
    if first is Weights.FILE:
        load_weights(encoder, weights_path(config), channels)
    if first is Weights.PACKAGED:
        load_packaged(encoder, name, channels)
    return SceneEncoder(encoder, config.scales)


def _deeplab(config: RoundConfig, first: Weights, channels: int, classes: int) -> nn.Module:
    import segmentation_models_pytorch as smp  # noqa: PLC0415 seconds, see _encoder
    import timm  # noqa: PLC0415

    encoder = config.model.removeprefix(DEEPLAB)
    if not timm.is_model(encoder):
        raise _unknown_network(config.model, encoder)
    try:
        network: Any = smp.DeepLabV3Plus(
            encoder_name=f"tu-{encoder}",  # the library's name for timm's own
            encoder_weights="imagenet" if first is Weights.PRETRAINED else None,
            encoder_output_stride=_STRIDE,
            in_channels=channels,
            classes=classes,
        )
    except Exception as error:  # as above; besides, not every encoder has features of several sizes, or dilates
        raise _failed_build(config, error) from error
    if first is Weights.FILE:
        load_weights(network.encoder.model, weights_path(config), channels)
    if first is Weights.PACKAGED:
        load_packaged(network.encoder.model, encoder, channels)
    return Padded(network)


def _unknown_network(model: str, encoder: str) -> ConfigError:
    import timm  # noqa: PLC0415 see _encoder

    ours = [SMALL_MASK_NETWORK, SWIFTNET]
    near = difflib.get_close_matches(model, ours, n=2)
    near += [DEEPLAB + name for name in difflib.get_close_matches(encoder, timm.list_models(), n=3)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"try {' or '.join(ours)}, or {DEEPLAB}resnet18"
    return ConfigError(f"there is no network {model!r} for masks", hint)


def _failed_build(config: RoundConfig, error: Exception) -> ConfigError:
    return ConfigError(
        f"{config.model} cannot be built ({type(error).__name__}: {error})",
        f"choose a convolutional encoder such as {DEEPLAB}resnet18, and with pretrained weights check the connection "
        "to the hub, or download the weights and name the file",
    )


def _halving(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(_unit(before, after, stride=2), _unit(after, after))


def _unit(before: int, after: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))
