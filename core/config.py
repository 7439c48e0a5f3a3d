"""How a round is run: frozen, self-checking values that are stored with the round as JSON."""

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, TypeVar

from core.types import ConfigError

Kind = TypeVar("Kind", bound=StrEnum)

SMALL_PIXELS = 64  # images up to this size get a small network and a stem that keeps their resolution
_LEAST_SEEN = 25_000  # images a small network is shown in all its epochs, however few there are
_MANY = 20_000  # images, from here on large batches lose nothing
SMALL_NETWORK = "small_cnn"  # our own, see core/learn/models/classifier.py; everything else is a timm name


class Method(StrEnum):
    """Two ways to out-of-fold probabilities (methods: out-of-fold predictions)."""

    FINE_TUNE = "fine-tune"  # one network per fold
    PROBE = "probe"  # a frozen backbone embeds once, K logistic regressions


class Weights(StrEnum):
    """Where a network's first weights come from."""

    NONE = "none"
    PRETRAINED = "pretrained"  # timm's, from the hub; the only setting that uses the network
    FILE = "file"  # a local .safetensors or .pth state dict


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundConfig:
    """Everything that decides a round's outcome, with the snapshot of its labels."""

    folds: int = 5
    method: Method = Method.FINE_TUNE
    model: str = SMALL_NETWORK
    weights: Weights = Weights.NONE
    weights_file: str = ""
    input_size: int = 28  # pixels, the longer side; images are padded to a square
    grey: bool = False  # one channel instead of three
    epochs: int = 4
    batch_size: int = 256
    learning_rate: float = 0.0  # 0: chosen for the model
    seed: int = 0
    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"

    def __post_init__(self) -> None:
        """Refuse what cannot work, saying what would."""
        _at_least("folds", self.folds, 2)
        _at_least("epochs", self.epochs, 1)
        _at_least("batch_size", self.batch_size, 1)
        _at_least("input_size", self.input_size, 8)
        if self.weights is Weights.FILE and not self.weights_file:
            msg = "weights are 'file' but no weights_file is given; name a .safetensors or .pth file"
            raise ConfigError(msg)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RoundConfig":
        """Return the config stored as `values`.

        Raises:
            ConfigError: a field is unknown or has a value that cannot work.
        """
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            msg = f"unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            raise ConfigError(msg)
        typed = dict(values)
        for name, kind in (("method", Method), ("weights", Weights)):
            if name in typed:
                typed[name] = _member(kind, typed[name])
        return cls(**typed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSummary:
    """What is known of a dataset's images before any is decoded: median sides in pixels, grey throughout, how many."""

    width: int
    height: int
    grey: bool
    count: int
    classes: int = field(default=0)


def propose_config(images: ImageSummary) -> RoundConfig:
    """Return the config that suits these images; what the page's form and the command line begin with."""
    longer = max(images.width, images.height)
    if longer <= SMALL_PIXELS:
        return RoundConfig(
            model=SMALL_NETWORK,
            input_size=max(8, longer),
            grey=images.grey,
            epochs=min(40, max(4 if images.grey else 8, -(-_LEAST_SEEN // max(1, images.count)))),
            batch_size=256 if images.count >= _MANY else 64,
        )
    return RoundConfig(model="resnet18", input_size=min(224, longer), epochs=10, batch_size=64, grey=False)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        msg = f"{name} is {value}, must be at least {least}"
        raise ConfigError(msg)


def _member(kind: type[Kind], value: object) -> Kind:
    try:
        return kind(str(value))
    except ValueError:
        msg = f"{value!r} is not one of {', '.join(kind)}"
        raise ConfigError(msg) from None
