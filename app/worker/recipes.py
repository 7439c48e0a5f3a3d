"""Table of recipe runners; those of cross folds and of labelling, which add nothing to `core`, are defined here.

The jobs (`app.worker.steps`) are the same for all: open, the pieces, close; each may be killed and repeated. Each
fold is a piece; every other recipe is one piece, which resumes from the files in the round's folder.
"""

from collections.abc import Mapping, Sequence

from app.worker.comparison import COMPARISON
from app.worker.cross_training import CROSS_TRAINING
from app.worker.iterated import ITERATED
from app.worker.predictions import PREDICTIONS
from app.worker.recipe_runner import RecipeRunner, RoundContext, ShouldStop
from core.config import RoundConfig
from core.data.snapshot import Snapshot
from core.judge.found import Judged, judge_folds, judge_unlabelled
from core.types import NO_LABEL, Recipe, RoundError
from db.queries import datasets
from db.queries.snapshots import LabelCounts

__all__ = ["RUNNERS", "RecipeRunner", "RoundContext", "ShouldStop"]


def _open_folds(_context: RoundContext, _snapshot: Snapshot) -> None:
    pass


def _learn_fold(context: RoundContext, fold: int) -> None:
    from core.rounds import run_fold  # noqa: PLC0415  # torch, which imports and exports must not pay for

    with context.app_context.database.read() as session:
        colours = datasets.get_dataset(session, context.info.dataset_id).colours or ()
    if (ranks := context.app_context.settings.devices_per_fold) > 1:
        from core.ranked_folds import train_by_ranks  # noqa: PLC0415  # as above

        train_by_ranks(
            context.folder,
            context.config,
            fold,
            ranks,
            image_cache=context.app_context.image_caches,
            masks=context.app_context.masks,
            report=context.report,
            should_stop=context.should_stop,
        )
    run_fold(
        context.folder,
        context.config,
        fold,
        image_cache=context.app_context.image_caches,
        masks=context.app_context.masks,
        colours=colours,
        report=context.report,
        should_stop=context.should_stop,
    )


def _judge_folds(context: RoundContext) -> Judged:
    return judge_folds(context.folder, context.config, context.app_context.masks, context.report, context.should_stop)


def _refuse_labelled(context: RoundContext, snapshot: Snapshot) -> None:
    """Refuse labelling where every image has a label."""
    if (snapshot.labels != NO_LABEL).all():
        raise RoundError(f"every image of {context.info.dataset} has a label", "start a round that finds wrong labels")


def _order_images(context: RoundContext, _piece: int) -> None:
    from core.recipes.labelling import order_images  # noqa: PLC0415  # torch, which imports must not pay for

    order_images(
        context.folder,
        context.config,
        image_cache=context.app_context.image_caches,
        report=context.report,
        should_stop=context.should_stop,
    )


def _judge_order(context: RoundContext) -> Judged:
    return judge_unlabelled(context.folder)


def _refuse_nothing(_name: str, _classes: Sequence[str], _counts: LabelCounts, _config: RoundConfig) -> None:
    """Accept any labels, or none: nothing is trained."""


LABELLING = RecipeRunner(_refuse_labelled, _order_images, _judge_order, refuse=_refuse_nothing)
RUNNERS: Mapping[Recipe, RecipeRunner] = {
    Recipe.CROSS_FOLD: RecipeRunner(_open_folds, _learn_fold, _judge_folds),
    Recipe.ITERATED: ITERATED,
    Recipe.CROSS_TRAINING: CROSS_TRAINING,
    Recipe.COMPARISON: COMPARISON,
    Recipe.PREDICTIONS: PREDICTIONS,
    Recipe.LABELLING: LABELLING,
}
