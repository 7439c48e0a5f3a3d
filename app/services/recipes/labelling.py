"""Labelling by hand as a round: unlabelled images in an order of similarity, as findings without a suggestion."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.services.recipes.entry import RecipeEntry, RequestedRound, RoundContext, plan_shards
from core.config import RecipeSettings
from core.data.snapshot import Snapshot
from core.judge.found import Judged, judge_unlabelled
from core.types import NO_LABEL, RoundError
from db.queries import snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class LabellingSettings(RecipeSettings):
    """Settings of labelling by hand: none."""


def _refuse(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` if every image has a label already."""
    if not snapshots.count_unlabelled(session, request.dataset_id):
        raise _all_labelled(request.dataset)


def _open(context: RoundContext, snapshot: Snapshot) -> None:
    """Check that an image still has no label, and divide the images of a large round into shards.

    Raises:
        RoundError: every image has one.
    """
    if (snapshot.labels != NO_LABEL).all():
        raise _all_labelled(context.info.dataset)
    plan_shards(context, snapshot)


def _learn(context: RoundContext, _piece: int) -> None:
    from core.recipes.labelling import order_images  # noqa: PLC0415  # torch, which only a training must pay for

    order_images(
        context.folder,
        context.config,
        image_cache=context.app_context.image_caches,
        report=context.report,
        should_stop=context.should_stop,
    )


def _judge(context: RoundContext) -> Judged:
    return judge_unlabelled(context.folder)


def _all_labelled(dataset: str) -> RoundError:
    return RoundError(f"every image of {dataset} has a label", "start a round that finds wrong labels")


LABELLING = RecipeEntry(
    settings=LabellingSettings,
    refuse=_refuse,
    refuse_labels=lambda *_: None,  # nothing is trained
    open=_open,
    learn=_learn,
    judge=_judge,
)
