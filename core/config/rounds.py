"""How a round is run: its folds, its network, how that is trained, and what is a finding."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, TypeVar

from core.config.backbones import BACKBONE, PACKAGED
from core.types import ConfigError, Task

Kind = TypeVar("Kind", bound=StrEnum)

SMALL_PIXELS = 64  # images up to this size get a small network and a stem that keeps their resolution
_LEAST_SEEN = 25_000  # images a small network is shown in all its epochs, however few there are
_MANY = 20_000  # images, from here on large batches lose nothing
PADDINGS = ("", "same")
MOST_MEMBERS = 7  # networks beside the first
_NUMBERS = {"scales", "weights_mean", "weights_std"}  # fields that hold several
_PHOTOGRAPH = 160  # pixels, the side at which photographs are seen
SMALL_NETWORK = "small_cnn"  # our own, see core/learn/models/classifier.py; everything else is a timm name

SMALL_MASK_NETWORK = "small_unet"  # these three learn masks, see core/learn/models/segmenter.py
SWIFTNET = "swiftnet_rn18"
DEEPLAB = "deeplabv3plus-"  # and a timm name
_SMALL_SCENE = 256  # pixels, the longer side; up to here the small network learns masks
_SMALL_SCENE_SIZES = 96, 144  # pixels, the longer side: what a scene is scaled down to for the small network
_LEAST_SCENES_SEEN = 4_800  # by the small network in all its epochs
_LEAST_LARGE_SCENES_SEEN = 30_000  # by the others
_LARGEST_SCENE = 1024  # pixels, the longer side; larger ones are scaled down
_CROP = 448  # pixels, the side of the windows that are learnt of larger scenes
_LEAST_CROP = 32  # pixels: what the networks make one pixel of
_LEAST_SCALE, _LARGEST_SCALE = 0.25, 4.0
_REGIONS_IN_A_SCENE = 2_500  # a region to review is at least this part of the median image


class Method(StrEnum):
    """Two ways to out-of-fold probabilities (methods: out-of-fold predictions)."""

    FINE_TUNE = "fine-tune"  # one network per fold
    PROBE = "probe"  # a frozen backbone embeds once, K logistic regressions


class Weights(StrEnum):
    """Where a network's first weights come from."""

    NONE = "none"
    PACKAGED = "packaged"  # pretrained, installed with Outfold: see core/config/backbones.py
    PRETRAINED = "pretrained"  # timm's, from the hub; the only setting that uses the network
    FILE = "file"  # a local .safetensors or .pth state dict


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A further network of a round, in what it may differ from the first; fields mean what they mean in `RoundConfig`.

    Folds, seed, device and grey are the round's: all networks hold out the same images.
    """

    method: Method = Method.FINE_TUNE
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
        """Return the member that trains as this config says."""
        return cls(**{item.name: getattr(config, item.name) for item in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundConfig:
    """Everything that decides a round's outcome, with the snapshot of its labels."""

    folds: int = 5
    method: Method = Method.FINE_TUNE
    model: str = SMALL_NETWORK
    weights: Weights = Weights.NONE
    weights_file: str = ""
    weights_mean: tuple[float, ...] = ()  # of its images, a channel each, in [0, 1]; (): what the file or timm says
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

    all_stages: bool = False  # of a probe: whether the features of all stages count, or the last ones alone
    flip: bool = False  # of a probe and of masks: whether an image that is judged is also seen mirrored

    members: tuple[Member, ...] = ()  # further networks, whose opinions are mixed with the first one's; of classes only

    # The rest says something of masks alone.
    crop: int = 0  # pixels, the side of the windows of the scaled image that are learnt; 0: all of it
    mirror: bool = True  # whether images are also learnt mirrored; not where left and right tell classes apart
    scales: tuple[float, ...] = (1.0,)  # sizes a held-out image is looked at in, 1 is the one that was learnt; of a
    # probe those that its encoder sees every image in
    class_weights: bool = False  # whether rare classes weigh more, by median frequency
    min_region: int = 64  # pixels of the image; smaller differences are no finding
    boundary: int = 3  # pixels of the image; thinner differences are wobble of a border

    def __post_init__(self) -> None:
        """Refuse what cannot work, saying what would."""
        _at_least("folds", self.folds, 2)
        _at_least("epochs", self.epochs, 1)
        _at_least("batch_size", self.batch_size, 1)
        _at_least("input_size", self.input_size, 8)
        if self.weights is Weights.FILE and not self.weights_file:
            msg = "weights are 'file' but no weights_file is given; name a .safetensors or .pth file"
            raise ConfigError(msg)
        if self.weights_padding not in PADDINGS:
            raise ConfigError(f"weights_padding is {self.weights_padding!r}, must be 'same' or empty")
        if len(self.weights_mean) != len(self.weights_std) or any(value <= 0 for value in self.weights_std):
            raise ConfigError("weights_mean and weights_std need a number for each channel, and deviations above 0")
        if self.weights is Weights.PACKAGED and self.model.removeprefix(DEEPLAB) not in PACKAGED:
            raise ConfigError(
                f"no weights of {self.model} come with the installation; choose {' or '.join(PACKAGED)}, or weights "
                f"'{Weights.NONE}', '{Weights.PRETRAINED}' or '{Weights.FILE}'"
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
            self._member(number)  # refuses what cannot work, as for the first network

    @property
    def networks(self) -> "tuple[RoundConfig, ...]":
        """The config of each network, the first one's first; none of these has members."""
        return replace(self, members=()), *(self._member(number) for number in range(len(self.members)))

    def _member(self, number: int) -> "RoundConfig":
        member = self.members[number]
        values = {item.name: getattr(member, item.name) for item in fields(member)}
        try:
            return replace(self, members=(), **values)
        except ConfigError as error:
            raise ConfigError(f"network {number + 2}: {error}") from None

    @property
    def seen_size(self) -> int:
        """The side of the square that the network sees, in pixels."""
        return max(self.upscale, self.input_size)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `members` only where there are any."""
        values = asdict(self) | {name: list(getattr(self, name)) for name in _NUMBERS}
        members = [
            asdict(member) | {name: list(getattr(member, name)) for name in _NUMBERS & asdict(member).keys()}
            for member in self.members
        ]
        return {**values, "members": members} if members else {n: v for n, v in values.items() if n != "members"}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RoundConfig":
        """Return the config stored as `values`.

        Raises:
            ConfigError: a field is unknown or has a value that cannot work.
        """
        typed = _typed(values, {item.name for item in fields(cls)})
        if "members" in typed:
            if not isinstance(typed["members"], list | tuple) or not all(isinstance(x, dict) for x in typed["members"]):
                raise ConfigError(f"members are {typed['members']!r}, must be a list of settings")
            known = {item.name for item in fields(Member)}
            typed["members"] = tuple(Member(**_typed(one, known)) for one in typed["members"])
        return cls(**typed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSummary:
    """What is known of a dataset's images before any is decoded: median sides in pixels, grey throughout, how many.

    `groups` are the images and groups that may be held out apart from each other; None: every image may.
    """

    width: int
    height: int
    grey: bool
    count: int
    classes: int = field(default=0)
    groups: int | None = None
    gpu: bool = False  # whether networks are trained on one


def propose_config(images: ImageSummary, task: Task = Task.CLASSIFICATION) -> RoundConfig:
    """Return the config that suits these images; what the page's form and the command line begin with."""
    return proposals(images, task)[0]


def proposals(images: ImageSummary, task: Task = Task.CLASSIFICATION) -> list[RoundConfig]:
    """Return the configs that suit these images, the first choice first, the one that takes longer after it."""
    apart = images.count if images.groups is None else images.groups
    return [replace(config, folds=max(2, min(config.folds, apart))) for config in _PROPOSALS[task](images)]


def with_model(config: RoundConfig, model: str) -> RoundConfig:
    """Return the config for another network: trained from scratch unless its weights are packaged too."""
    if model == config.model or model.removeprefix(DEEPLAB) in PACKAGED:
        return replace(config, model=model)
    plain = replace(config, model=model, method=Method.FINE_TUNE, weights=Weights.NONE, upscale=0, all_stages=False)
    return replace(plain, scales=(1.0,))


def trained(config: RoundConfig) -> RoundConfig:
    """Return the config that trains the whole network of a probe; any other config as it is."""
    if config.method is not Method.PROBE:
        return config
    return replace(config, method=Method.FINE_TUNE, all_stages=False, flip=False, scales=(1.0,))


def _for_labels(images: ImageSummary) -> list[RoundConfig]:
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
    size = min(_PHOTOGRAPH, longer)
    probe = RoundConfig(
        method=Method.PROBE,
        model=BACKBONE,
        weights=Weights.PACKAGED,
        input_size=size,
        upscale=_PHOTOGRAPH if size < _PHOTOGRAPH else 0,
        epochs=10,  # where it is fine-tuned
        batch_size=64,
        all_stages=True,
        flip=True,
    )
    return [probe, replace(probe, method=Method.FINE_TUNE, all_stages=False, flip=False)]


def _for_masks(images: ImageSummary) -> list[RoundConfig]:
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
            batch_size=4,  # many small steps: of few images more is learnt by them than by few large ones
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
    probe = replace(whole, method=Method.PROBE, scales=scales)
    return [whole, probe] if images.gpu else [probe, whole]


_PROPOSALS: Mapping[Task, Callable[[ImageSummary], list[RoundConfig]]] = {
    Task.CLASSIFICATION: _for_labels,
    Task.SEGMENTATION: _for_masks,
}


def further(config: RoundConfig, values: Mapping[str, Any]) -> Member:
    """Return a further network of these settings; what they leave open is as in the config.

    One from scratch is trained whole, at the size of its images; one with first weights is used as the first is.

    Raises:
        ConfigError: a setting is unknown or cannot work.
    """
    begin = replace(config, members=())
    model, weights = str(values.get("model", begin.model)), values.get("weights")
    if weights in (None, Weights.NONE):
        begin = with_model(begin, model) if weights is None else replace(_from_scratch(begin), model=model)
    stated = asdict(Member.of(begin)) | dict(values)
    unknown = sorted(stated.keys() - {item.name for item in fields(Member)})
    if unknown:
        raise ConfigError(f"a further network has no settings {', '.join(unknown)}; folds, seed and device are shared")
    return Member.of(RoundConfig.from_json(begin.to_json() | stated))


def by_network(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a round's settings with each further network as one of them, in which it differs from the first."""
    told = {name: value for name, value in config.items() if name != "members"}
    for number, member in enumerate(config.get("members", ()), 2):
        own = {name: value for name, value in member.items() if name == "model" or value != config.get(name)}
        told[f"network {number}"] = ", ".join(f"{name} {value}" for name, value in own.items())
    return told


def _from_scratch(config: RoundConfig) -> RoundConfig:
    return replace(trained(config), weights=Weights.NONE, weights_file="", upscale=0)


def _typed(values: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """Return JSON values as the fields have them.

    Raises:
        ConfigError: one is unknown, or no such value.
    """
    unknown = sorted(set(values) - known)
    if unknown:
        msg = f"unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        raise ConfigError(msg)
    typed = dict(values)
    for name, kind in (("method", Method), ("weights", Weights)):
        if name in typed:
            typed[name] = _one_of(kind, typed[name])
    for name in _NUMBERS & typed.keys():
        typed[name] = _numbers(name, typed[name])
    return typed


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        msg = f"{name} is {value}, must be at least {least}"
        raise ConfigError(msg)


def _numbers(name: str, values: object) -> tuple[float, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, int | float) for value in values):
        raise ConfigError(f"{name} are {values!r}, must be a list of numbers, for example [0.75, 1, 1.25]")
    return tuple(float(value) for value in values)


def _one_of(kind: type[Kind], value: object) -> Kind:
    try:
        return kind(str(value))
    except ValueError:
        msg = f"{value!r} is not one of {', '.join(kind)}"
        raise ConfigError(msg) from None
