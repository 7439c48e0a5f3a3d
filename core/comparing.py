"""Comparison of original and cleaned labels: both sides of `core.judge.comparison` trained with every seed.

The two models of a seed have the same initial weights, settings and number of images; only their labels differ. Both
predict the samples that people judged.

All files are in one folder: `comparison.json` is the setup, `original_{seed}.npz` and `cleaned_{seed}.npz` are the
predictions of the models. A killed comparison continues from them and from the last epoch of the running model.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from core.config import RoundConfig
from core.config.comparison import LEAST_JUDGED
from core.data.arrays import read_mask
from core.data.likeliest import predicted_classes
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot, masks_of
from core.data.storage import atomic_path, write_atomically
from core.judge.comparison import ComparisonInput, ComparisonPlan, Side, plan_comparison
from core.judge.impact import Impact, count_pixels, impact_of_labels, impact_of_masks, refuse_few
from core.learn.crossfold import FoldCallbacks, FoldOutput, FoldSplit
from core.rounds import train_and_predict
from core.tasks import RoundPaths, TaskDefinition, task_of
from core.types import IntArray, Progress, Report, RoundError, Task

_PLAN = "comparison.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparisonResult:
    """Result of a comparison; predictions are classes, (S, M), or of masks pixel counts, (S, M, 3, K)."""

    impact: Impact
    sample_ids: IntArray  # (M,) judged, ascending
    original: IntArray
    cleaned: IntArray
    learnt: Mapping[Side, int]  # training labels of each side
    changed: int  # training labels that differ
    message: str  # warning about differences between the two runs; "" without any


@dataclass(frozen=True, slots=True)
class _Measure:
    """Functions for one kind of label: from predictions of a model to answers, and from answers to the impact."""

    answers: Callable[[FoldOutput, Snapshot, IntArray, RoundPaths], IntArray]  # judged rows -> (M, ...)
    impact: Callable[[IntArray, IntArray, IntArray], Impact]  # truth (M,), original and cleaned (S, M, ...)


def run_comparison(
    comparison: ComparisonInput,
    folder: Path,
    *,
    image_cache: Path,
    masks: Path | None = None,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
    task: TaskDefinition | None = None,
) -> ComparisonResult:
    """Train both sides with every seed in `folder`, or continue a killed run, and return the result.

    `masks` is the folder of the store of masks, where labels are masks. `task` is the snapshots' own except in tests.

    Raises:
        ConfigError, RoundError: it is impossible; the message names the remedy.
        RoundCancelledError: `should_stop` returned true.
    """
    plan = plan_comparison(comparison)
    snapshot = plan.snapshots[Side.CLEANED]
    measure, task = _MEASURES[snapshot.task], task or task_of(snapshot)
    truth = snapshot.labels[plan.judged].astype(np.int64)
    refuse_few(len(plan.judged), LEAST_JUDGED[snapshot.task])
    _refuse_unlearnable(plan, task)
    _claim(folder, comparison, plan)
    runs = [(seed, side) for seed in comparison.seeds for side in Side]
    batches: list[int] = []
    for number, (seed, side) in enumerate(runs):
        done = _answers_file(folder, seed, side)
        places = RoundPaths(folder / done.stem, image_cache, masks)
        if not done.exists():
            config = replace(comparison.config, seed=seed, batch_size=min([comparison.config.batch_size, *batches]))
            callbacks = FoldCallbacks(
                partial(_report, report, number, len(runs), f"{side} labels, seed {seed}"), should_stop
            )
            _learn(plan, side, config, places=places, callbacks=callbacks, task=task, measure=measure, done=done)
        shutil.rmtree(places.folder, ignore_errors=True)
        batches.append(int(_read(done, "batch_size")))
    report(Progress("comparing", len(runs) - 1, len(runs), fraction=1.0))
    answers = {
        side: np.stack([_read(_answers_file(folder, seed, side), "answers") for seed in comparison.seeds])
        for side in Side
    }
    return ComparisonResult(
        impact=measure.impact(truth, answers[Side.ORIGINAL], answers[Side.CLEANED]),
        sample_ids=snapshot.sample_ids[plan.judged],
        original=answers[Side.ORIGINAL],
        cleaned=answers[Side.CLEANED],
        learnt={side: len(np.unique(rows)) for side, rows in plan.learn_rows.items()},
        changed=plan.changed,
        message="" if len(set(batches)) == 1 else f"out of memory: models learnt in batches of {batches}",
    )


def _refuse_unlearnable(plan: ComparisonPlan, task: TaskDefinition) -> None:
    for side, rows in plan.learn_rows.items():
        if len(np.unique(plan.snapshots[side].labels[rows])) < task.least_classes:
            raise RoundError(
                f"outside of the evaluation split the {side} labels are of too few classes to train on",
                "label more images, or protect fewer",
            )


def _claim(folder: Path, comparison: ComparisonInput, plan: ComparisonPlan) -> None:
    """Write the setup into the folder, or refuse a folder with another one."""
    config = replace(comparison.config, seed=0, folds=2).to_json()
    setup = {"labels": plan.hash, "config": config, "seeds": list(comparison.seeds)}
    path = folder / _PLAN
    if not path.exists():
        write_atomically(path, json.dumps(setup, indent=1).encode())
    elif json.loads(path.read_text()) != setup:
        raise RoundError(f"{folder} holds a comparison of other labels or settings", "choose an empty folder")


def _learn(
    plan: ComparisonPlan,
    side: Side,
    config: RoundConfig,
    *,
    places: RoundPaths,
    callbacks: FoldCallbacks,
    task: TaskDefinition,
    measure: _Measure,
    done: Path,
) -> None:
    """Train one model and write its answers."""
    snapshot = plan.snapshots[side]
    places.folder.mkdir(parents=True, exist_ok=True)
    split = FoldSplit(0, plan.learn_rows[side], plan.judged, snapshot.labels.astype(np.int64))
    outcome = train_and_predict(snapshot, config, split, places=places, callbacks=callbacks, task=task)
    answers = measure.answers(outcome.kept, snapshot, plan.judged, places)
    with atomic_path(done) as partial, partial.open("wb") as file:
        np.savez(file, answers=answers, batch_size=np.array(outcome.batch_size))


def _report(report: Report, number: int, runs: int, who: str, progress: Progress) -> None:
    message = f"{who}: {progress.message}" if progress.message else who
    report(replace(progress, fold=number, folds=runs, message=message))


def _answers_file(folder: Path, seed: int, side: Side) -> Path:
    return folder / f"{side}_{seed}.npz"


def _read(done: Path, name: str) -> IntArray:
    with np.load(done, allow_pickle=False) as file:
        return np.array(file[name])


def _class_answers(kept: FoldOutput, _snapshot: Snapshot, _rows: IntArray, _places: RoundPaths) -> IntArray:
    return predicted_classes(kept.columns)


def _pixel_answers(_kept: FoldOutput, snapshot: Snapshot, rows: IntArray, places: RoundPaths) -> IntArray:
    sizes, names, store = masks_of(snapshot).sizes, masks_of(snapshot).labels, places.mask_store
    predictions, classes = read_predictions(places.folder, sizes), len(snapshot.classes)
    counts = []
    for row in rows.tolist():
        height, width = sizes[row].tolist()
        given = read_mask(store, names[row], height, width, classes)
        counts.append(count_pixels(given, predictions.of(row)[0], classes))
    return np.stack(counts)


_MEASURES: Mapping[Task, _Measure] = {
    Task.CLASSIFICATION: _Measure(_class_answers, impact_of_labels),
    Task.SEGMENTATION: _Measure(_pixel_answers, lambda _truth, original, cleaned: impact_of_masks(original, cleaned)),
}
