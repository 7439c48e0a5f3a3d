"""Settings of cross training: schedules and losses of its two networks, and roles of the images."""

from dataclasses import dataclass

from core.config.rounds import SMALL_MASK_NETWORK, RecipeSettings, RoundConfig
from core.types import ConfigError

_LEAST_BATCH = 4  # batch normalisation needs two in each half
_RATE, _SMALL_RATE = 1e-3, 0.02  # SGD's rates: the paper's; a larger one from scratch

ADAMW = "adamw"  # cycle of all other networks: better in runs of thousands of steps
SGD = "sgd"  # as published, for runs of tens of thousands

IMAGE_TRUST = "image"  # as published: the worst IoU of an image's classes, to the power 8
PIXEL_TRUST = "pixel"  # the IoU of the pixel's class, at most the mean of its image's, to the power 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossTrainingSettings(RecipeSettings):
    """Settings of cross training, beside the config of its networks.

    Images with a mask are trained on, images with only tags get pseudo masks. Splits are separated by commas; images
    of those named here, and of evaluation splits, never train. A list names images a line, as VOC's do, and stands in
    for what would be chosen otherwise: with one of labelled images all others play images without a mask.
    """

    steps: int = 0  # of stage 1; 0: as many as in stage 2
    batch_size: int = 8  # of stage 1: half masks, half tags
    optimizer: str = ADAMW  # of stage 1, or SGD
    trust: str = IMAGE_TRUST  # by which PseudoNet's masks weigh in stage 1, or PIXEL_TRUST
    balance: float = 0.5  # exponent of class weights by median frequency, of every network; 0: none, as published
    learning_rate: float = 0.0  # of stage 1; 0: chosen for optimizer and network
    block: int = 200  # steps of stage 1 from one checkpoint to the next
    background: str = ""  # the class that every image shows; "": none
    baseline: bool = True  # also trains a network on the given masks only, with as many steps as stage 2
    validation_split: str = "val"  # splits whose masks select which of the two networks makes pseudo masks
    test_split: str = "test"  # splits whose masks evaluate it
    labelled_list: str = ""  # file with the images whose masks are trained on
    labelled_first: int = 0  # number of lines of the list, or of images; 0: all
    validation_list: str = ""
    test_list: str = ""

    def __post_init__(self) -> None:
        """Validate the settings."""
        check_pair(
            batch_size=self.batch_size,
            steps=self.steps or 1,
            block=self.block,
            optimizer=self.optimizer,
            trust=self.trust,
        )
        for name in ("steps", "labelled_first", "learning_rate"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must not be below 0")
        if not 0 <= self.balance <= 1:
            raise ConfigError(f"balance is {self.balance}, must be from 0 to 1")

    def exponent(self, network: RoundConfig) -> float:
        """Return the exponent of the class weights: 1 where the network's own config asks for them."""
        return 1.0 if network.class_weights else self.balance

    def rate(self, network: RoundConfig, usual: float) -> float:
        """Return the rate of stage 1; `usual` is AdamW's rate for the network."""
        published = _SMALL_RATE if network.model == SMALL_MASK_NETWORK else _RATE
        return self.learning_rate or (usual if self.optimizer == ADAMW else published)

    def pair_steps(self, network: RoundConfig, images: int) -> int:
        """Return the number of steps of stage 1 if stage 2 trains on this number of images."""
        return self.steps or max(1, network.epochs * (images // min(network.batch_size, images)))


def check_pair(*, batch_size: int, steps: int, block: int, optimizer: str, trust: str) -> None:
    """Check the settings of two networks that learn together.

    Raises:
        ConfigError: a setting is invalid.
    """
    if batch_size < _LEAST_BATCH or batch_size % 2:
        raise ConfigError(
            f"batch_size is {batch_size}, must be even and at least {_LEAST_BATCH}: half masks, half tags"
        )
    if optimizer not in (ADAMW, SGD):
        raise ConfigError(f"optimizer is {optimizer!r}, must be {ADAMW} or {SGD}")
    if trust not in (IMAGE_TRUST, PIXEL_TRUST):
        raise ConfigError(f"trust is {trust!r}, must be {IMAGE_TRUST} or {PIXEL_TRUST}")
    for name, value in (("steps", steps), ("block", block)):
        if value < 1:
            raise ConfigError(f"{name} is {value}, must be at least 1")
