"""What cleaning was worth, trained: both sides of `core.judge.comparison` with every seed, then `core.judge.worth`.

Per seed both models begin alike and are shown as much, with the same settings; only their labels differ. Both predict
the samples that people judged.

Everything happens in one folder: `comparison.json` says of what it is, `original_{seed}.npz` and `cleaned_{seed}.npz`
are the models' answers, and a killed comparison goes on from them and from the running model's last epoch.
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
from core.data.canvases import read_mask
from core.data.masks.store import MaskStore
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path, write_atomically
from core.judge.comparison import Comparison, Plan, Side, planned
from core.judge.mask_worth import count_pixels, worth_of_masks
from core.judge.worth import Worth, refuse_few, worth_of_labels
from core.learn.crossfold import Held, Kept, Telling
from core.rounds import learn_held
from core.tasks import Places, Task, task_of
from core.types import IntArray, Progress, Report, RoundError
from core.types import Task as Kind

_PLAN = "comparison.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """What came of it. The models' answers are classes, (S, M), or of masks pixel counts, (S, M, 3, K)."""

    worth: Worth
    sample_ids: IntArray  # (M,) judged, ascending
    original: IntArray
    cleaned: IntArray
    learnt: Mapping[Side, int]  # labels each side learnt from
    changed: int  # of them, those that differ
    message: str  # what makes the two less alike than they should be; "" if nothing does


@dataclass(frozen=True, slots=True)
class _Measure:
    """What is kept of a model's answers, and what they come to."""

    answers: Callable[[Kept, Snapshot, IntArray, Places], IntArray]  # judged rows -> (M, ...)
    worth: Callable[[IntArray, IntArray, IntArray], Worth]  # truth (M,), original and cleaned (S, M, ...)


def run_comparison(
    comparison: Comparison,
    folder: Path,
    *,
    image_cache: Path,
    masks: Path | None = None,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
    task: Task | None = None,
) -> Compared:
    """Train both sides with every seed in `folder`, on from where a killed run was, and return what it shows.

    `masks` is the folder of the store of masks, where labels are masks. `task` is the snapshots' own but in tests.

    Raises:
        ConfigError, RoundError: it cannot be done; the text says the cure.
        RoundCancelledError: `should_stop` said so.
    """
    plan = planned(comparison)
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
        places = Places(folder / done.stem, image_cache, masks)
        if not done.exists():
            config = replace(comparison.config, seed=seed, batch_size=min([comparison.config.batch_size, *batches]))
            told = Telling(partial(_tell, report, number, len(runs), f"{side} labels, seed {seed}"), should_stop)
            _learn(plan, side, config, places=places, told=told, task=task, measure=measure, done=done)
        shutil.rmtree(places.folder, ignore_errors=True)
        batches.append(int(_read(done, "batch_size")))
    report(Progress("comparing", len(runs) - 1, len(runs), fraction=1.0))
    answers = {
        side: np.stack([_read(_answers_file(folder, seed, side), "answers") for seed in comparison.seeds])
        for side in Side
    }
    return Compared(
        worth=measure.worth(truth, answers[Side.ORIGINAL], answers[Side.CLEANED]),
        sample_ids=snapshot.sample_ids[plan.judged],
        original=answers[Side.ORIGINAL],
        cleaned=answers[Side.CLEANED],
        learnt={side: len(np.unique(rows)) for side, rows in plan.learn_rows.items()},
        changed=plan.changed,
        message="" if len(set(batches)) == 1 else f"out of memory: models learnt in batches of {batches}",
    )


def _refuse_unlearnable(plan: Plan, task: Task) -> None:
    for side, rows in plan.learn_rows.items():
        if len(np.unique(plan.snapshots[side].labels[rows])) < task.least_classes:
            raise RoundError(
                f"outside of the evaluation split the {side} labels are of too few classes to learn from; "
                "label more images, or protect fewer"
            )


def _claim(folder: Path, comparison: Comparison, plan: Plan) -> None:
    """Note what is compared in the folder, or refuse to mix it with something else."""
    config = replace(comparison.config, seed=0, folds=2).to_json()
    said = {"labels": plan.hash, "config": config, "seeds": list(comparison.seeds)}
    path = folder / _PLAN
    if not path.exists():
        write_atomically(path, json.dumps(said, indent=1).encode())
    elif json.loads(path.read_text()) != said:
        raise RoundError(f"{folder} holds a comparison of other labels or settings; choose an empty folder")


def _learn(
    plan: Plan,
    side: Side,
    config: RoundConfig,
    *,
    places: Places,
    told: Telling,
    task: Task,
    measure: _Measure,
    done: Path,
) -> None:
    """Train one model and keep its answers."""
    snapshot = plan.snapshots[side]
    places.folder.mkdir(parents=True, exist_ok=True)
    held = Held(0, plan.learn_rows[side], plan.judged, snapshot.labels.astype(np.int64))
    outcome = learn_held(snapshot, config, held, places=places, telling=told, task=task)
    answers = measure.answers(outcome.kept, snapshot, plan.judged, places)
    with atomic_path(done) as beside, beside.open("wb") as file:
        np.savez(file, answers=answers, batch_size=np.array(outcome.batch_size))


def _tell(report: Report, number: int, runs: int, who: str, progress: Progress) -> None:
    message = f"{who}: {progress.message}" if progress.message else who
    report(replace(progress, fold=number, folds=runs, message=message))


def _answers_file(folder: Path, seed: int, side: Side) -> Path:
    return folder / f"{side}_{seed}.npz"


def _read(done: Path, name: str) -> IntArray:
    with np.load(done, allow_pickle=False) as file:
        return np.array(file[name])


def _classes(kept: Kept, _snapshot: Snapshot, _rows: IntArray, _places: Places) -> IntArray:
    answers: IntArray = kept.columns["logits"].argmax(axis=1)
    return answers


def _pixels(_kept: Kept, snapshot: Snapshot, rows: IntArray, places: Places) -> IntArray:
    if snapshot.masks is None or places.masks is None:
        raise RoundError("these labels are masks, and it was not told where they are kept; start it again")
    sizes, names, store = snapshot.masks.sizes, snapshot.masks.labels, MaskStore(places.masks)
    predictions, classes = read_predictions(places.folder, sizes), len(snapshot.classes)
    counts = []
    for row in rows.tolist():
        height, width = sizes[row].tolist()
        given = read_mask(store, names[row], height, width, classes)
        counts.append(count_pixels(given, predictions.of(row)[0], classes))
    return np.stack(counts)


_MEASURES: Mapping[Kind, _Measure] = {
    Kind.CLASSIFICATION: _Measure(_classes, worth_of_labels),
    Kind.SEGMENTATION: _Measure(_pixels, lambda _truth, original, cleaned: worth_of_masks(original, cleaned)),
}
