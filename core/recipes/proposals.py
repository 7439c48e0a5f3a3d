"""What the recipe "iterated" proposes for each unlabelled image: by a network that learnt no label of it.

The best network has learnt a pseudo label of nearly every unlabelled image, and would only repeat it. So these images
are dealt into two halves, groups whole, and for each half a network is made as the best one was, of the other half's
pseudo labels and of the labelled images of no group in this half. Where the best network has learnt nothing of an
unlabelled image or its group, as the baseline mostly has not, it speaks for all.

In the recipe's folder: `half_0`, `half_1` and their students (JSON files and networks), then `proposals.npz` with the
rows, (M,), which of the networks speaks for each, and for classes the probabilities, (M, K), with those of the
validation images, by each of the networks; masks are predicted into the folder itself, as a round's are
(`core.data.predictions`).
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.config import IteratedSettings, RoundConfig
from core.data.storage import atomic_path
from core.judge.proposals import PROPOSALS
from core.learn.crossfold import Telling
from core.learn.folds import deal
from core.recipes.data import RecipeData
from core.recipes.folder import stage
from core.recipes.iterated import BASELINE, TUNED, Iterated, begin, run_iterated
from core.recipes.iterated_labels import Labels, probabilities
from core.recipes.iterated_stages import Exercise, Studio, learn, predict_into
from core.types import NO_LABEL, ClassTable, FloatArray, IntArray, Report, RoundError

_HALVES = 2
STAGES = 2 * _HALVES + 1  # a student and its fine-tuning for each half, then the predictions


def run_and_propose(
    data: RecipeData,
    network: RoundConfig,
    settings: IteratedSettings,
    folder: Path,
    *,
    asked: IntArray,
    image_cache: Path,
    masks: Path | None = None,
    table: ClassTable | None = None,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterated:
    """Run the recipe and write what it proposes for the `asked` rows, (M,), on from where a killed run was.

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
    telling = Telling(report, should_stop)
    studio = begin(
        data, network, settings, folder, image_cache=image_cache, masks=masks, further=STAGES, telling=telling
    )
    propose(studio, result, asked)
    return result


def propose(studio: Studio, result: Iterated, asked: IntArray) -> None:
    """Predict the `asked` rows, (M,), by networks that learnt nothing of them, and write what they say.

    Raises:
        RoundError: every labelled image is of a group with images to be asked about.
        RoundCancelledError: somebody asked to stop; do it again to go on.
    """
    if (studio.folder / PROPOSALS).exists():
        return
    first = studio.stages - STAGES
    halves = _halves(studio, result, asked)
    names = [result.best if halves is None else _half(studio, result, asked[halves == k], k, first) for k in range(2)]
    spoken = np.zeros(len(asked), np.int64) if halves is None else halves
    columns: dict[str, Any] = {"rows": asked, "network": spoken}
    checked: list[FloatArray] = []
    for k in np.unique(spoken).tolist():
        own = asked[spoken == k]
        kept = predict_into(studio, names[k], own, stage=studio.stages - 1, folder=studio.folder)
        if "logits" in kept.columns:
            probs = probabilities(kept, studio.data.snapshot, len(own))
            whole = columns.setdefault("probabilities", np.zeros((len(asked), probs.shape[1]), np.float32))
            whole[spoken == k] = probs[: len(own)]
            checked.append(probs[len(own) :])
    if checked:
        columns["checked"] = np.concatenate(checked)
        columns["checked_labels"] = np.tile(studio.data.snapshot.labels[studio.data.validation], len(checked))
    with atomic_path(studio.folder / PROPOSALS) as partial, partial.open("wb") as file:
        np.savez(file, **columns)


def _halves(studio: Studio, result: Iterated, asked: IntArray) -> IntArray | None:
    """Return which half each asked row is in, (M,); None where the best network has learnt of none of them."""
    data = studio.data
    learnt = data.labelled if result.best == BASELINE else np.concatenate([data.labelled, data.unlabelled])
    groups = data.snapshot.whole_groups()
    if not np.isin(groups[asked], groups[learnt]).any():
        return None
    rows = np.concatenate([asked, data.labelled])
    classes = np.concatenate([np.full(len(asked), NO_LABEL), data.snapshot.labels[data.labelled]])
    ids = data.snapshot.sample_ids[rows]
    return deal(ids, classes, groups[rows], folds=_HALVES, seed=studio.network.seed)[: len(asked)]


def _half(studio: Studio, result: Iterated, judged: IntArray, number: int, first: int) -> str:
    """Make the network that speaks for the rows of one half, and return its name."""
    data, name = studio.data, f"half_{number}"
    groups = data.snapshot.whole_groups()
    of_half = np.isin(groups, groups[judged])
    labelled = data.labelled[~of_half[data.labelled]]
    if not len(labelled):
        raise RoundError(
            "every labelled image is of a group with images that are not labelled, so no network could be asked about "
            "them that has not seen their group; label images of other groups, or take the groups away"
        )
    truth, others = studio.labelling.known(labelled), data.unlabelled[~of_half[data.unlabelled]]
    beside = others if studio.settings.consistency and result.best != BASELINE else None
    whole, last = Exercise(name=name, stage=first + 2 * number + 1, taught=truth, beside=beside), result.best
    if last.startswith(TUNED):
        iteration = int(last.removeprefix(f"{TUNED}_"))
        taught = {row: label for row, label in _pseudo_labels(studio, iteration).items() if not of_half[row]}
        if taught:
            student = Exercise(name=f"{name}_student", stage=first + 2 * number, taught=taught)
            stage(studio.folder, student.name, lambda: {"score": asdict(learn(studio, student))})
            settings = studio.settings
            whole = replace(whole, begin=student.name, part=settings.fine_tuning, rate=settings.fine_tuning_rate)
    stage(studio.folder, name, lambda: {"score": asdict(learn(studio, whole))})
    return name


def _pseudo_labels(studio: Studio, iteration: int) -> Labels:
    done = stage(studio.folder, f"pseudo_{iteration}", dict)
    return {int(row): label for row, label in done["labels"].items()}
