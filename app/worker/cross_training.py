"""Cross training as a round: few masks and many tags in, masks for the rest out, as findings to review.

It is one piece, which resumes from the stages in the round's folder.
"""

import json
from typing import Any

from app.worker.recipe_runner import RecipeRunner, RoundContext
from core.config import CrossTrainingSettings
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot, masks_of
from core.judge.found import Judged
from core.judge.proposals import find_painted
from core.judge.tag_checks import check_tags
from core.recipes.cross_training.roles import Parts, parts_of
from core.types import Progress

_RESULT = "result.json"
STAGES = ("baseline", "baseline_tagged", "hybrid", "pseudo", "retrained", "retrained_tagged")


def _open(context: RoundContext, snapshot: Snapshot) -> None:
    """Assign each image to its part, and store the parts."""
    store = MaskStore(context.app_context.masks)
    parts = parts_of(snapshot, context.splits_of(snapshot), _settings(context), store)
    parts.save(context.folder)


def _learn(context: RoundContext, _piece: int) -> None:
    from core.recipes.cross_training.recipe import (  # noqa: PLC0415  # torch, which imports and exports must not pay for
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


CROSS_TRAINING = RecipeRunner(_open, _learn, _judge, refuse=lambda *_: None)  # `parts_of` refuses
