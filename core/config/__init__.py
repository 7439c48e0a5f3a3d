"""How work is done: frozen, self-checking values that are stored with the round as JSON. None needs torch.

`rounds` says how one network is trained and judged out of fold; each recipe that does more has a module of its own.
"""

from core.config.backbones import BACKBONE, PACKAGED, PackagedWeights
from core.config.cross_training import ADAMW, SGD, CrossTrainingSettings, check_pair
from core.config.iterated import IteratedSettings
from core.config.predictions import PredictionsSettings
from core.config.recipes import RECIPES_OF, SETTINGS, CrossFoldSettings, mixes, recipe_settings, refuse_members
from core.config.rounds import (
    DEEPLAB,
    PADDINGS,
    SMALL_MASK_NETWORK,
    SMALL_NETWORK,
    SMALL_PIXELS,
    SWIFTNET,
    ImageSummary,
    Member,
    Method,
    RoundConfig,
    Weights,
    by_network,
    further,
    proposals,
    propose_config,
    trained,
    with_model,
)
from core.config.settings import RecipeSettings
from core.config.weight_files import published_facts, weights_path, with_file_facts

__all__ = [
    "ADAMW",
    "BACKBONE",
    "DEEPLAB",
    "PACKAGED",
    "PADDINGS",
    "RECIPES_OF",
    "SETTINGS",
    "SGD",
    "SMALL_MASK_NETWORK",
    "SMALL_NETWORK",
    "SMALL_PIXELS",
    "SWIFTNET",
    "CrossFoldSettings",
    "CrossTrainingSettings",
    "ImageSummary",
    "IteratedSettings",
    "Member",
    "Method",
    "PackagedWeights",
    "PredictionsSettings",
    "RecipeSettings",
    "RoundConfig",
    "Weights",
    "by_network",
    "check_pair",
    "further",
    "mixes",
    "proposals",
    "propose_config",
    "published_facts",
    "recipe_settings",
    "refuse_members",
    "trained",
    "weights_path",
    "with_file_facts",
    "with_model",
]
