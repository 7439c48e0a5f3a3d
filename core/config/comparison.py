"""Settings of a comparison of original and cleaned labels, and the least number of judged images."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.config.rounds import RecipeSettings
from core.types import ConfigError, Task

LEAST_LABELS = 30  # judged images; with fewer, an interval is too wide to be useful
LEAST_MASKS = 20  # the same for masks, each of which has many pixels
LEAST_JUDGED: Mapping[Task, int] = {Task.CLASSIFICATION: LEAST_LABELS, Task.SEGMENTATION: LEAST_MASKS}
MOST_SEEDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSettings(RecipeSettings):
    """Number of trainings of both sides."""

    seeds: int = 3  # each costs two trainings; they show how much of a difference is random

    def __post_init__(self) -> None:
        """Validate the settings."""
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise ConfigError(f"seeds are {self.seeds}, must be a whole number from 1 to {MOST_SEEDS}")
