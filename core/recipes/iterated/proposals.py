"""Proposals of the recipe "iterated" for each unlabelled image, by a network trained without it.

The best network was trained on pseudo labels of nearly every unlabelled image, and would only repeat them. So these
images are split into two halves, groups whole, and each half is predicted by a network trained as the best one was, on
the pseudo labels of the other half and on the labelled images outside of this half's groups. Where the best network was
not trained on the unlabelled images and their groups, as is usual for the baseline, it predicts all of them.

In the recipe's folder: `half_0`, `half_1` and their students (JSON files and networks), then `proposals.npz` (see
`core.judge.proposals`); masks are predicted into the folder itself, as a round's are (`core.data.predictions`).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.config import IteratedSettings, ProbabilityMethod, RoundConfig
from core.config.iterated import LABELS_ALONE
from core.data.storage import atomic_path
from core.judge.proposals import PROPOSALS
from core.learn.crossfold import FoldCallbacks
from core.learn.folds import deal
from core.recipes.data import RecipeData
from core.recipes.folder import read_stage, run_stage
from core.recipes.iterated.frozen import propose_frozen
from core.recipes.iterated.labels import Labels, probabilities
from core.recipes.iterated.recipe import (
    STUDENT,
    TUNED,
    IteratedResult,
    as_decided,
    open_context,
    run_iterated,
)
from core.recipes.iterated.stages import IteratedContext, TrainingRun, learn, predict_into, student_run
from core.types import NO_LABEL, ClassTable, FloatArray, IntArray, Report, RoundError

_HALVES = 2
STAGES = 2 * _HALVES + 1  # a student and its fine-tuning for each half, then the predictions


def run_and_propose(
    data: RecipeData,
    network: RoundConfig,
    settings: IteratedSettings,
    folder: Path,
    *,
    to_predict: IntArray,
    image_cache: Path,
    masks: Path | None = None,
    table: ClassTable | None = None,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> IteratedResult:
    """Run the recipe, or continue a killed run, and write its proposals for the rows `to_predict`, (M,).

    See `run_iterated` and `propose`.
    """
    result = run_iterated(
        data,
        network,
        settings,
        folder,
        image_cache=image_cache,
        masks=masks,
        table=table,
        further=STAGES,
        report=report,
        should_stop=should_stop,
    )
    callbacks = FoldCallbacks(report, should_stop)
    context = open_context(
        data, network, settings, folder, image_cache=image_cache, masks=masks, further=STAGES, callbacks=callbacks
    )
    if network.method is ProbabilityMethod.PROBE:
        propose_frozen(context, result.best, to_predict)
    else:
        propose(context, result, to_predict)
    return result


def propose(context: IteratedContext, result: IteratedResult, to_predict: IntArray) -> None:
    """Predict the rows `to_predict`, (M,), by networks that were trained without them, and write the proposals.

    Raises:
        RoundError: every labelled image is of a group with images to predict.
        RoundCancelledError: the round was cancelled; another call continues.
    """
    if (context.folder / PROPOSALS).exists():
        return
    first = context.stages - STAGES
    context = as_decided(context, result.best)
    halves = _halves(context, result, to_predict)
    names = [
        result.best if halves is None else _train_for_half(context, result, to_predict[halves == k], k, first)
        for k in range(2)
    ]
    network_of_row = np.zeros(len(to_predict), np.int64) if halves is None else halves
    columns: dict[str, Any] = {"rows": to_predict, "network": network_of_row}
    checked: list[FloatArray] = []
    for k in np.unique(network_of_row).tolist():
        own = to_predict[network_of_row == k]
        kept = predict_into(context, names[k], own, stage=context.stages - 1, folder=context.folder)
        if "logits" in kept.columns:
            probs = probabilities(kept, context.data.snapshot, len(own))
            whole = columns.setdefault("probabilities", np.zeros((len(to_predict), probs.shape[1]), np.float32))
            whole[network_of_row == k] = probs[: len(own)]
            checked.append(probs[len(own) :])
    if checked:
        columns["checked"] = np.concatenate(checked)
        columns["checked_labels"] = np.tile(context.data.snapshot.labels[context.data.validation], len(checked))
    with atomic_path(context.folder / PROPOSALS) as partial, partial.open("wb") as file:
        np.savez(file, **columns)


def _halves(context: IteratedContext, result: IteratedResult, to_predict: IntArray) -> IntArray | None:
    """Return the half of each row to predict, (M,); None if the best network was trained without all of them."""
    data = context.data
    learnt = data.labelled if result.best in LABELS_ALONE else np.concatenate([data.labelled, data.unlabelled])
    groups = data.snapshot.whole_groups()
    if not np.isin(groups[to_predict], groups[learnt]).any():
        return None
    rows = np.concatenate([to_predict, data.labelled])
    classes = np.concatenate([np.full(len(to_predict), NO_LABEL), data.snapshot.labels[data.labelled]])
    ids = data.snapshot.sample_ids[rows]
    return deal(ids, classes, groups[rows], folds=_HALVES, seed=context.network.seed)[: len(to_predict)]


def _train_for_half(context: IteratedContext, result: IteratedResult, judged: IntArray, number: int, first: int) -> str:
    """Train the network that predicts one half, and return its name."""
    data, name = context.data, f"half_{number}"
    groups = data.snapshot.whole_groups()
    of_half = np.isin(groups, groups[judged])
    labelled = data.labelled[~of_half[data.labelled]]
    if not len(labelled):
        raise RoundError(
            "every labelled image is of a group with unlabelled images, so every network would have been trained on "
            "their groups",
            "label images of other groups, or remove the groups",
        )
    truth, others = context.labelling.known(labelled), data.unlabelled[~of_half[data.unlabelled]]
    unlabelled = others if context.settings.consistency and result.best not in LABELS_ALONE else None
    whole, settings = (
        TrainingRun(name=name, stage=first + 2 * number + 1, taught=truth, unlabelled=unlabelled),
        context.settings,
    )
    kind, _, iteration = result.best.rpartition("_")
    pseudo, weights = _pseudo_labels(context, int(iteration)) if kind in {STUDENT, TUNED} else ({}, {})
    taught = {row: label for row, label in pseudo.items() if not of_half[row]}
    if taught:
        own = name if kind == STUDENT else f"{name}_{STUDENT}"
        student = student_run(context, own, stage=first + 2 * number, pseudo=taught, truth=truth, weights=weights)
        run_stage(context.folder, own, lambda: learn(context, student))
        whole = replace(whole, begin=own, part=settings.fine_tuning, rate=settings.fine_tuning_rate)
    if not taught or kind == TUNED:
        run_stage(context.folder, name, lambda: learn(context, whole))
    return name


def _pseudo_labels(context: IteratedContext, iteration: int) -> tuple[Labels, Labels]:
    """Return the pseudo labels of an iteration and the weights of their pixels."""
    done = read_stage(context.folder, f"pseudo_{iteration}")
    labels, weights = ({int(row): name for row, name in done.get(what, {}).items()} for what in ("labels", "weights"))
    return labels, weights
