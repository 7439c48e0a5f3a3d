"""The settings of each recipe beside those of its networks: one frozen, self-checking dataclass a recipe.

Whoever adds a recipe adds its settings to `SETTINGS`; the command line and the page's form are made from that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.config.comparison import ComparisonSettings
from core.config.cross_training import CrossTrainingSettings
from core.config.iterated import IteratedSettings
from core.config.predictions import PredictionsSettings
from core.config.rounds import RoundConfig
from core.config.settings import RecipeSettings
from core.types import ConfigError, Recipe, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFoldSettings(RecipeSettings):
    """A round may go on from a finished one of its dataset: with its labels, and with what its networks learnt."""

    extends: int = 0  # that round's number; 0: none

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; nothing of a round that extends none."""
        return {"extends": self.extends} if self.extends else {}


SETTINGS: Mapping[Recipe, type[RecipeSettings]] = {
    Recipe.CROSS_FOLD: CrossFoldSettings,
    Recipe.ITERATED: IteratedSettings,
    Recipe.CROSS_TRAINING: CrossTrainingSettings,
    Recipe.COMPARISON: ComparisonSettings,
    Recipe.PREDICTIONS: PredictionsSettings,
}
RECIPES_OF: Mapping[Task, tuple[Recipe, ...]] = {  # that make sense for these labels, the usual one first
    Task.CLASSIFICATION: (Recipe.CROSS_FOLD, Recipe.ITERATED, Recipe.COMPARISON, Recipe.PREDICTIONS),
    Task.SEGMENTATION: (
        Recipe.CROSS_FOLD,
        Recipe.ITERATED,
        Recipe.CROSS_TRAINING,
        Recipe.COMPARISON,
        Recipe.PREDICTIONS,
    ),
}
MIXING: Mapping[Task, frozenset[Recipe]] = {  # that can mix the opinions of several networks
    Task.CLASSIFICATION: frozenset({Recipe.CROSS_FOLD}),
    Task.SEGMENTATION: frozenset(),
}


def mixes(recipe: Recipe, task: Task) -> bool:
    """Whether the recipe can mix the predictions of several networks."""
    return recipe in MIXING[task]


def refuse_members(config: RoundConfig, recipe: Recipe, task: Task) -> None:
    """Raise `ConfigError` where further networks are named and nothing can mix their opinions."""
    if config.members and not mixes(recipe, task):
        raise ConfigError(
            f"further networks can be mixed by the recipe {Recipe.CROSS_FOLD} for class labels only; name one network"
        )


def recipe_settings(recipe: Recipe, task: Task, values: Mapping[str, Any]) -> RecipeSettings:
    """Return the settings of a recipe for these labels.

    Raises:
        ConfigError: the recipe is none for such labels, or a setting cannot work.
    """
    if recipe not in RECIPES_OF[task]:
        raise ConfigError(f"{recipe} is no recipe for {task}; choose one of {', '.join(RECIPES_OF[task])}")
    return SETTINGS[recipe].from_json(values)
