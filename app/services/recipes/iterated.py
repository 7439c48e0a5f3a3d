"""Teacher and student as a round: few labels in, labels or regions for all other images out, as findings to review.

It is one piece, which resumes from the stages in the round's folder.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.services.recipes.entry import RecipeEntry, RequestedRound, RoundContext, StageResults
from core.config import IteratedSettings
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.judge.found import Judged
from core.recipes.iterated.ceiling import Ceiling, known_ceiling, read_ceiling, write_ceiling
from core.recipes.iterated.progress import stage_name, stage_scores
from core.recipes.iterated.roles import IteratedParts, iterated_parts
from core.types import ConfigError, JobStatus, Progress, Report, RoundError, Task
from db.queries import datasets, evaluation, rounds, snapshots
from db.queries.rounds import RoundInfo

_RESULT = "result.json"
_PARTS = ("labelled", "unlabelled", "validation", "test")


def _refuse(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` if every image has a label, `ConfigError` if a split of the settings does not exist.

    The worker checks that there are enough labels for training and validation when it opens the round.
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
            raise ConfigError(f"{name} is {split!r}, which is not a split of {request.dataset}", f"{others}")


def _open(context: RoundContext, snapshot: Snapshot) -> None:
    """Assign each image to its part, and store the parts and the ceiling set by a former round, if any."""
    parts = iterated_parts(snapshot, context.splits_of(snapshot), _settings(context.info), context.config.seed)
    parts.save(context.folder)
    with context.app_context.database.read() as session:
        others = rounds.list_rounds(session, context.info.dataset_id)  # newest first
    for other in others:
        if other.status is JobStatus.DONE and other.recipe.in_folds:
            folder, masks = context.app_context.round_folder(other.id), context.app_context.masks
            value = known_ceiling(folder, parts.data, masks)
            if value is not None:
                write_ceiling(context.folder, Ceiling(value=value, source=other.name))
                break


def _learn(context: RoundContext, _piece: int) -> None:
    from core.recipes.iterated.proposals import run_and_propose  # noqa: PLC0415  # torch, which only a training must pay for

    folder = context.folder
    parts = IteratedParts.load(folder)
    with context.app_context.database.read() as session:
        info = datasets.get_dataset(session, context.info.dataset_id)
    run_and_propose(
        parts.data,
        context.config,
        _settings(context.info),
        folder,
        image_cache=context.app_context.image_caches,
        masks=context.app_context.masks,
        table=info.class_table,
        to_predict=parts.to_predict,
        report=as_one_piece(context.report, _settings(context.info), folder),
        should_stop=context.should_stop,
    )


def _judge(context: RoundContext) -> Judged:
    """Return the proposals for images without a label, and the scores of each iteration."""
    from core.judge.proposals import (  # noqa: PLC0415  # scipy, which starting the app need not wait for
        find_proposals,
        proposal_thresholds,
    )

    folder = context.folder
    result = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    data = IteratedParts.load(folder).data

    def report(share: float) -> None:
        context.report(Progress("judging", 0, 1, fraction=share))

    store = MaskStore(context.app_context.masks)
    found = find_proposals(folder, store, context.config.min_region, context.should_stop, report)
    own = result["test"] or result["validation"]
    metrics: dict[str, Any] = {
        "task": context.info.task.value,
        "recipe": context.info.recipe.value,
        "accuracy": own["accuracy"],
        "parts": {name: len(getattr(data, name)) for name in _PARTS},
        "found": len(found),
    }
    thresholds = proposal_thresholds(folder)
    names = ("baseline", "teacher", "iterations", "best", "validation", "test", "baseline_test")
    metrics |= {name: result[name] for name in names}
    metrics |= {"choice": result["choice"]} if result.get("choice") else {}
    metrics |= {"trained": result["trained"]} if result.get("trained") else {}
    metrics |= {"mirror": result["mirror"]} if result.get("mirror") else {}
    metrics |= {} if thresholds is None else {"class_thresholds": thresholds}
    return Judged(iter(found), metrics | {_VALUE[context.info.task]: own["value"]})


def as_one_piece(report: Report, settings: IteratedSettings, folder: Path) -> Report:
    """Return a report that maps the progress of all stages to that of one piece.

    Its message names the stage and the results of the networks before it, whose files are in `folder`.
    """
    results: dict[int, str] = {}  # by stage

    def report_share(progress: Progress) -> None:
        whole = (progress.fold + progress.fraction) / max(1, progress.folds)
        if progress.fold not in results:
            done = stage_scores(settings, folder)
            results[progress.fold] = ", ".join(f"{one.name} {one.value:.1%}" for one in done)
        parts = (stage_name(progress.fold, settings), progress.message, results[progress.fold])
        message = " · ".join(filter(None, parts))
        report(replace(progress, fold=0, folds=1, fraction=min(1.0, whole), message=message))

    return report_share


def _stages(info: RoundInfo, folder: Path) -> StageResults:
    """Return the results of the finished networks, and the ceiling of a former round."""
    return StageResults(stage_scores(_settings(info), folder), read_ceiling(folder))


def _settings(info: RoundInfo) -> IteratedSettings:
    return IteratedSettings.from_json(info.recipe_config or {})


_VALUE: Mapping[Task, str] = {
    Task.CLASSIFICATION: "accuracy",
    Task.SEGMENTATION: "miou",
}
ITERATED = RecipeEntry(
    settings=IteratedSettings,
    refuse=_refuse,
    refuse_labels=lambda *_: None,  # `iterated_parts` refuses
    open=_open,
    learn=_learn,
    judge=_judge,
    stages=_stages,
)
