"""A round's start: what is refused, with what to do about it, and the row that the worker then works on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.services import jobs
from app.services.allowed import refuse_outside
from app.services.comparable import refuse_incomparable
from app.services.learnable import refuse_inseparable, refuse_unfinished, refuse_unlearnable
from app.services.models import refuse_unknown_model
from app.services.workspace import Workspace
from core.config import (
    CrossTrainingSettings,
    Method,
    PredictionsSettings,
    RecipeSettings,
    RoundConfig,
    recipe_settings,
    refuse_members,
    with_file_facts,
)
from core.types import ConfigError, Recipe, RoundError
from db.queries import evaluation, rounds, snapshots, tagged_images
from db.queries.rounds import RoundInfo


@dataclass(frozen=True, slots=True)
class Start:
    """A round about to be started."""

    workspace: Workspace
    dataset_id: int
    dataset: str
    classes: list[str]
    config: RoundConfig
    settings: RecipeSettings


def start_round(
    workspace: Workspace,
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
    with workspace.database.read() as session:
        name, classes = snapshots.dataset_of(session, dataset_id)
        task = snapshots.task_of(session, dataset_id)
    for network in config.networks if recipe.trains else ():
        refuse_unknown_model(network.model, task)
    refuse_members(config, recipe, task)
    if recipe.proposes and config.method is Method.PROBE:
        raise ConfigError(f"{recipe} trains whole networks; choose method '{Method.FINE_TUNE}'")
    config = with_file_facts(config)
    settings = recipe_settings(recipe, task, recipe_config or {})
    facts = config.to_json()
    if isinstance(settings, PredictionsSettings):
        from app.services.predictions import prepare  # noqa: PLC0415 pyarrow, which other commands need not wait for

        settings, facts = prepare(workspace, dataset_id, settings, config)
    start = Start(workspace, dataset_id, name, classes, config, settings)
    try:
        with workspace.database.write() as session:
            refuse_unfinished(name, rounds.list_rounds(session, dataset_id))
            REFUSALS.get(recipe, refuse_folds)(session, start)
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
        raise RoundError("another round of this dataset was started at the same moment; watch that one") from error
    jobs.enqueue_round(workspace, round_id, rounds.pieces(recipe, started.config))
    return started


def refuse_folds(session: Session, start: Start) -> None:
    """Raise `RoundError` where the labels cannot be cross-validated.

    Where people labelled images that came without a label, the worker counts when it opens the round.
    """
    if not snapshots.labels_were_added(session, start.dataset_id):
        counts = snapshots.label_counts(session, start.dataset_id)
        refuse_unlearnable(start.dataset, start.classes, counts, start.config)
    refuse_inseparable(start.dataset, snapshots.count_apart(session, start.dataset_id), start.config)


def refuse_cross_training(session: Session, start: Start) -> None:
    """Raise `RoundError` where there is no mask to learn from, or no image with tags alone to be painted.

    What splits and lists leave of them is known when the worker opens the round, which says so then.
    """
    settings = start.settings
    if not isinstance(settings, CrossTrainingSettings):
        raise TypeError(f"{settings} are no settings of cross training")
    for name in ("labelled_list", "validation_list", "test_list"):
        path = getattr(settings, name)
        if path:
            refuse_outside(start.workspace, Path(path))
            if not Path(path).is_file():
                raise ConfigError(f"{name} is {path}, and there is no such file; name a list of images")
    if settings.background and settings.background not in start.classes:
        raise ConfigError(f"background is {settings.background!r}; name one of {', '.join(start.classes)}, or none")
    counted = tagged_images.counts(session, start.dataset_id)
    if not counted.masked and not snapshots.labels_were_added(session, start.dataset_id):
        raise RoundError(f"{start.dataset} has no masks to learn from; import or paint a few first")
    chosen = settings.labelled_list or settings.labelled_first
    if not chosen and not counted.tagged_bare:
        raise RoundError(
            f"no image of {start.dataset} without a mask has tags; tag some on the Tags page or with `tags import`, "
            "or set labelled_first to learn from some of the masks only"
        )


def refuse_comparison(session: Session, start: Start) -> None:
    """Raise `RoundError` where there is nothing to measure on, or both sides would learn the same."""
    refuse_incomparable(session, start.dataset_id)


def refuse_unlabelled(session: Session, start: Start) -> None:
    """Raise `RoundError` where no image has a label that predictions could contradict."""
    counted = snapshots.label_counts(session, start.dataset_id)
    if not counted.labelled and not snapshots.labels_were_added(session, start.dataset_id):
        raise RoundError(f"{start.dataset} has no labels to compare with; import or give some first")


def refuse_iterated(session: Session, start: Start) -> None:
    """Raise `RoundError` where nothing is left to be labelled, `ConfigError` where a split is named that is none.

    Whether there are enough labels to learn from and to choose by is known when the worker opens the round.
    """
    counted = snapshots.label_counts(session, start.dataset_id)
    images = sum(count for *_, count in snapshots.image_sizes(session, start.dataset_id))
    if counted.labelled >= images:
        raise RoundError(
            f"every image of {start.dataset} has a label; import images without labels, or choose another recipe"
        )
    known = [split.name for split in evaluation.splits(session, start.dataset_id) if split.name]
    for name in ("validation_split", "test_split"):
        split = start.settings.to_json().get(name)
        if split and split not in known:
            others = f"name one of {', '.join(known)}, or none" if known else "it has no splits, so name none"
            raise ConfigError(f"{name} is {split!r}, which is no split of {start.dataset}; {others}")


REFUSALS: Mapping[Recipe, Callable[[Session, Start], None]] = {
    Recipe.CROSS_FOLD: refuse_folds,
    Recipe.ITERATED: refuse_iterated,
    Recipe.CROSS_TRAINING: refuse_cross_training,
    Recipe.COMPARISON: refuse_comparison,
    Recipe.PREDICTIONS: refuse_unlabelled,
}
