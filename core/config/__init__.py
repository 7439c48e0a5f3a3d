"""Settings of rounds: frozen, validated values that are stored with the round as JSON. None needs torch.

`rounds` holds those of networks that are trained and judged out of fold, `iterated`, `cross_training` and `comparison`
those of recipes with experiments in core.
"""

from core.config.cross_training import (
    ADAMW,
    IMAGE_TRUST,
    PIXEL_TRUST,
    SGD,
    CrossTrainingSettings,
    check_pair,
)
from core.config.iterated import IteratedSettings
from core.config.rounds import (
    BACKBONE,
    DEEPLAB,
    PACKAGED,
    PADDINGS,
    SMALL_MASK_NETWORK,
    SMALL_NETWORK,
    SMALL_PIXELS,
    SWIFTNET,
    DatasetSummary,
    Member,
    PackagedWeights,
    ProbabilityMethod,
    RoundConfig,
    Weights,
    as_fine_tuning,
    further_network,
    packaged_probe,
    proposals,
    propose_config,
    refuse_members,
    settings_by_network,
    with_model,
)
from core.config.settings import RecipeSettings, TrainingCosts
from core.config.weight_files import (
    allow_weights_in,
    allowed_weights,
    open_weights,
    published_facts,
    weights_path,
    with_file_facts,
)

__all__ = [
    "ADAMW",
    "BACKBONE",
    "DEEPLAB",
    "IMAGE_TRUST",
    "PACKAGED",
    "PADDINGS",
    "PIXEL_TRUST",
    "SGD",
    "SMALL_MASK_NETWORK",
    "SMALL_NETWORK",
    "SMALL_PIXELS",
    "SWIFTNET",
    "CrossTrainingSettings",
    "DatasetSummary",
    "IteratedSettings",
    "Member",
    "PackagedWeights",
    "ProbabilityMethod",
    "RecipeSettings",
    "RoundConfig",
    "TrainingCosts",
    "Weights",
    "allow_weights_in",
    "allowed_weights",
    "as_fine_tuning",
    "check_pair",
    "further_network",
    "open_weights",
    "packaged_probe",
    "proposals",
    "propose_config",
    "published_facts",
    "refuse_members",
    "settings_by_network",
    "weights_path",
    "with_file_facts",
    "with_model",
]
