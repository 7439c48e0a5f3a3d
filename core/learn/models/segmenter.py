"""The networks that give each pixel a class: our small one, SwiftNet, or DeepLabV3+ on any of timm's encoders.

A probe takes the encoder of DeepLabV3+ alone, frozen; its classifier of pixels is `core.learn.models.pixel_probes`.
"""

import difflib
from typing import Any

import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.config import BACKBONE, DEEPLAB, SMALL_MASK_NETWORK, SWIFTNET, Method, RoundConfig, Weights, weights_path
from core.learn.models.pixel_probes import STRIDES, SceneEncoder
from core.learn.models.small_unet import SmallUnet
from core.learn.models.swiftnet import SwiftNet
from core.learn.models.weights import load_packaged, load_weights
from core.types import ConfigError

_STRIDE = 16  # DeepLabV3+'s coarsest features: the last stage is dilated instead of halved
_LEAST_BATCH = 2  # where an image is pooled to one cell, a batch of one has no spread to normalise by
_DIVISOR = 32  # sides must be a multiple of it, for any encoder


def build_segmenter(config: RoundConfig, channels: int, classes: int, *, empty: bool = False) -> nn.Module:
    """Return the config's network for images (B, channels, H, W) of any size; it returns logits (B, classes, H, W).

    With 0 classes it is the encoder that a probe freezes. An `empty` one comes without its first weights, to be filled
    with what was kept of a trained one.

    Raises:
        ConfigError: the network is unknown or unfit, or its weights cannot be had.
    """
    first = Weights.NONE if empty else config.weights
    if classes == 0 or (config.method is Method.PROBE and not config.model.startswith(DEEPLAB)):
        return _frozen_encoder(config, first, channels)
    if config.model == SMALL_MASK_NETWORK:
        if config.weights is not Weights.NONE:
            raise ConfigError(
                f"{SMALL_MASK_NETWORK} has no first weights; choose weights 'none', or {SWIFTNET}, which has"
            )
        return SmallUnet(channels, classes)
    if config.batch_size < _LEAST_BATCH:
        raise ConfigError(f"batch_size is {config.batch_size}, {config.model} normalises over at least {_LEAST_BATCH}")
    if config.weights_padding:
        raise ConfigError(f"the padding of {config.model} cannot be chosen; leave weights_padding empty, or probe")
    if config.model == SWIFTNET:
        return SwiftNet(_encoder(config, "resnet18", channels, first), classes)
    if config.model.startswith(DEEPLAB):
        return _deeplab(config, first, channels, classes)
    raise ConfigError(_unknown(config.model, config.model))


class Padded(nn.Module):
    """A network that takes sides of certain multiples only, made to take any: the edge is repeated, then cut off."""

    def __init__(self, network: nn.Module) -> None:
        """Stand before `network`."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits at the images' own size, (B, K, H, W)."""
        height, width = images.shape[2:]
        below, right = -height % _DIVISOR, -width % _DIVISOR
        logits: Tensor = self.network(F.pad(images, (0, right, 0, below), mode="replicate"))
        return logits[:, :, :height, :width]


def _encoder(config: RoundConfig, name: str, channels: int, first: Weights) -> nn.Module:
    import timm  # noqa: PLC0415 seconds, which the small network need not wait for

    try:
        network: nn.Module = timm.create_model(
            name, pretrained=first is Weights.PRETRAINED, in_chans=channels, num_classes=0, global_pool=""
        )
    except Exception as error:  # the hub's client raises a dozen kinds; each means that the weights cannot be had
        raise ConfigError(_unmade(config, error)) from error
    if first is Weights.FILE:
        load_weights(network, weights_path(config), channels)
    return network


def _frozen_encoder(config: RoundConfig, first: Weights, channels: int) -> SceneEncoder:
    import timm  # noqa: PLC0415 see _encoder

    if not config.model.startswith(DEEPLAB):
        raise ConfigError(
            f"{config.model} has no encoder that a probe of masks can freeze; choose {DEEPLAB}{BACKBONE} or another "
            f"{DEEPLAB}NAME, or method '{Method.FINE_TUNE}'"
        )
    name = config.model.removeprefix(DEEPLAB)
    if not timm.is_model(name):
        raise ConfigError(_unknown(config.model, name))
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
        raise ConfigError(_unmade(config, error)) from error
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
        raise ConfigError(_unknown(config.model, encoder))
    try:
        network: Any = smp.DeepLabV3Plus(
            encoder_name=f"tu-{encoder}",  # the library's name for timm's own
            encoder_weights="imagenet" if first is Weights.PRETRAINED else None,
            encoder_output_stride=_STRIDE,
            in_channels=channels,
            classes=classes,
        )
    except Exception as error:  # as above; besides, not every encoder has features of several sizes, or dilates
        raise ConfigError(_unmade(config, error)) from error
    if first is Weights.FILE:
        load_weights(network.encoder.model, weights_path(config), channels)
    if first is Weights.PACKAGED:
        load_packaged(network.encoder.model, encoder, channels)
    return Padded(network)


def _unknown(model: str, encoder: str) -> str:
    import timm  # noqa: PLC0415 see _encoder

    ours = [SMALL_MASK_NETWORK, SWIFTNET]
    near = difflib.get_close_matches(model, ours, n=2)
    near += [DEEPLAB + name for name in difflib.get_close_matches(encoder, timm.list_models(), n=3)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"try {' or '.join(ours)}, or {DEEPLAB}resnet18"
    return f"there is no network {model!r} for masks; {hint}"


def _unmade(config: RoundConfig, error: Exception) -> str:
    return (
        f"{config.model} cannot be made ({type(error).__name__}: {error}); choose a convolutional encoder such as "
        f"{DEEPLAB}resnet18, and with pretrained weights check the connection to the hub, or download the weights and "
        "name the file"
    )
