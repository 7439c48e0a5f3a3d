"""How work is done: frozen, self-checking values that are stored with the round as JSON. None needs torch.

`rounds` says how one network is trained and judged out of fold; each recipe that does more has a module of its own.
"""

from core.config.recipes import RECIPES_OF, SETTINGS, RecipeSettings, recipe_settings
from core.config.rounds import (
    DEEPLAB,
    SMALL_MASK_NETWORK,
    SMALL_NETWORK,
    SMALL_PIXELS,
    SWIFTNET,
    ImageSummary,
    Method,
    RoundConfig,
    Weights,
    propose_config,
)

__all__ = [
    "DEEPLAB",
    "RECIPES_OF",
    "SETTINGS",
    "SMALL_MASK_NETWORK",
    "SMALL_NETWORK",
    "SMALL_PIXELS",
    "SWIFTNET",
    "ImageSummary",
    "Method",
    "RecipeSettings",
    "RoundConfig",
    "Weights",
    "propose_config",
    "recipe_settings",
]
