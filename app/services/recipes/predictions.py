"""Predictions of the user's own models as a round: nothing is trained, judging is that of rounds by folds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.recipes.entry import RecipeEntry, RequestedRound, RoundContext
from core.config import RecipeSettings, RoundConfig
from core.data.arrays import read_mask
from core.data.formats.probabilities import some_names
from core.data.masks.store import MaskStore
from core.data.predictions import create_predictions
from core.data.snapshot import Snapshot, masks_of
from core.data.storage import save_array
from core.data.store import local
from core.judge.confusions import better_order
from core.judge.found import Judged, judge_given
from core.judge.hints import PREDICTIONS as METRIC
from core.judge.judgement import GIVEN
from core.judge.mask_scoring import pixel_confusion
from core.types import Progress, RoundCancelledError, RoundError, SourceSample, Task, renumber_mask
from db.queries import datasets, snapshots

_AGAIN = "start it again with a file that has them"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionsSettings(RecipeSettings):
    """Source of the predictions, and whether they were made out of fold."""

    file: str = ""  # of class labels see `core.data.formats.probabilities`, of masks a folder, see `predicted_masks`
    ids: str = ""  # a file with the images' names, if `file` has none
    out_of_fold: bool = False  # each image was predicted by a model that was not trained on it
    stored: str = ""  # name of the copy that the round judges; set when a round of class labels is started


def stored_path(app_context: AppContext, stored: str) -> Path:
    """Return the path of the probabilities of a round that is not yet open."""
    return app_context.files / "predictions" / f"{stored}.npz"


def _prepare(
    app_context: AppContext, dataset_id: int, settings: RecipeSettings, config: RoundConfig
) -> tuple[RecipeSettings, dict[str, Any]]:
    from app.services.rounds.predictions import (  # noqa: PLC0415 pyarrow, which other commands need not wait for
        prepare_predictions,
    )

    if not isinstance(settings, PredictionsSettings):
        raise TypeError(f"{settings} are not settings of predictions")
    return prepare_predictions(app_context, dataset_id, settings, config)


def _refuse(session: Session, request: RequestedRound) -> None:
    """Raise `RoundError` if no image has a label that predictions could contradict."""
    counted = snapshots.label_counts(session, request.dataset_id)
    if not counted.labelled and not snapshots.labels_were_added(session, request.dataset_id):
        raise RoundError(f"{request.dataset} has no labels to compare with", "import or give some first")


def _open(context: RoundContext, snapshot: Snapshot) -> None:
    """Write the predictions of the snapshot's samples into the round's folder."""
    _OPEN[snapshot.task](context, snapshot)


def _open_labels(context: RoundContext, snapshot: Snapshot) -> None:
    """Write the probabilities of the snapshot's samples, (N, K).

    Raises:
        RoundError: images or classes were added since the file was read.
    """
    try:
        with np.load(local(stored_path(context.app_context, _settings(context).stored)), allow_pickle=False) as stored:
            known, probs = stored["sample_ids"], stored["probs"]
    except FileNotFoundError:
        raise RoundError("the predictions that were read are gone", "import them again") from None
    if probs.shape[1] != len(snapshot.classes):
        raise RoundError("the dataset has classes that the predictions do not know", f"{_AGAIN}")
    order = np.argsort(known)
    place = np.searchsorted(known[order], snapshot.sample_ids)
    rows = order[np.minimum(place, len(order) - 1)]
    missing = int((known[rows] != snapshot.sample_ids).sum())
    if missing:
        raise RoundError(f"{missing} images have come since the predictions were read", f"{_AGAIN}")
    save_array(context.folder / GIVEN, probs[rows])


def _open_masks(context: RoundContext, snapshot: Snapshot) -> None:
    """Read the predicted masks of the snapshot's samples and write them in the form of a fold's predictions.

    Raises:
        DatasetError: a file cannot be read, or does not fit its image or the classes.
        RoundError: the ids of the files fit the given masks much better in another order.
        RoundCancelledError: the round was cancelled.
    """
    from core.data.formats.predicted_masks import (  # noqa: PLC0415 pyarrow, which other commands need not wait for
        files_of,
        find_predicted,
        read_predicted,
    )

    masks = masks_of(snapshot)
    with context.app_context.database.read() as session:
        state = datasets.get_dataset(session, context.info.dataset_id).class_state
    path, classes, ids = Path(_settings(context).file), state.offered_names, np.array(state.offered)
    found = find_predicted(path, classes)
    with context.app_context.database.read() as session:
        samples = snapshots.samples_of(session, context.info.dataset_id)
    files = files_of(found, [SourceSample(sample.path, sample.name) for sample in samples])
    by_sample = {sample.id: one for sample, one in zip(samples, files, strict=True)}
    predictions = create_predictions(context.folder, masks.sizes, len(snapshot.classes))
    store, confusion = MaskStore(context.app_context.masks), np.zeros((len(classes), len(classes)), np.int64)
    for row, sample_id in enumerate(snapshot.sample_ids.tolist()):
        if context.should_stop():
            raise RoundCancelledError(f"round {context.info.id} was cancelled")
        one, (height, width) = by_sample[sample_id], masks.sizes[row].tolist()
        mask = read_predicted(found, one, (height, width), classes)
        stored = read_mask(store, masks.labels[row], height, width, len(snapshot.classes))
        given = renumber_mask(stored, state.places, len(classes))
        predicted, confidence, likely = predictions.of(row)
        predicted[:], confidence[:], likely[:] = ids[mask.predicted], mask.confidence, mask.given_probability(given)
        predictions.fold[row] = found.folds.get(one.name, 0)
        if not mask.named:
            confusion += pixel_confusion(given, mask.predicted, len(classes))
        context.report(Progress("reading the predictions", 0, 1, fraction=(row + 1) / len(snapshot)))
    predictions.flush()
    better = None if found.named else better_order(confusion)
    if better is not None:
        raise RoundError(
            f"{path.name} does not name its classes. As ids of the dataset ({some_names(classes)}) {better[0]:.0%} of "
            f"the labelled pixels agree, in another order {better[1]:.0%}",
            "put a classes.csv with id,name into the folder",
        )


def _learn_nothing(_context: RoundContext, _piece: int) -> None:
    pass


def _judge(context: RoundContext) -> Judged:
    masks, images = context.app_context.masks, context.app_context.image_caches
    judged = judge_given(context.folder, context.config, masks, images, context.report, context.should_stop)
    settings = _settings(context)
    context.app_context.remove(stored_path(context.app_context, settings.stored))
    judged.metrics[METRIC] = {"file": settings.file, "out_of_fold": settings.out_of_fold}
    return judged


def _settings(context: RoundContext) -> PredictionsSettings:
    return PredictionsSettings.from_json(context.info.recipe_config or {})


_OPEN: Mapping[Task, Callable[[RoundContext, Snapshot], None]] = {
    Task.CLASSIFICATION: _open_labels,
    Task.SEGMENTATION: _open_masks,
}
PREDICTIONS = RecipeEntry(
    settings=PredictionsSettings,
    prepare=_prepare,
    refuse=_refuse,
    refuse_labels=lambda *_: None,  # nothing is trained
    open=_open,
    learn=_learn_nothing,
    judge=_judge,
)
