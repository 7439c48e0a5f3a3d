"""Recipes of a round: title, kinds of labels and settings of each, beside those of its networks.

`RECIPES` is the registry: the command line, the form of a round and its progress are made from it. The work of a
recipe is in `app.worker.recipes`, its fields in `app.components.recipe_form`, its preconditions in
`app.services.rounds.request`.
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
    """Settings of a round that may extend a finished one: it then takes over its labels and its networks."""

    extends: int = 0  # that round's number; 0: none

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; empty if the round extends none."""
        return {"extends": self.extends} if self.extends else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabellingSettings(RecipeSettings):
    """Settings of labelling by hand: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeInfo:
    """Registry entry of a recipe, used by every part of the program."""

    title: str  # in the form of a round
    settings: type[RecipeSettings]
    tasks: tuple[Task, ...] = tuple(Task)  # kinds of labels that it supports
    piece: str = ""  # name of its single piece; "": its pieces are folds
    probes: tuple[Task, ...] = ()  # of a recipe that proposes: kinds of labels for which it can use a frozen network
    mixes: tuple[Task, ...] = ()  # kinds of labels for which it can mix the predictions of several networks


RECIPES: Mapping[Recipe, RecipeInfo] = {  # the usual one first
    Recipe.CROSS_FOLD: RecipeInfo(title="Find wrong labels", settings=CrossFoldSettings, mixes=(Task.CLASSIFICATION,)),
    Recipe.ITERATED: RecipeInfo(
        title="Teacher and student",
        settings=IteratedSettings,
        piece="teacher and students",
        probes=(Task.CLASSIFICATION,),
    ),
    Recipe.CROSS_TRAINING: RecipeInfo(
        title="Few masks, many tags",
        settings=CrossTrainingSettings,
        tasks=(Task.SEGMENTATION,),
        piece="both networks, and the one they teach",
    ),
    Recipe.COMPARISON: RecipeInfo(
        title="Measure the impact of cleaning",
        settings=ComparisonSettings,
        piece="original and cleaned labels, every seed",
    ),
    Recipe.PREDICTIONS: RecipeInfo(
        title="Judge predictions made elsewhere", settings=PredictionsSettings, piece="predictions made elsewhere"
    ),
    Recipe.LABELLING: RecipeInfo(
        title="Label images",
        settings=LabellingSettings,
        tasks=(Task.CLASSIFICATION,),
        piece="images, ordered by similarity",
    ),
}


def recipes_of(task: Task) -> list[Recipe]:
    """Return the recipes that support these labels, the usual one first."""
    return [recipe for recipe, info in RECIPES.items() if task in info.tasks]


def can_mix(recipe: Recipe, task: Task) -> bool:
    """Return whether the recipe can mix the predictions of several networks."""
    return task in RECIPES[recipe].mixes


def can_probe(recipe: Recipe, task: Task) -> bool:
    """Return whether a recipe that trains can use a frozen network, as all do that propose nothing."""
    return not recipe.proposes or task in RECIPES[recipe].probes


def refuse_members(config: RoundConfig, recipe: Recipe, task: Task) -> None:
    """Raise `ConfigError` if further networks are named and the recipe cannot mix their predictions."""
    if config.members and not can_mix(recipe, task):
        raise ConfigError(
            f"further networks can be mixed by the recipe {Recipe.CROSS_FOLD} for class labels only", "name one network"
        )


def recipe_settings(recipe: Recipe, task: Task, values: Mapping[str, Any]) -> RecipeSettings:
    """Return the settings of a recipe for these labels.

    Raises:
        ConfigError: the recipe does not support such labels, or a setting is invalid.
    """
    if task not in RECIPES[recipe].tasks:
        raise ConfigError(f"{recipe} is no recipe for {task}", f"choose one of {', '.join(recipes_of(task))}")
    return RECIPES[recipe].settings.from_json(values)
