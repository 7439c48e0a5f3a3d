"""Cross training as a round: few masks and many tags in, masks for the rest out, as findings to review.

All of it is one piece in the round's own folder, which goes on from what it finds there.
"""

import json
from typing import Any

from app.worker.doing import Doing, RoundAtWork
from core.config import CrossTrainingSettings
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.judge.found import Judged
from core.judge.painted_masks import find_painted
from core.judge.tag_checks import check_tags
from core.recipes.parts import Parts, parts_of
from core.recipes.tags import masks_of
from core.types import Progress

_RESULT = "result.json"
STAGES = ("baseline", "baseline_tagged", "hybrid", "pseudo", "retrained", "retrained_tagged")


def _open(at_work: RoundAtWork, snapshot: Snapshot) -> None:
    """Say which image plays which part, and write that down."""
    store = MaskStore(at_work.workspace.masks)
    parts = parts_of(snapshot, at_work.splits_of(snapshot), _settings(at_work), store)
    parts.save(at_work.folder)


def _learn(at_work: RoundAtWork, _piece: int) -> None:
    from core.recipes.cross_training import (  # noqa: PLC0415  # torch, which imports and exports must not pay for
        CrossTrainingConfig,
        run_cross_training,
    )

    folder = at_work.folder
    parts = Parts.load(folder)
    run_cross_training(
        parts.data,
        CrossTrainingConfig(network=at_work.config, settings=_settings(at_work)),
        folder,
        image_cache=at_work.workspace.image_caches,
        masks=at_work.workspace.masks,
        tags=parts.tags,
        weak_masks=parts.begun,
        report=at_work.report,
        should_stop=at_work.should_stop,
    )


def _judge(at_work: RoundAtWork) -> Judged:
    """Return the regions of what was painted where nothing is labelled, and what each stage was worth."""
    folder = at_work.folder
    result = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    parts, least = Parts.load(folder), at_work.config.min_region
    data = parts.data
    masks, store = masks_of(data.snapshot), MaskStore(at_work.workspace.masks)
    bare = data.unlabelled[[masks.is_bare(row) for row in data.unlabelled.tolist()]]

    def report(share: float) -> None:
        at_work.report(Progress("judging", 0, 1, fraction=share))

    found = find_painted(folder, bare, store, least, should_stop=at_work.should_stop, report=report)
    tagged = check_tags(folder, data.snapshot, store, least)
    retrained = result["retrained"]
    metrics: dict[str, Any] = {
        "task": "segmentation",
        "recipe": at_work.info.recipe.value,
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


def _settings(at_work: RoundAtWork) -> CrossTrainingSettings:
    return CrossTrainingSettings.from_json(at_work.info.recipe_config or {})


CROSS_TRAINING = Doing(_open, _learn, _judge, refuse=lambda *_: None)  # `parts_of` refuses what cannot be learnt
