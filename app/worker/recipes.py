"""What each recipe does with a round: what it opens with, how a piece of it is learnt, and what came of it.

The jobs (`app.worker.steps`) are the same for all: open, the pieces, close; each may be killed and done again. Folds
are a piece each; every other recipe is one piece, which goes on by itself from what it finds in the round's folder.
"""

from collections.abc import Mapping

from app.worker.comparison import COMPARISON
from app.worker.cross_training import CROSS_TRAINING
from app.worker.doing import Doing, RoundAtWork, ShouldStop
from app.worker.iterated import ITERATED
from app.worker.predictions import PREDICTIONS
from core.data.snapshot import Snapshot
from core.judge.found import Judged, judge_any
from core.types import Recipe
from db.queries import datasets

__all__ = ["RECIPES", "Doing", "RoundAtWork", "ShouldStop"]


def _nothing_more(_at_work: RoundAtWork, _snapshot: Snapshot) -> None:
    pass


def _learn_fold(at_work: RoundAtWork, fold: int) -> None:
    from core.rounds import run_fold  # noqa: PLC0415  # torch, which imports and exports must not pay for

    with at_work.workspace.database.read() as session:
        colours = datasets.get_dataset(session, at_work.info.dataset_id).colours or ()
    run_fold(
        at_work.folder,
        at_work.config,
        fold,
        image_cache=at_work.workspace.image_caches,
        masks=at_work.workspace.masks,
        colours=colours,
        report=at_work.report,
        should_stop=at_work.should_stop,
    )


def _judge_folds(at_work: RoundAtWork) -> Judged:
    return judge_any(at_work.folder, at_work.config, at_work.workspace.masks, at_work.report, at_work.should_stop)


RECIPES: Mapping[Recipe, Doing] = {
    Recipe.CROSS_FOLD: Doing(_nothing_more, _learn_fold, _judge_folds),
    Recipe.ITERATED: ITERATED,
    Recipe.CROSS_TRAINING: CROSS_TRAINING,
    Recipe.COMPARISON: COMPARISON,
    Recipe.PREDICTIONS: PREDICTIONS,
}
