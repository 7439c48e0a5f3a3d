"""Cross-validation as a round: a network is trained for each fold, and predicts the images it was not trained on."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.services.recipes.entry import (
    RecipeEntry,
    RequestedRound,
    RoundContext,
    plan_shards,
    refuse_inseparable,
    refuse_unlearnable,
)
from core.config import RecipeSettings
from core.judge.found import Judged, judge_folds
from db.queries import datasets, snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFoldSettings(RecipeSettings):
    """Settings of a round, which may extend a finished one with its labels and networks."""

    extends: int = 0  # that round's number; 0: none

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; empty if the round extends none."""
        return {"extends": self.extends} if self.extends else {}


def _refuse(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` if the labels cannot be cross-validated.

    Labels that people gave to unlabelled images are counted by the worker when it opens the round.
    """
    if not snapshots.labels_were_added(session, request.dataset_id):
        counts = snapshots.label_counts(session, request.dataset_id)
        refuse_unlearnable(request.dataset, request.classes, counts, request.config)
    refuse_inseparable(request.dataset, snapshots.count_separable(session, request.dataset_id), request.config)


def _learn(context: RoundContext, fold: int) -> None:
    from core.rounds import run_fold  # noqa: PLC0415  # torch, which only a training must pay for

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


def _judge(context: RoundContext) -> Judged:
    masks, images = context.app_context.masks, context.app_context.image_caches
    return judge_folds(context.folder, context.config, masks, images, context.report, context.should_stop)


CROSS_FOLD = RecipeEntry(settings=CrossFoldSettings, refuse=_refuse, open=plan_shards, learn=_learn, judge=_judge)
