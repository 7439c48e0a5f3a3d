"""Iterated self-training from few labels: a teacher labels the other images, a student is trained on them.

T. Petrac, *Semi-supervised semantic segmentation based on pseudo-labeling*, FER Zagreb 2021; for classes and masks.
The teacher is trained on the labelled images. Then, `iterations` times: the best network so far labels the unlabelled
images where it is confident (`core.judge.class_thresholds.balanced_thresholds`); a new student is trained on these
pseudo labels, with real labels in each batch, and becomes the teacher only when it is better on the validation images
than the best so far; so does the same student fine-tuned on the real labels, where the settings ask for it. A frozen
network has no iterations (`core.recipes.iterated.frozen`). Whether later networks learn mirrored images is decided
after the baseline (`core.recipes.iterated.mirroring`). The test images are evaluated once, at the end, by the best
network and by the baseline.

All files are in one folder, from which a killed run continues: `recipe.json` (the settings), a JSON file per stage
(`baseline`, perhaps `mirror`, `mirrored` and `teacher`, then `pseudo_1`, `student_1`, `tuned_1`, ..., `test`),
`result.json`, the networks as .safetensors, and of masks `masks/` and `camvid/` (`core.recipes.iterated.labels`).
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.config import IteratedSettings, ProbabilityMethod, RoundConfig
from core.config.iterated import BASELINE, DECIDE, LABELS_ALONE, MIRROR, MIRRORED
from core.data.networks import set_calibration, set_predicting
from core.data.storage import write_atomically
from core.learn.crossfold import FoldCallbacks
from core.learn.folds import deal
from core.recipes.data import RecipeData
from core.recipes.folder import claim, digest_rows, read_stage, run_stage
from core.recipes.iterated.frozen import learn_frozen
from core.recipes.iterated.labels import Labels, label_operations, pseudo_folder
from core.recipes.iterated.mirroring import MirrorChoice, is_no_loss, is_symmetric
from core.recipes.iterated.stages import (
    VOTES,
    IteratedContext,
    PseudoLabels,
    TrainingRun,
    choose_pseudo_labels,
    learn,
    score_network,
    student_run,
    temperature_of,
)
from core.recipes.scores import Score
from core.types import ClassTable, DatasetError, IntArray, Report, RoundError

TEACHER, STUDENT, TUNED = "teacher", "student", "tuned"
_MASKS, _MIRROR = "masks", "mirror"


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """Result of one iteration; scores are on the validation images, other lists by class, (K,)."""

    number: int  # from 1 on
    teacher: str  # name of the network that labelled
    thresholds: list[float]
    predicted: list[int]  # images or pixels
    taken: list[int]  # those of them that were trained on
    student: Score  # from pseudo labels, with real ones beside them
    tuned: Score | None  # then fine-tuned, if set
    better: bool  # student or tuned network than the best before: it became the teacher


@dataclass(frozen=True, slots=True, kw_only=True)
class IteratedResult:
    """Result of the recipe; test scores are None without test images."""

    baseline: Score  # trained on the labelled images alone, the better one if two were, on the validation images
    teacher: Score | None  # the same with consistency, if used
    iterations: list[Iteration]
    best: str  # the name of the best network
    validation: Score  # its own
    test: Score | None  # its own
    baseline_test: Score | None
    choice: dict[str, Any] | None = (
        None  # of a frozen network: see `core.learn.propagation.SpreadChoice`, and the decay
    )
    trained: dict[str, dict[str, int]] = field(default_factory=dict)  # network -> steps, and unlabelled views
    mirror: dict[str, Any] | None = None  # where the data decide: see `core.recipes.iterated.mirroring.MirrorChoice`


def run_iterated(
    data: RecipeData,
    network: RoundConfig,
    settings: IteratedSettings,
    folder: Path,
    *,
    image_cache: Path,
    masks: Path | None = None,
    table: ClassTable | None = None,
    further: int = 0,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> IteratedResult:
    """Run the whole recipe in `folder`, or continue a killed run, and return its result.

    `masks` is the store of the given masks and `table` their colours, where labels are masks; `further` is the number
    of stages that follow, for the progress.

    Raises:
        ConfigError, DatasetError, RoundError: it is impossible; the message names the remedy.
        RoundCancelledError: `should_stop` returned true; another call continues.
    """
    callbacks = FoldCallbacks(report, should_stop)
    context = open_context(
        data, network, settings, folder, image_cache=image_cache, masks=masks, further=further, callbacks=callbacks
    )
    if network.method is ProbabilityMethod.PROBE:
        frozen = IteratedResult(**learn_frozen(context))
        write_atomically(folder / "result.json", json.dumps(asdict(frozen)).encode())
        return frozen
    truth, unlabelled = context.labelling.known(data.labelled), data.unlabelled if settings.consistency else None
    scores: dict[str, Score] = {}
    trained: dict[str, dict[str, int]] = {}

    def learnt(run: TrainingRun) -> Score:
        done = run_stage(folder, run.name, lambda: learn(context, run))
        trained[run.name] = {name: done[name] for name in ("steps", "views") if name in done}  # older runs counted none
        return Score(**done["score"])

    stage = {name: number for number, name in enumerate(settings.stages)}
    alone = TrainingRun(name=BASELINE, stage=stage[BASELINE], taught=truth)
    best = labels_alone = BASELINE
    scores[BASELINE] = learnt(alone)
    mirror = _decide_mirror(context, alone)
    if mirror is not None and mirror.lost_by_learning is not None:
        scores[MIRRORED] = Score(**read_stage(folder, MIRRORED)["score"])
        best = labels_alone = MIRRORED if scores[MIRRORED].beats(scores[BASELINE]) else BASELINE
    context = as_decided(context)
    if settings.consistency:
        scores[TEACHER] = learnt(TrainingRun(name=TEACHER, stage=stage[TEACHER], taught=truth, unlabelled=unlabelled))
        best = TEACHER if scores[TEACHER].beats(scores[best]) else best
    for voter in _voters(context, truth, stage):
        learnt(voter)
    iterations = []
    for number in range(1, settings.iterations + 1):
        student, tuned = f"{STUDENT}_{number}", f"{TUNED}_{number}"
        teacher = VOTES if settings.votes and number == 1 else best
        chosen = _label_unlabelled(context, teacher, number, stage[f"pseudo_{number}"], table)
        own = student_run(
            context, student, stage=stage[student], pseudo=chosen.labels, truth=truth, weights=chosen.weights
        )
        scores[student] = learnt(own)
        if settings.fine_tuning:
            scores[tuned] = learnt(
                TrainingRun(
                    name=tuned,
                    stage=stage[tuned],
                    taught=truth,
                    begin=student,
                    part=settings.fine_tuning,
                    rate=settings.fine_tuning_rate,
                    unlabelled=unlabelled,
                )
            )
        before = best
        for name in (student, tuned):
            best = name if name in scores and scores[name].beats(scores[best]) else best
        iterations.append(
            Iteration(
                number=number,
                teacher=teacher,
                thresholds=chosen.thresholds,
                predicted=chosen.predicted,
                taken=chosen.taken,
                student=scores[student],
                tuned=scores.get(tuned),
                better=best != before,
            )
        )
    set_predicting(folder, best)
    calibrated = run_stage(
        folder, "temperature", lambda: {"of": temperature_of(context, best, stage=len(settings.stages) - 1)}
    )
    set_calibration(folder, best, calibrated["of"])
    tested = _test(context, best, labels_alone)
    result = IteratedResult(
        baseline=scores[labels_alone],
        teacher=scores.get(TEACHER),
        iterations=iterations,
        best=best,
        validation=scores[best],
        test=tested.get(best),
        baseline_test=tested.get(labels_alone),
        mirror=None if mirror is None else mirror.to_json(),
        trained=trained,
    )
    write_atomically(folder / "result.json", json.dumps(asdict(result)).encode())
    return result


def open_context(
    data: RecipeData,
    network: RoundConfig,
    settings: IteratedSettings,
    folder: Path,
    *,
    image_cache: Path,
    masks: Path | None,
    further: int,
    callbacks: FoldCallbacks,
) -> IteratedContext:
    """Return the context of all stages, after checks of data and folder.

    Raises:
        DatasetError, RoundError: the recipe cannot run; the message names the remedy.
    """
    if not len(data.unlabelled):
        raise DatasetError("every image has a label already", "import images without labels, or choose another recipe")
    if not len(data.validation):
        raise DatasetError("no labelled image is left to validate by", "label more images, or name a validation split")
    parts: tuple[IntArray, ...] = (data.labelled, data.unlabelled, data.validation, data.test)
    plan = {"network": network.to_json(), "settings": settings.to_json()}
    claim(folder, plan | {"snapshot": data.snapshot.hash, "rows": digest_rows(parts)})
    return IteratedContext(
        data=data,
        network=network,
        settings=settings,
        labelling=label_operations(data.snapshot, network.input_size, masks, folder / _MASKS),
        folder=folder,
        image_cache=image_cache,
        masks=folder / _MASKS,
        callbacks=callbacks,
        stages=len(settings.stages) + further,
        mirror=settings.mirror == MIRROR,
    )


def _decide_mirror(context: IteratedContext, alone: TrainingRun) -> MirrorChoice | None:
    """Return the choice by the validation images, None if the settings or the kind of label leave none.

    `alone` is the training of the labels alone; it is repeated on mirrored images where these are no other ones.
    """
    if context.settings.mirror != DECIDE or context.task.mirrored is None:
        return None

    def work() -> dict[str, Any]:
        choice = is_symmetric(context, alone.name, stage=alone.stage)
        if choice.mirror:
            own = replace(context, mirror=True)
            run_stage(context.folder, MIRRORED, lambda: learn(own, replace(alone, name=MIRRORED)))
            choice = is_no_loss(context, choice, (alone.name, MIRRORED), stage=alone.stage)
        return choice.to_json()

    return MirrorChoice(**run_stage(context.folder, _MIRROR, work))


def as_decided(context: IteratedContext, best: str = "") -> IteratedContext:
    """Return the context of the networks after those of the labels alone, or of one trained as `best` was."""
    if context.settings.mirror != DECIDE or context.task.mirrored is None:
        return context
    if best in LABELS_ALONE:
        return replace(context, mirror=best == MIRRORED)
    return replace(context, mirror=bool(read_stage(context.folder, _MIRROR)["mirror"]))


def _label_unlabelled(
    context: IteratedContext, best: str, number: int, first: int, table: ClassTable | None
) -> PseudoLabels:
    """Label the unlabelled images by the best network, once, and return the pseudo labels of an iteration.

    Raises:
        RoundError: it is confident about none.
    """
    name, written = f"pseudo_{number}", context.folder / f"predicted_{number}"

    def work() -> dict[str, Any]:
        share = context.settings.share_at(number)
        chosen = choose_pseudo_labels(context, best, stage=first, share=share, folder=written)
        context.labelling.publish(pseudo_folder(context.folder, number), chosen.labels, table)
        return asdict(chosen)

    done = run_stage(context.folder, name, work)
    shutil.rmtree(written, ignore_errors=True)  # a few bytes for each pixel of each image
    labels: Labels = {int(row): label for row, label in done.pop("labels").items()}
    weights: Labels = {int(row): name for row, name in done.pop("weights", {}).items()}  # of older runs: none
    if not labels:
        raise RoundError(
            "the teacher is confident about no unlabelled image",
            "choose a lower least_confidence, or label more images",
        )
    return PseudoLabels(labels=labels, weights=weights, **done)


def _voters(context: IteratedContext, truth: Labels, stage: Mapping[str, int]) -> list[TrainingRun]:
    """Return the training of each network that votes: on the labels outside of one fold, groups whole."""
    settings, snapshot, rows = context.settings, context.data.snapshot, context.data.labelled
    if not settings.votes or not settings.iterations:
        return []
    groups = snapshot.whole_groups()[rows]
    if len(np.unique(groups)) < settings.votes:
        raise DatasetError(
            f"labelled images of {len(np.unique(groups))} groups cannot be dealt into {settings.votes} folds",
            "choose fewer votes, or label more images",
        )
    folds = deal(
        snapshot.sample_ids[rows], snapshot.labels[rows], groups, folds=settings.votes, seed=context.network.seed
    )
    return [
        TrainingRun(
            name=f"vote_{fold + 1}",
            stage=stage[f"vote_{fold + 1}"],
            taught={row: truth[row] for row in rows[folds != fold].tolist()},
        )
        for fold in range(settings.votes)
    ]


def _test(context: IteratedContext, best: str, labels_alone: str) -> dict[str, Score]:
    """Evaluate the test images once, by the best network and by that of the labels alone."""
    rows = context.data.test
    if not len(rows):
        return {}
    number = len(context.settings.stages) - 1
    names = list(dict.fromkeys((best, labels_alone)))
    done = run_stage(
        context.folder,
        "test",
        lambda: {name: asdict(score_network(context, name, rows, stage=number)) for name in names},
    )
    return {name: Score(**score) for name, score in done.items()}
