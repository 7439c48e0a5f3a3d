"""Base of the settings of all recipes; each recipe has a module of its own beside this one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from core.types import from_json_values, to_json_values


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
