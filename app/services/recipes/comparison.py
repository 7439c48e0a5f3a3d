"""Before/after comparison as a round: training on given against current labels, measured on judged images.

One piece: `core.comparing` resumes from the files in the round's folder, `comparison/`. The round's snapshot is the
cleaned side; `original/` holds the given labels, `judged.npz` the judged and protected images.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from app.services.evaluation.preconditions import refuse_incomparable
from app.services.recipes.entry import RecipeEntry, RequestedRound, RoundContext
from core.config.comparison import LEAST_JUDGED, ComparisonSettings
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path, write_atomically
from core.judge.comparison import ComparisonInput, plan_comparison
from core.judge.found import Judged
from core.types import NO_LABEL, Progress, Report, RoundError
from db.queries import datasets, evaluation, snapshots

_ORIGINAL, _JUDGED, _RESULT = "original", "judged.npz", "worth.json"


def _refuse(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` if there is nothing to measure on, or both sides would be trained alike."""
    refuse_incomparable(session, request.dataset_id)


def _open(context: RoundContext, cleaned: Snapshot) -> None:
    """Freeze the given labels, and the ids of judged and protected images.

    Raises:
        RoundError: there is too little to compare; the text names the cure.
    """
    from app.services.rounds.snapshots import given_snapshot  # noqa: PLC0415  # which itself starts from a recipe

    app_context, folder = context.app_context, context.folder
    with app_context.database.read() as session:
        refuse_incomparable(session, context.info.dataset_id)
        info = datasets.get_dataset(session, context.info.dataset_id)
        judged = evaluation.judged(session, info.id, info.task, info.evaluation_splits)
        within = set(info.evaluation_splits)
        images = sum(one.split in within for one in snapshots.samples_of(session, info.id))
    original = given_snapshot(app_context, info.id)
    original.save(folder / _ORIGINAL)
    protected = [side.sample_ids[side.protected] for side in (original, cleaned) if side.protected is not None]
    labelled = cleaned.sample_ids[cleaned.labels != NO_LABEL]
    columns = {"judged": np.intersect1d(judged, labelled), "protected": np.unique(np.concatenate(protected))}
    with atomic_path(folder / _JUDGED) as partial, partial.open("wb") as file:
        np.savez(file, **columns, images=np.array(images))  # type: ignore[arg-type]  # as in `Snapshot.save`
    _refuse_identical(_comparison_input(context), LEAST_JUDGED[info.task])


def _learn(context: RoundContext, _piece: int) -> None:
    """Train both sides with every seed and store the result."""
    from core.comparing import run_comparison  # noqa: PLC0415  # torch, which only a training must pay for

    folder, comparison = context.folder, _comparison_input(context)
    found = run_comparison(
        comparison,
        folder / "comparison",
        image_cache=context.app_context.image_caches,
        masks=context.app_context.masks,
        report=as_one_piece(context.report),
        should_stop=context.should_stop,
    )
    result = found.impact.to_json()
    classes = comparison.cleaned.classes
    result["per_class"] = [{**one, "name": classes[one["label"]]} for one in result["per_class"]]
    result |= {
        "learnt": {side.value: count for side, count in found.learnt.items()},
        "changed": found.changed,
        "images": _images(folder),
        "message": found.message,
    }
    write_atomically(folder / _RESULT, json.dumps(result).encode())


def _judge(context: RoundContext) -> Judged:
    """Return the result as metrics; a comparison has no findings."""
    path = context.folder / _RESULT
    if not path.exists():
        raise RoundError("the comparison left no result", "start it again")
    return Judged(iter(()), {"worth": json.loads(path.read_text())})


def as_one_piece(report: Report) -> Report:
    """Return a report that maps the progress of all trainings to that of one piece."""

    def report_share(progress: Progress) -> None:
        share = (progress.fold + progress.fraction) / progress.folds
        report(replace(progress, fold=0, folds=1, fraction=share))

    return report_share


def _images(folder: Path) -> int:
    """Return the count of images of the evaluation splits."""
    with np.load(folder / _JUDGED, allow_pickle=False) as kept:
        return int(kept["images"])


def _comparison_input(context: RoundContext) -> ComparisonInput:
    folder = context.folder
    settings = ComparisonSettings.from_json(context.info.recipe_config or {})
    first = context.config.seed
    with np.load(folder / _JUDGED, allow_pickle=False) as kept:
        return ComparisonInput(
            original=Snapshot.load(folder / _ORIGINAL),
            cleaned=Snapshot.load(folder),
            judged=kept["judged"],
            protected=kept["protected"],
            config=context.config,
            seeds=tuple(range(first, first + settings.seeds)),
        )


def _refuse_identical(comparison: ComparisonInput, least: int) -> None:
    """Raise `RoundError` if both sides would be trained on the same labels, or too few images are judged."""
    plan = plan_comparison(comparison)
    if len(plan.judged) < least:
        raise RoundError(
            f"{len(plan.judged)} judged images have a usable label, a comparison needs {least}",
            "judge more of the evaluation split",
        )
    if not plan.changed:
        raise RoundError(
            "no training label has changed yet, so both models would be identical",
            "review some findings outside of the evaluation split first",
        )


COMPARISON = RecipeEntry(settings=ComparisonSettings, refuse=_refuse, open=_open, learn=_learn, judge=_judge)
