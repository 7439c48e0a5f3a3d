"""Request of a round: checked, stored as a row, and handed over to the worker.

The worker checks the labels again on the round's snapshot. Names of networks are listed without loading any; timm's are
read from its source, since importing it would load torch in the web process. A network for masks is one of
Outfold's own, or DeepLabV3+ on any of timm's (`deeplabv3plus-resnet18`).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError

from app.services import jobs
from app.services.allowed import refuse_weights_outside
from app.services.app_context import AppContext
from app.services.recipes import RECIPES, recipe_settings
from app.services.recipes.entry import RequestedRound
from core.config import (
    DEEPLAB,
    SMALL_MASK_NETWORK,
    SMALL_NETWORK,
    SWIFTNET,
    ProbabilityMethod,
    RoundConfig,
    refuse_members,
    with_file_facts,
)
from core.types import ConfigError, Recipe, RoundError, Task
from db.queries import rounds, snapshots
from db.queries.rounds import RoundInfo

_OFTEN_USED = (
    "resnet18",
    "resnet34",
    "resnet50",
    "convnext_nano",
    "convnext_tiny",
    "efficientnet_b0",
    "mobilenetv3_large_100",
    "regnety_008",
    "vit_small_patch16_224",
    "vit_small_patch14_dinov2",
)
_BEFORE: Mapping[Task, tuple[tuple[str, ...], str]] = {  # Outfold's own networks, and the prefix of timm's names
    Task.CLASSIFICATION: ((SMALL_NETWORK,), ""),
    Task.SEGMENTATION: ((SWIFTNET, SMALL_MASK_NETWORK), DEEPLAB),
}
_REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


def model_names(task: Task = Task.CLASSIFICATION) -> tuple[str, ...]:
    """Return the names of all networks for such labels, frequently used ones first."""
    own, before = _BEFORE[task]
    return (*own, *(before + name for name in _timm_names()))


def refuse_unknown_model(name: str, task: Task = Task.CLASSIFICATION) -> None:
    """Raise `RoundError` if no network for such labels has this name.

    A pretrained variant's tag (`resnet18.a1_in1k`) is allowed.
    """
    known = model_names(task)
    base = name.split(".", 1)[0]
    if base not in known:
        near = get_close_matches(base, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"try {', '.join(known[:4])}"
        raise RoundError(f"there is no network for these labels called {name!r}", hint)


def refuse_unfinished(name: str, existing: Sequence[RoundInfo]) -> None:
    """Raise `RoundError` if one of a dataset's rounds is queued or running."""
    unfinished = next((info for info in existing if not info.status.ended), None)
    if unfinished is not None:
        raise RoundError(f"{unfinished.name} of {name} is still {unfinished.status}", "wait for it or cancel it first")


def refuse_folds(app_context: AppContext, dataset_id: int, config: RoundConfig) -> None:
    """Raise the error with which `start_round` would refuse to cross-validate a dataset's labels; start nothing."""
    with app_context.database.read() as session:
        name, classes = snapshots.dataset_of(session, dataset_id)
        settings = recipe_settings(Recipe.CROSS_FOLD, snapshots.task_of(session, dataset_id), {})
        request = RequestedRound(app_context, dataset_id, name, classes, config, settings)
        RECIPES[Recipe.CROSS_FOLD].refuse(session, request)


def start_round(
    app_context: AppContext,
    dataset_id: int,
    config: RoundConfig,
    by: str,
    *,
    recipe: Recipe = Recipe.CROSS_FOLD,
    recipe_config: Mapping[str, Any] | None = None,
) -> RoundInfo:
    """Add the dataset's next round and hand it over to the worker; `recipe_config` are the recipe's own settings.

    Raises:
        RoundError: one is unfinished, there is no such network, or the recipe cannot train on these labels.
        ConfigError: the recipe does not support such labels, probes or several networks, or a setting is invalid.
        DatasetError: a file that the settings name must not be read.
    """
    with app_context.database.read() as session:
        name, classes = snapshots.dataset_of(session, dataset_id)
        task = snapshots.task_of(session, dataset_id)
    for network in config.networks if recipe.trains else ():
        refuse_unknown_model(network.model, task)
    refuse_members(config, recipe, task)
    if recipe.trains and config.method is ProbabilityMethod.PROBE and task not in recipe.probes:
        raise ConfigError(f"{recipe} trains whole networks", f"choose method '{ProbabilityMethod.FINE_TUNE}'")
    refuse_weights_outside(app_context, config)
    config = with_file_facts(config)
    settings = recipe_settings(recipe, task, recipe_config or {})
    settings, facts = RECIPES[recipe].prepare(app_context, dataset_id, settings, config)
    request = RequestedRound(app_context, dataset_id, name, classes, config, settings)
    try:
        with app_context.database.write() as session:
            refuse_unfinished(name, rounds.list_rounds(session, dataset_id))
            RECIPES[recipe].refuse(session, request)
            round_id = rounds.add_round(
                session,
                dataset_id,
                facts,
                by,
                datetime.now(UTC),
                recipe=recipe,
                recipe_config=settings.to_json(),
            )
            started = rounds.get_round(session, round_id)
    except IntegrityError as error:  # if several write concurrently, the database refuses the later one
        raise RoundError("another round of this dataset was started at the same moment", "watch that one") from error
    jobs.enqueue_round(app_context, round_id, rounds.pieces(recipe, started.config))
    return started


@cache
def _timm_names() -> tuple[str, ...]:
    found: set[str] = set()
    package = find_spec("timm")
    for folder in package.submodule_search_locations or [] if package else []:
        for file in sorted((Path(folder) / "models").glob("*.py")):
            found.update(_REGISTERED.findall(file.read_text(encoding="utf-8")))
    first = [name for name in _OFTEN_USED if name in found]
    return (*first, *sorted(found - set(first)))
