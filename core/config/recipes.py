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
from core.config.settings import RecipeSettings
from core.types import ConfigError, Recipe, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFoldSettings(RecipeSettings):
    """Folds have no settings beside their networks'."""


SETTINGS: Mapping[Recipe, type[RecipeSettings]] = {
    Recipe.CROSS_FOLD: CrossFoldSettings,
    Recipe.ITERATED: IteratedSettings,
    Recipe.CROSS_TRAINING: CrossTrainingSettings,
    Recipe.COMPARISON: ComparisonSettings,
    Recipe.PREDICTIONS: PredictionsSettings,
}
RECIPES_OF: Mapping[Task, tuple[Recipe, ...]] = {  # that make sense for these labels, the usual one first
    Task.CLASSIFICATION: (Recipe.CROSS_FOLD, Recipe.ITERATED, Recipe.COMPARISON, Recipe.PREDICTIONS),
    Task.SEGMENTATION: (Recipe.CROSS_FOLD, Recipe.ITERATED, Recipe.CROSS_TRAINING, Recipe.COMPARISON),
}


def recipe_settings(recipe: Recipe, task: Task, values: Mapping[str, Any]) -> RecipeSettings:
    """Return the settings of a recipe for these labels.

    Raises:
        ConfigError: the recipe is none for such labels, or a setting cannot work.
    """
    if recipe not in RECIPES_OF[task]:
        raise ConfigError(f"{recipe} is no recipe for {task}; choose one of {', '.join(RECIPES_OF[task])}")
    return SETTINGS[recipe].from_json(values)
