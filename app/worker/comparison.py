"""A round that measures what cleaning was worth: the given labels against those of now, on what people judged.

One piece: `core.comparing` goes on by itself from what it finds in the round's folder, `comparison/`. Its snapshot is
the cleaned side; `original/` holds the given labels, `judged.npz` what the two are measured on.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.services.comparable import refuse_incomparable
from app.worker.doing import Doing, RoundAtWork
from app.worker.opening import given_snapshot
from core.config.comparison import LEAST_JUDGED, ComparisonSettings
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path, write_atomically
from core.judge.comparison import Comparison, planned
from core.judge.found import Judged
from core.types import NO_LABEL, Progress, Report, RoundError
from db.queries import datasets, evaluation, snapshots

_ORIGINAL, _JUDGED, _WORTH = "original", "judged.npz", "worth.json"


def open_comparison(at_work: RoundAtWork, cleaned: Snapshot) -> None:
    """Freeze the given labels, and which images are protected and which of them people judged.

    Raises:
        RoundError: there is too little to compare by now; the text says the cure.
    """
    workspace, folder = at_work.workspace, at_work.folder
    with workspace.database.read() as session:
        refuse_incomparable(session, at_work.info.dataset_id)
        info = datasets.get_dataset(session, at_work.info.dataset_id)
        judged = evaluation.judged(session, info.id, info.task, info.evaluation_splits)
        within = set(info.evaluation_splits)
        images = sum(one.split in within for one in snapshots.samples_for_round(session, info.id))
    original = given_snapshot(workspace, info.id)
    original.save(folder / _ORIGINAL)
    protected = [side.sample_ids[side.protected] for side in (original, cleaned) if side.protected is not None]
    labelled = cleaned.sample_ids[cleaned.labels != NO_LABEL]
    columns = {"judged": np.intersect1d(judged, labelled), "protected": np.unique(np.concatenate(protected))}
    with atomic_path(folder / _JUDGED) as beside, beside.open("wb") as file:
        np.savez(file, **columns, images=np.array(images))  # type: ignore[arg-type]  # as in `Snapshot.save`
    _refuse_vain(_comparison(at_work), LEAST_JUDGED[info.task])


def learn_comparison(at_work: RoundAtWork, _piece: int) -> None:
    """Train both sides with every seed and keep what it shows."""
    from core.comparing import run_comparison  # noqa: PLC0415  # torch, which imports and exports must not pay for

    folder, comparison = at_work.folder, _comparison(at_work)
    found = run_comparison(
        comparison,
        folder / "comparison",
        image_cache=at_work.workspace.image_caches,
        masks=at_work.workspace.masks,
        report=as_one(at_work.report),
        should_stop=at_work.should_stop,
    )
    said = found.worth.to_json()
    classes = comparison.cleaned.classes
    said["per_class"] = [{**one, "name": classes[one["label"]]} for one in said["per_class"]]
    said |= {
        "learnt": {side.value: count for side, count in found.learnt.items()},
        "changed": found.changed,
        "images": _images(folder),
        "message": found.message,
    }
    write_atomically(folder / _WORTH, json.dumps(said).encode())


def judge_comparison(at_work: RoundAtWork) -> Judged:
    """Return what was learnt; a comparison finds nothing to review."""
    path = at_work.folder / _WORTH
    if not path.exists():
        raise RoundError("the comparison left no result; start it again")
    return Judged(iter(()), {"worth": json.loads(path.read_text())})


def as_one(report: Report) -> Report:
    """Return what tells the trainings of a comparison as one piece of work, named by side and seed."""

    def told(progress: Progress) -> None:
        share = (progress.fold + progress.fraction) / progress.folds
        report(replace(progress, fold=0, folds=1, fraction=share))

    return told


def _images(folder: Path) -> int:
    """Return how many images the evaluation splits had."""
    with np.load(folder / _JUDGED, allow_pickle=False) as kept:
        return int(kept["images"])


def _comparison(at_work: RoundAtWork) -> Comparison:
    folder = at_work.folder
    settings = ComparisonSettings.from_json(at_work.info.recipe_config or {})
    first = at_work.config.seed
    with np.load(folder / _JUDGED, allow_pickle=False) as kept:
        return Comparison(
            original=Snapshot.load(folder / _ORIGINAL),
            cleaned=Snapshot.load(folder),
            judged=kept["judged"],
            protected=kept["protected"],
            config=at_work.config,
            seeds=tuple(range(first, first + settings.seeds)),
        )


def _refuse_vain(comparison: Comparison, least: int) -> None:
    """Raise `RoundError` where both sides would learn the same, or too little is left to measure on."""
    plan = planned(comparison)
    if len(plan.judged) < least:
        raise RoundError(
            f"{len(plan.judged)} judged images have a label that can be compared on, a comparison needs {least}; "
            "judge more of the evaluation split"
        )
    if not plan.changed:
        raise RoundError(
            "no label that may be learnt from is another one than was given, so both sides would learn the same; "
            "review some findings outside of the evaluation split first"
        )


COMPARISON = Doing(open_comparison, learn_comparison, judge_comparison)
