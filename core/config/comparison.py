"""The settings of a comparison of what cleaning was worth, and how few judged images are too few for one."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.config.settings import RecipeSettings
from core.types import ConfigError, Task

LEAST_LABELS = 30  # judged images; with fewer an interval is no use
LEAST_MASKS = 20  # the same where labels are masks: each says something of many pixels
LEAST_JUDGED: Mapping[Task, int] = {Task.CLASSIFICATION: LEAST_LABELS, Task.SEGMENTATION: LEAST_MASKS}
MOST_SEEDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSettings(RecipeSettings):
    """How often both sides are trained."""

    seeds: int = 3  # different beginnings; each costs two trainings and shows how much of a difference is luck

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not isinstance(self.seeds, int) or not 1 <= self.seeds <= MOST_SEEDS:
            raise ConfigError(f"seeds are {self.seeds}, must be a whole number from 1 to {MOST_SEEDS}")
