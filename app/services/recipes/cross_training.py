"""Cross training as a round: few masks and many tags in, masks for the rest out, as findings to review.

It is one piece, which resumes from the stages in the round's folder.
"""

import json
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.services.allowed import refuse_outside
from app.services.recipes.entry import RecipeEntry, RequestedRound, RoundContext
from core.config import CrossTrainingSettings
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot, masks_of
from core.judge.found import Judged
from core.recipes.cross_training.roles import Parts, parts_of
from core.types import ConfigError, Progress, RoundError
from db.queries import datasets, snapshots, tags

_RESULT = "result.json"
STAGES = ("baseline", "baseline_tagged", "hybrid", "pseudo", "retrained", "retrained_tagged")


def _refuse(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` if there is no mask to train on, or no image with only tags to predict.

    Splits and lists may leave none; the worker checks that when it opens the round.
    """
    settings = request.settings
    if not isinstance(settings, CrossTrainingSettings):
        raise TypeError(f"{settings} are not settings of cross training")
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


def _open(context: RoundContext, snapshot: Snapshot) -> None:
    """Assign each image to its part, and store the parts."""
    store = MaskStore(context.app_context.masks)
    parts = parts_of(snapshot, context.splits_of(snapshot), _settings(context), store)
    parts.save(context.folder)


def _learn(context: RoundContext, _piece: int) -> None:
    from core.recipes.cross_training.recipe import (  # noqa: PLC0415  # torch, which only a training must pay for
        CrossTrainingConfig,
        run_cross_training,
    )

    folder = context.folder
    parts = Parts.load(folder)
    run_cross_training(
        parts.data,
        CrossTrainingConfig(network=context.config, settings=_settings(context)),
        folder,
        image_cache=context.app_context.image_caches,
        masks=context.app_context.masks,
        tags=parts.tags,
        weak_masks=parts.begun,
        report=context.report,
        should_stop=context.should_stop,
    )


def _judge(context: RoundContext) -> Judged:
    """Return the predicted regions of unlabelled pixels, and the scores of each stage."""
    from core.judge.proposals import find_painted  # noqa: PLC0415  # scipy, which starting the app need not wait for
    from core.judge.tag_checks import check_tags  # noqa: PLC0415

    folder = context.folder
    result = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    parts, least = Parts.load(folder), context.config.min_region
    data = parts.data
    masks, store = masks_of(data.snapshot), MaskStore(context.app_context.masks)
    bare = data.unlabelled[[masks.is_bare(row) for row in data.unlabelled.tolist()]]

    def report(share: float) -> None:
        context.report(Progress("judging", 0, 1, fraction=share))

    found = find_painted(folder, bare, store, least, should_stop=context.should_stop, report=report)
    tagged = check_tags(folder, data.snapshot, store, least)
    retrained = result["retrained"]
    metrics: dict[str, Any] = {
        "task": "segmentation",
        "recipe": context.info.recipe.value,
        "miou": retrained["mean_iou"],
        "iou_per_class": retrained["ious"],
        "accuracy": retrained["accuracy"],
        "stages": {name: result[name] for name in STAGES if result.get(name)},
        "painter": result["painter"],
        "parts": {name: len(getattr(data, name)) for name in ("labelled", "unlabelled", "validation", "test")},
        "history": result["history"],
        "unlabelled_regions": len(found),
    }
    return Judged(iter(found), metrics | ({"tags": tagged} if tagged else {}))


def _settings(context: RoundContext) -> CrossTrainingSettings:
    return CrossTrainingSettings.from_json(context.info.recipe_config or {})


CROSS_TRAINING = RecipeEntry(
    settings=CrossTrainingSettings,
    refuse=_refuse,
    refuse_labels=lambda *_: None,  # `parts_of` refuses
    open=_open,
    learn=_learn,
    judge=_judge,
)
