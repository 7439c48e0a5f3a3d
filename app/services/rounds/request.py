"""Request of a round: checked, stored as the row that the worker then works on, and handed over to it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from app.services import jobs
from app.services.allowed import refuse_weights_outside
from app.services.app_context import AppContext
from app.services.recipes import RECIPES, recipe_settings
from app.services.recipes.entry import RequestedRound
from app.services.rounds.checks import refuse_unfinished, refuse_unknown_model
from core.config import ProbabilityMethod, RoundConfig, refuse_members, with_file_facts
from core.types import ConfigError, Recipe, RoundError
from db.queries import rounds, snapshots
from db.queries.rounds import RoundInfo


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
        RoundError: one is unfinished, there is no such network, or the recipe cannot learn from these labels.
        ConfigError: the recipe is none for such labels, it cannot probe or mix networks, or a setting cannot work.
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
    except IntegrityError as error:  # where several may write at once, the database refuses the later one
        raise RoundError("another round of this dataset was started at the same moment", "watch that one") from error
    jobs.enqueue_round(app_context, round_id, rounds.pieces(recipe, started.config))
    return started
