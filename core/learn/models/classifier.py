"""Networks that classify images: a small CNN, or any network of timm by name."""

import difflib
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.config import DEEPLAB, PACKAGED, SMALL_NETWORK, SMALL_PIXELS, RoundConfig, Weights, weights_path
from core.learn.batches import Scaling
from core.learn.models.probes import Backbone, Resized
from core.learn.models.weights import fetch, load_packaged, load_weights
from core.types import ConfigError

_MIDDLE = (0.5, 0.5, 0.5)  # where no scaling is published


def build_classifier(config: RoundConfig, channels: int, classes: int, *, empty: bool = False) -> nn.Module:
    """Return the config's network for images (B, channels, size, size); with 0 classes it returns features.

    An `empty` one comes without its initial weights, to load those of a kept network.

    Raises:
        ConfigError: the network is unknown, or its weights are not available.
    """
    network = _network(config, channels, classes, empty=empty)
    if classes == 0 and (config.all_stages or config.flip):
        network = Backbone(network, all_stages=config.all_stages, flip=config.flip)
    return Resized(network, config.upscale) if config.upscale > config.input_size else network


def initial_scaling(config: RoundConfig, channels: int) -> Scaling:
    """Return the scaling of the images that the initial weights were trained on; for grey images the channels' mean.

    It is the config's, or else that of packaged weights or of timm. It does not depend on the dataset, so a frozen
    network predicts an image in the same way in any dataset.

    Raises:
        ConfigError: the config names another number of channels than the images have.
    """
    mean, std = (config.weights_mean, config.weights_std) if config.weights_mean else _known_scaling(config)
    if channels == 1:
        return Scaling((sum(mean) / len(mean),), (sum(std) / len(std),))
    if len(mean) != channels:
        raise ConfigError(f"weights_mean has {len(mean)} channels, the images have {channels}", "give one for each")
    return Scaling(mean, std)


def scaling_assumption(config: RoundConfig) -> str:
    """Return a warning where a file of weights has no scaling of its images, else ""."""
    if config.weights is not Weights.FILE or config.weights_mean:
        return ""
    mean, std = (", ".join(f"{value:g}" for value in values) for values in _known_scaling(config))
    return (
        f"{Path(config.weights_file).name} does not say how its images were scaled: mean {mean} and deviation {std} "
        "are assumed; set weights_mean and weights_std if it was trained with others"
    )


def _known_scaling(config: RoundConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of packaged weights or of timm; .5 where none are published."""
    name = config.model.removeprefix(DEEPLAB)
    known: Any = PACKAGED.get(name)
    if known is None:
        import timm  # noqa: PLC0415 see _timm_network

        known = timm.get_pretrained_cfg(name)
    return (_MIDDLE, _MIDDLE) if known is None else (tuple(known.mean), tuple(known.std))


def small_cnn(channels: int, classes: int, size: int) -> nn.Sequential:
    """Return a CNN for images up to 64 pixels, with most of its work at low resolution and many channels.

    Grey images (digits, letters) are halved by the first layer already; colour images keep their resolution once, and
    get residual blocks.
    """
    grey = channels == 1
    widths = (24, 48, 96) if grey else (32, 64, 128)
    layers: list[nn.Module] = [*_unit(channels, widths[0], 5, stride=2 if grey else 1)]
    side = -(-size // 2) if grey else size
    for before, width in pairwise(widths):
        layers += _unit(before, width, 3, stride=2)
        side = -(-side // 2)
        if not grey:
            layers.append(Residual(width))
    pooled = min(side, 4)
    layers += [nn.AdaptiveAvgPool2d(pooled) if side > pooled else nn.Identity(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(widths[-1] * pooled * pooled, classes))


class Residual(nn.Module):
    """Residual block of two convolutions."""

    def __init__(self, width: int) -> None:
        """Keep `width` channels."""
        super().__init__()
        self.body = nn.Sequential(*_unit(width, width, 3), *_unit(width, width, 3))

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus the residual, (B, width, H, W)."""
        added: Tensor = features + self.body(features)
        return added


def _unit(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


def _network(config: RoundConfig, channels: int, classes: int, *, empty: bool) -> nn.Module:
    if config.model == SMALL_NETWORK:
        if config.weights is not Weights.NONE or classes == 0:
            raise ConfigError(
                f"{SMALL_NETWORK} has no initial weights",
                "choose weights 'none' and fine-tune, or one of timm's networks, for example resnet18",
            )
        return small_cnn(channels, classes, config.seen_size)
    network = _timm_network(config, channels, classes, pretrained=config.weights is Weights.PRETRAINED and not empty)
    if config.weights is Weights.FILE and not empty:
        load_weights(network, weights_path(config), channels)
    if config.weights is Weights.PACKAGED and not empty:
        load_packaged(network, config.model, channels)
    return network


def _timm_network(config: RoundConfig, channels: int, classes: int, *, pretrained: bool) -> nn.Module:
    import timm  # noqa: PLC0415 seconds, which the small networks need not wait for

    if not timm.is_model(config.model):
        near = difflib.get_close_matches(config.model, [SMALL_NETWORK, *timm.list_models()], n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`timm.list_models()` prints all names"
        raise ConfigError(f"there is no network {config.model!r}", hint)
    options: dict[str, Any] = {"num_classes": classes, "in_chans": channels}
    if config.weights_padding:
        options["pad_type"] = config.weights_padding
    published = timm.get_pretrained_cfg(config.model)
    if published is not None and published.fixed_input_size:
        options["img_size"] = config.seen_size
    if pretrained:
        options["pretrained_cfg_overlay"] = {"file": str(fetch(config.model))}
    try:
        network: nn.Module = timm.create_model(config.model, pretrained=pretrained, **options)
    except Exception as error:  # the hub's client raises a dozen kinds; the network is not available with any of them
        if config.weights_padding and isinstance(error, TypeError):
            raise ConfigError(
                f"{config.model} has no choice of padding ({error})", "leave the padding empty"
            ) from error
        raise ConfigError(
            f"{config.model} cannot be built ({type(error).__name__}: {error})", "choose another network or input size"
        ) from error
    if config.seen_size <= SMALL_PIXELS:
        keep_resolution(network, fresh=config.weights is Weights.NONE)
    return network


def keep_resolution(network: nn.Module, *, fresh: bool) -> None:
    """Remove the first halvings of a network made for large images; a `fresh` stem also becomes 3 x 3."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            if fresh and module.kernel_size == (7, 7):
                small = nn.Conv2d(module.in_channels, module.out_channels, 3, padding=1, bias=module.bias is not None)
                nn.init.kaiming_normal_(small.weight, mode="fan_out", nonlinearity="relu")
                network.set_submodule(name, small)
            else:
                module.stride = (1, 1)
            break
    if isinstance(getattr(network, "maxpool", None), nn.MaxPool2d):
        network.set_submodule("maxpool", nn.Identity())
