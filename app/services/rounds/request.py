"""Request of a round: checked, stored as the row that the worker then works on, and handed over to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.services import jobs
from app.services.allowed import refuse_outside, refuse_weights_outside
from app.services.app_context import AppContext
from app.services.evaluation.preconditions import refuse_incomparable
from app.services.rounds.checks import refuse_inseparable, refuse_unfinished, refuse_unknown_model, refuse_unlearnable
from core.config import (
    CrossTrainingSettings,
    PredictionsSettings,
    ProbabilityMethod,
    RecipeSettings,
    RoundConfig,
    can_probe,
    recipe_settings,
    refuse_members,
    with_file_facts,
)
from core.types import ConfigError, Recipe, RoundError
from db.queries import datasets, evaluation, rounds, snapshots, tags
from db.queries.rounds import RoundInfo


@dataclass(frozen=True, slots=True)
class RequestedRound:
    """A round about to be started."""

    app_context: AppContext
    dataset_id: int
    dataset: str
    classes: list[str]
    config: RoundConfig
    settings: RecipeSettings


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
    if recipe.trains and config.method is ProbabilityMethod.PROBE and not can_probe(recipe, task):
        raise ConfigError(f"{recipe} trains whole networks", f"choose method '{ProbabilityMethod.FINE_TUNE}'")
    refuse_weights_outside(app_context, config)
    config = with_file_facts(config)
    settings = recipe_settings(recipe, task, recipe_config or {})
    facts = config.to_json()
    if isinstance(settings, PredictionsSettings):
        from app.services.rounds.predictions import prepare_predictions  # noqa: PLC0415 pyarrow, which other commands need not wait for

        settings, facts = prepare_predictions(app_context, dataset_id, settings, config)
    request = RequestedRound(app_context, dataset_id, name, classes, config, settings)
    try:
        with app_context.database.write() as session:
            refuse_unfinished(name, rounds.list_rounds(session, dataset_id))
            _REFUSALS.get(recipe, _refuse_folds)(session, request)
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


def _refuse_folds(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` where the labels cannot be cross-validated.

    Where people labelled images that came without a label, the worker counts when it opens the round.
    """
    if not snapshots.labels_were_added(session, request.dataset_id):
        counts = snapshots.label_counts(session, request.dataset_id)
        refuse_unlearnable(request.dataset, request.classes, counts, request.config)
    refuse_inseparable(request.dataset, snapshots.count_separable(session, request.dataset_id), request.config)


def _refuse_cross_training(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` where there is no mask to learn from, or no image with tags alone to be painted.

    Splits and lists may leave none of them; the worker checks that when it opens the round.
    """
    settings = request.settings
    if not isinstance(settings, CrossTrainingSettings):
        raise TypeError(f"{settings} are no settings of cross training")
    for name in ("labelled_list", "validation_list", "test_list"):
        path = getattr(settings, name)
        if path:
            refuse_outside(request.app_context, Path(path))
            if not Path(path).is_file():
                raise ConfigError(f"{name} is {path}, and there is no such file", "name a list of images")
    offered = datasets.get_dataset(session, request.dataset_id).class_state.offered_names
    if settings.background and settings.background not in offered:
        raise ConfigError(f"background is {settings.background!r}", f"name one of {', '.join(offered)}, or none")
    counted = tags.count_tags(session, request.dataset_id)
    if not counted.masked and not snapshots.labels_were_added(session, request.dataset_id):
        raise RoundError(f"{request.dataset} has no masks to learn from", "import or paint a few first")
    chosen = settings.labelled_list or settings.labelled_first
    if not chosen and not counted.tagged_bare:
        raise RoundError(
            f"no image of {request.dataset} without a mask has tags",
            "tag some on the Tags page or with `tags import`, "
            "or set labelled_first to learn from some of the masks only",
        )


def _refuse_comparison(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` where there is nothing to measure on, or both sides would learn the same."""
    refuse_incomparable(session, request.dataset_id)


def _refuse_unlabelled(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` where no image has a label that predictions could contradict."""
    counted = snapshots.label_counts(session, request.dataset_id)
    if not counted.labelled and not snapshots.labels_were_added(session, request.dataset_id):
        raise RoundError(f"{request.dataset} has no labels to compare with", "import or give some first")


def _refuse_labelled(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` where every image has a label already."""
    if not snapshots.count_unlabelled(session, request.dataset_id):
        raise RoundError(f"every image of {request.dataset} has a label", "start a round that finds wrong labels")


def _refuse_iterated(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` where nothing is left to be labelled, `ConfigError` where a split is named that is none.

    Whether there are enough labels to learn from and to choose by is known when the worker opens the round.
    """
    counted = snapshots.label_counts(session, request.dataset_id)
    images = sum(count for *_, count in snapshots.image_sizes(session, request.dataset_id))
    if counted.labelled >= images:
        raise RoundError(
            f"every image of {request.dataset} has a label", "import images without labels, or choose another recipe"
        )
    known = [split.name for split in evaluation.splits(session, request.dataset_id) if split.name]
    for name in ("validation_split", "test_split"):
        split = request.settings.to_json().get(name)
        if split and split not in known:
            others = f"name one of {', '.join(known)}, or none" if known else "it has no splits, so name none"
            raise ConfigError(f"{name} is {split!r}, which is no split of {request.dataset}", f"{others}")


_REFUSALS: Mapping[Recipe, Callable[[Session, RequestedRound], None]] = {
    Recipe.CROSS_FOLD: _refuse_folds,
    Recipe.ITERATED: _refuse_iterated,
    Recipe.CROSS_TRAINING: _refuse_cross_training,
    Recipe.COMPARISON: _refuse_comparison,
    Recipe.PREDICTIONS: _refuse_unlabelled,
    Recipe.LABELLING: _refuse_labelled,
}
