"""The settings of each recipe beside those of its networks: one frozen, self-checking dataclass a recipe.

Whoever adds a recipe adds its settings to `SETTINGS`; the command line and the page's form are made from that.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from core.types import ConfigError, Recipe, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSettings:
    """What all recipes' settings share: they are stored as JSON and read back."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings stored as `values`; what is not named has its default.

        Raises:
            ConfigError: a setting is unknown or has a value that cannot work.
        """
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            those = ", ".join(sorted(known)) or "none"
            raise ConfigError(f"unknown settings {', '.join(unknown)} of the recipe; known are {those}")
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFoldSettings(RecipeSettings):
    """Folds have no settings beside their networks'."""


SETTINGS: Mapping[Recipe, type[RecipeSettings]] = {Recipe.CROSS_FOLD: CrossFoldSettings}
RECIPES_OF: Mapping[Task, tuple[Recipe, ...]] = {  # that make sense for these labels, the usual one first
    Task.CLASSIFICATION: (Recipe.CROSS_FOLD,),
    Task.SEGMENTATION: (Recipe.CROSS_FOLD,),
}


def recipe_settings(recipe: Recipe, task: Task, values: Mapping[str, Any]) -> RecipeSettings:
    """Return the settings of a recipe for these labels.

    Raises:
        ConfigError: the recipe is none for such labels, or a setting cannot work.
    """
    if recipe not in RECIPES_OF[task]:
        raise ConfigError(f"{recipe} is no recipe for {task}; choose one of {', '.join(RECIPES_OF[task])}")
    return SETTINGS[recipe].from_json(values)
