"""Base of the settings of all recipes, and the costs that a trial measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from core.types import from_json_values, to_json_values


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCosts:
    """Seconds of a network's parts, measured by a trial; a pass sees all images of the dataset once."""

    images: float  # in the dataset
    once: float  # decoding, and whatever else is done once
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
        """Return the seconds of a round with these costs, epochs and batches; None if they do not tell."""
        return None
