"""Predictions that were made elsewhere as a round: nothing is learnt, all else is as after folds."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from app.services.predictions import stored_path
from app.worker.doing import Doing, RoundAtWork
from core.config import PredictionsSettings
from core.data.canvases import read_mask
from core.data.formats.known_images import KnownImage, some_of
from core.data.formats.predicted_masks import files_of, find_predicted, read_predicted
from core.data.masks.store import MaskStore
from core.data.predictions import create_predictions
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path
from core.judge.confusions import better_order
from core.judge.found import Judged, judge_given
from core.judge.hints import PREDICTIONS as METRIC
from core.judge.judgement import GIVEN
from core.judge.mask_scoring import pixel_confusion
from core.types import Progress, RoundCancelledError, RoundError, Task
from db.queries import snapshots

_AGAIN = "start it again with a file that has them"


def _open(at_work: RoundAtWork, snapshot: Snapshot) -> None:
    """Write the predictions of the snapshot's samples into the round's folder, as its kind of label has them."""
    _OPEN[snapshot.task](at_work, snapshot)


def _open_labels(at_work: RoundAtWork, snapshot: Snapshot) -> None:
    """Write the probabilities of the snapshot's samples, (N, K).

    Raises:
        RoundError: images or classes have come since the file was read.
    """
    try:
        with np.load(stored_path(at_work.workspace, _settings(at_work).stored), allow_pickle=False) as stored:
            known, probs = stored["sample_ids"], stored["probs"]
    except FileNotFoundError:
        raise RoundError("the predictions that were read are gone; import them again") from None
    if probs.shape[1] != len(snapshot.classes):
        raise RoundError(f"the dataset has classes that the predictions do not know; {_AGAIN}")
    order = np.argsort(known)
    place = np.searchsorted(known[order], snapshot.sample_ids)
    rows = order[np.minimum(place, len(order) - 1)]
    missing = int((known[rows] != snapshot.sample_ids).sum())
    if missing:
        raise RoundError(f"{missing} images have come since the predictions were read; {_AGAIN}")
    with atomic_path(at_work.folder / GIVEN) as partial, partial.open("wb") as file:
        np.save(file, probs[rows], allow_pickle=False)


def _open_masks(at_work: RoundAtWork, snapshot: Snapshot) -> None:
    """Read the predicted masks of the snapshot's samples and write them as a fold writes its own.

    Raises:
        DatasetError: a file cannot be read, or does not fit its image or the classes.
        RoundError: the ids of the files fit the given masks much better in another order.
        RoundCancelledError: the round was cancelled.
    """
    masks = snapshot.masks
    if masks is None:
        raise RoundError("this round was not opened with masks; start it again")
    path, classes = Path(_settings(at_work).file), snapshot.classes
    found = find_predicted(path, classes)
    with at_work.workspace.database.read() as session:
        samples = snapshots.samples_for_round(session, at_work.info.dataset_id)
    files = files_of(found, [KnownImage(sample.name, sample.path) for sample in samples])
    by_sample = {sample.id: one for sample, one in zip(samples, files, strict=True)}
    predictions = create_predictions(at_work.folder, masks.sizes, len(classes))
    store, confusion = MaskStore(at_work.workspace.masks), np.zeros((len(classes), len(classes)), np.int64)
    for row, sample_id in enumerate(snapshot.sample_ids.tolist()):
        if at_work.should_stop():
            raise RoundCancelledError(f"round {at_work.info.id} was cancelled")
        one, (height, width) = by_sample[sample_id], masks.sizes[row].tolist()
        said = read_predicted(found, one, (height, width), classes)
        given = read_mask(store, masks.labels[row], height, width, len(classes))
        predicted, confidence, likely = predictions.of(row)
        predicted[:], confidence[:], likely[:] = said.predicted, said.confidence, said.given_probability(given)
        predictions.fold[row] = found.folds.get(one.name, 0)
        if not said.named:
            confusion += pixel_confusion(given, said.predicted, len(classes))
        at_work.report(Progress("reading the predictions", 0, 1, fraction=(row + 1) / len(snapshot)))
    predictions.flush()
    better = None if found.named else better_order(confusion)
    if better is not None:
        raise RoundError(
            f"{path.name} does not name its classes. As ids of the dataset ({some_of(classes)}) {better[0]:.0%} of the "
            f"labelled pixels agree, in another order {better[1]:.0%}; put a classes.csv with id,name into the folder"
        )


def _learn_nothing(_at_work: RoundAtWork, _piece: int) -> None:
    pass


def _judge(at_work: RoundAtWork) -> Judged:
    masks = at_work.workspace.masks
    judged = judge_given(at_work.folder, at_work.config, masks, at_work.report, at_work.should_stop)
    settings = _settings(at_work)
    stored_path(at_work.workspace, settings.stored).unlink(missing_ok=True)
    judged.metrics[METRIC] = {"file": settings.file, "out_of_fold": settings.out_of_fold}
    return judged


def _settings(at_work: RoundAtWork) -> PredictionsSettings:
    return PredictionsSettings.from_json(at_work.info.recipe_config or {})


_OPEN: Mapping[Task, Callable[[RoundAtWork, Snapshot], None]] = {
    Task.CLASSIFICATION: _open_labels,
    Task.SEGMENTATION: _open_masks,
}
PREDICTIONS = Doing(_open, _learn_nothing, _judge, refuse=lambda *_: None)  # nothing has to be learnt
