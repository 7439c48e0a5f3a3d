"""Teacher and student as a round: few labels in, labels or regions for all other images out, as findings to review.

All of it is one piece in the round's own folder, which goes on from what it finds there.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.worker.doing import Doing, RoundAtWork
from core.config import IteratedSettings
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.judge.found import Judged
from core.judge.proposals import class_thresholds, find_proposals
from core.recipes.iterated_parts import IteratedParts, iterated_parts
from core.types import ClassTable, Progress, Report, Task
from db.queries import datasets

_RESULT = "result.json"
_FIRST = ("baseline", "teacher with consistency")
_OF_ITERATION = ("labelling", "student", "fine-tuning")
_PARTS = ("labelled", "unlabelled", "validation", "test")


def _open(at_work: RoundAtWork, snapshot: Snapshot) -> None:
    """Say which image plays which part, and write that down."""
    parts = iterated_parts(snapshot, at_work.splits_of(snapshot), _settings(at_work), at_work.config.seed)
    parts.save(at_work.folder)


def _learn(at_work: RoundAtWork, _piece: int) -> None:
    from core.recipes.proposals import run_and_propose  # noqa: PLC0415  # torch, which imports must not pay for

    folder = at_work.folder
    parts = IteratedParts.load(folder)
    with at_work.workspace.database.read() as session:
        info = datasets.get_dataset(session, at_work.info.dataset_id)
    table = None if info.colours is None else ClassTable(tuple(info.classes), tuple(info.colours))
    run_and_propose(
        parts.data,
        at_work.config,
        _settings(at_work),
        folder,
        image_cache=at_work.workspace.image_caches,
        masks=at_work.workspace.masks,
        table=table,
        asked=parts.asked,
        report=as_one_piece(at_work.report, _settings(at_work)),
        should_stop=at_work.should_stop,
    )


def _judge(at_work: RoundAtWork) -> Judged:
    """Return what is proposed for each image without a label, and what each iteration was worth."""
    folder = at_work.folder
    result = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    data = IteratedParts.load(folder).data

    def report(share: float) -> None:
        at_work.report(Progress("judging", 0, 1, fraction=share))

    store = MaskStore(at_work.workspace.masks)
    found = find_proposals(folder, store, at_work.config.min_region, at_work.should_stop, report)
    own = result["test"] or result["validation"]
    metrics: dict[str, Any] = {
        "task": at_work.info.task.value,
        "recipe": at_work.info.recipe.value,
        "accuracy": own["accuracy"],
        "parts": {name: len(getattr(data, name)) for name in _PARTS},
        "found": len(found),
    }
    thresholds = class_thresholds(folder)
    names = ("baseline", "teacher", "iterations", "best", "validation", "test", "baseline_test")
    metrics |= {name: result[name] for name in names}
    metrics |= {} if thresholds is None else {"class_thresholds": thresholds}
    return Judged(iter(found), metrics | {_VALUE[at_work.info.task]: own["value"]})


def as_one_piece(report: Report, settings: IteratedSettings) -> Report:
    """Return what tells of all stages as of one: a fraction of the whole, and the stage by its name."""

    def tell(progress: Progress) -> None:
        whole = (progress.fold + progress.fraction) / max(1, progress.folds)
        named = " · ".join(filter(None, (stage_name(progress.fold, settings.iterations), progress.message)))
        report(replace(progress, fold=0, folds=1, fraction=min(1.0, whole), message=named))

    return tell


def stage_name(number: int, iterations: int) -> str:
    """Return what a stage is called, from 0 on."""
    if number < len(_FIRST):
        return _FIRST[number]
    iteration, step = divmod(number - len(_FIRST), len(_OF_ITERATION))
    return f"{_OF_ITERATION[step]} {iteration + 1} of {iterations}" if iteration < iterations else "test and proposals"


def _settings(at_work: RoundAtWork) -> IteratedSettings:
    return IteratedSettings.from_json(at_work.info.recipe_config or {})


_VALUE: Mapping[Task, str] = {Task.CLASSIFICATION: "accuracy", Task.SEGMENTATION: "miou"}  # what was chosen by
ITERATED = Doing(_open, _learn, _judge, refuse=lambda *_: None)  # `iterated_parts` refuses what cannot be learnt
