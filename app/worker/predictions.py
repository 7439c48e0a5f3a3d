"""Probabilities that were predicted elsewhere as a round: nothing is learnt, all else is as after folds."""

import numpy as np

from app.services.predictions import stored_path
from app.worker.doing import Doing, RoundAtWork
from core.config import PredictionsSettings
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path
from core.judge.found import Judged, judge_given
from core.judge.hints import PREDICTIONS as METRIC
from core.judge.judgement import GIVEN
from core.types import RoundError

_AGAIN = "start it again with a file that has them"


def _open(at_work: RoundAtWork, snapshot: Snapshot) -> None:
    """Write the probabilities of the snapshot's samples, (N, K), into the round's folder.

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


def _learn_nothing(_at_work: RoundAtWork, _piece: int) -> None:
    pass


def _judge(at_work: RoundAtWork) -> Judged:
    judged = judge_given(at_work.folder)
    settings = _settings(at_work)
    stored_path(at_work.workspace, settings.stored).unlink(missing_ok=True)
    judged.metrics[METRIC] = {"file": settings.file, "out_of_fold": settings.out_of_fold}
    return judged


def _settings(at_work: RoundAtWork) -> PredictionsSettings:
    return PredictionsSettings.from_json(at_work.info.recipe_config or {})


PREDICTIONS = Doing(_open, _learn_nothing, _judge, refuse=lambda *_: None)  # nothing has to be learnt
