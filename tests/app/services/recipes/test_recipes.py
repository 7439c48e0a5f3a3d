"""The registry: every recipe has an entry, and settings whose stored form stays."""

import json

import pytest

from app.services.recipes import RECIPES, recipe_settings
from app.services.recipes.cross_fold import CrossFoldSettings
from app.services.recipes.labelling import LabellingSettings
from core.config import CrossTrainingSettings
from core.types import ConfigError, Recipe, Task

STORED = {
    Recipe.CROSS_FOLD: "{}",
    Recipe.ITERATED: (
        '{"iterations": 3, "share": 0.5, "last_share": 0.8, "least_confidence": 0.5, "labelled_share": 0.25, '
        '"weigh_pixels": true, "whole_batch": false, "mixing": false, "mirror": "decide", "strong_views": true, '
        '"votes": 0, '
        '"fine_tuning": 0.0, "fine_tuning_rate": 0.3, "consistency": false, "adaptive": true, '
        '"adaptive_masks": false, "threshold": 0.95, '
        '"ratio": 3, "growing": false, "views": 0, "minutes": 0.0, "validation_split": "", "validation_share": 0.2, '
        '"most_validation": 200, "test_split": "", '
        '"frozen": ""}'
    ),
    Recipe.CROSS_TRAINING: (
        '{"steps": 0, "batch_size": 8, "optimizer": "adamw", "trust": "image", "balance": 0.5, '
        '"learning_rate": 0.0, "block": 200, "background": "", "baseline": true, "validation_split": "val", '
        '"test_split": "test", "labelled_list": "", "labelled_first": 0, "validation_list": "", "test_list": ""}'
    ),
    Recipe.COMPARISON: '{"seeds": 3}',
    Recipe.PREDICTIONS: '{"file": "", "ids": "", "out_of_fold": false, "stored": ""}',
    Recipe.LABELLING: "{}",
}


def test_the_stored_form_does_not_change() -> None:
    assert {recipe: json.dumps(info.settings().to_json()) for recipe, info in RECIPES.items()} == STORED
    assert CrossFoldSettings(extends=3).to_json() == {"extends": 3}


def test_every_recipe_has_an_entry_and_a_goal_of_its_own() -> None:
    assert set(RECIPES) == set(Recipe)
    assert len({recipe.goal for recipe in Recipe}) == len(Recipe)


def test_a_recipe_that_finds_nothing_neither_suggests_nor_proposes() -> None:
    assert not [recipe for recipe in Recipe if not recipe.finds and (recipe.suggests or recipe.proposes)]


@pytest.mark.parametrize("recipe", Recipe)
def test_stored_settings_read_back(recipe: Recipe) -> None:
    settings = RECIPES[recipe].settings
    assert settings.from_json(settings().to_json()) == settings()


def test_an_unknown_setting_of_a_recipe_without_settings_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown settings a of the recipe; known are none"):
        LabellingSettings.from_json({"a": 1})


def test_settings_must_belong_to_the_recipe_and_its_kind_of_labels() -> None:
    settings = recipe_settings(Recipe.CROSS_TRAINING, Task.SEGMENTATION, {"steps": 7})
    assert settings == CrossTrainingSettings(steps=7)
    with pytest.raises(ConfigError, match="is not a recipe for classification"):
        recipe_settings(Recipe.CROSS_TRAINING, Task.CLASSIFICATION, {})
