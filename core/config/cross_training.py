"""The settings of cross training: how its two networks learn together, and which image plays which part."""

from dataclasses import dataclass

from core.config.rounds import SMALL_MASK_NETWORK, RoundConfig
from core.config.settings import RecipeSettings
from core.types import ConfigError

_LEAST_BATCH = 4  # batch normalisation needs two in each half
_RATE, _SMALL_RATE = 1e-3, 0.02  # SGD's: the paper's; our small network has no first weights and learns by larger steps

ADAMW = "adamw"  # and the cycle of all other networks: in runs of thousands of steps it learns more
SGD = "sgd"  # as published, for runs of tens of thousands


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossTrainingSettings(RecipeSettings):
    """What cross training needs to know beside its networks' config.

    Images with a mask are learnt from, images with tags alone are painted. Splits are named with commas between; images
    of those named here, and of evaluation splits, never train. A list names images a line, as VOC's do, and stands in
    for what would be chosen otherwise: with one of labelled images all others play images without a mask.
    """

    steps: int = 0  # of stage 1; 0: as many as stage 2 has
    batch_size: int = 8  # of stage 1: half masks, half tags
    optimizer: str = ADAMW  # of stage 1, or SGD
    learning_rate: float = 0.0  # of stage 1; 0: chosen for optimizer and network
    block: int = 200  # steps of stage 1 from one checkpoint to the next
    background: str = ""  # the class that every image shows; "": none does
    baseline: bool = True  # whether a network also learns the given masks alone, in as many steps as stage 2
    validation_split: str = "val"  # splits whose masks say which of the two networks paints
    test_split: str = "test"  # splits whose masks say what it is worth
    labelled_list: str = ""  # file of the images whose masks are learnt from
    labelled_first: int = 0  # only so many: lines of the list, or images; 0: all
    validation_list: str = ""
    test_list: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot work, saying what would."""
        check_pair(batch_size=self.batch_size, steps=self.steps or 1, block=self.block, optimizer=self.optimizer)
        for name in ("steps", "labelled_first", "learning_rate"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must not be below 0")

    def rate(self, network: RoundConfig, usual: float) -> float:
        """Return the rate of stage 1; `usual` is what AdamW has for the network."""
        published = _SMALL_RATE if network.model == SMALL_MASK_NETWORK else _RATE
        return self.learning_rate or (usual if self.optimizer == ADAMW else published)

    def pair_steps(self, network: RoundConfig, images: int) -> int:
        """Return how many steps stage 1 has where stage 2 learns so many images."""
        return self.steps or max(1, network.epochs * (images // min(network.batch_size, images)))


def check_pair(*, batch_size: int, steps: int, block: int, optimizer: str) -> None:
    """Check what two networks are to learn together in.

    Raises:
        ConfigError: it cannot work.
    """
    if batch_size < _LEAST_BATCH or batch_size % 2:
        raise ConfigError(
            f"batch_size is {batch_size}, must be even and at least {_LEAST_BATCH}: half masks, half tags"
        )
    if optimizer not in (ADAMW, SGD):
        raise ConfigError(f"optimizer is {optimizer!r}, must be {ADAMW} or {SGD}")
    for name, value in (("steps", steps), ("block", block)):
        if value < 1:
            raise ConfigError(f"{name} is {value}, must be at least 1")
