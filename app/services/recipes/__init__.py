"""Registry of recipes: a module for each, with its settings and its work.

The properties of a recipe (goal, kinds of labels, findings) are those of its member of `core.types.Recipe`, and the
fields of its form in `app.components.recipe_form`.
"""

from collections.abc import Mapping
from typing import Any

from app.services.recipes.comparison import COMPARISON
from app.services.recipes.cross_fold import CROSS_FOLD
from app.services.recipes.cross_training import CROSS_TRAINING
from app.services.recipes.entry import RecipeEntry
from app.services.recipes.iterated import ITERATED
from app.services.recipes.labelling import LABELLING
from app.services.recipes.predictions import PREDICTIONS
from core.config import RecipeSettings
from core.types import ConfigError, Recipe, Task

RECIPES: Mapping[Recipe, RecipeEntry] = {
    Recipe.CROSS_FOLD: CROSS_FOLD,
    Recipe.ITERATED: ITERATED,
    Recipe.CROSS_TRAINING: CROSS_TRAINING,
    Recipe.COMPARISON: COMPARISON,
    Recipe.PREDICTIONS: PREDICTIONS,
    Recipe.LABELLING: LABELLING,
}


def recipe_settings(recipe: Recipe, task: Task, values: Mapping[str, Any]) -> RecipeSettings:
    """Return the settings of a recipe for these labels.

    Raises:
        ConfigError: the recipe does not support such labels, or a setting is invalid.
    """
    if task not in recipe.tasks:
        others = [one for one in Recipe if task in one.tasks]
        raise ConfigError(f"{recipe} is not a recipe for {task}", f"choose one of {', '.join(others)}")
    return RECIPES[recipe].settings.from_json(values)
