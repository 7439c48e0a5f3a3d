"""Import of a finished check: its folder becomes a dataset, its results the first round, without another training.

The steps are the worker's own. The results of the check's folds are put into the round's folder once its labels are
frozen, if these are the same labels; existing folds are only read. If labels differ, the folds are fitted
again on the embeddings in the cache.
"""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.jobs import job_lock
from app.services.rounds.request import refuse_unfinished
from app.worker import steps
from core.checking import FolderCheck
from core.data.predictions import DECAY, EMBEDDINGS, fold_file
from core.data.snapshot import Snapshot
from core.types import DatasetError, JobStatus
from db.queries import rounds

ReportStage = Callable[[str, float], None]
"""Receives the current stage and its progress, from 0 to 1."""


def adopt(
    app_context: AppContext, request: ImportRequest, check: FolderCheck, place: Path, *, by: str, report: ReportStage
) -> int | None:
    """Import the checked folder and store its round; return the round's id, None if no labels were judged.

    Raises:
        DatasetError: it cannot be imported, for example because the name belongs to another source.
        RoundError: a round of the dataset is unfinished.
    """

    def note(done: int, total: int, stage: str) -> None:
        report(stage, done / max(1, total))

    done = imports.run_import(app_context, imports.add_import(app_context, request), note)
    if done.status is not JobStatus.DONE or done.dataset_id is None:
        raise DatasetError(done.message)
    if check.judgement is None:
        return None
    round_id = _add_round(app_context, done.dataset_id, check, by)
    with job_lock(app_context, "round", round_id):  # otherwise a running worker would take it for lost
        report("storing the findings", 0.0)
        steps.take_snapshot(app_context, _never, round_id=round_id)
        _put_folds(check, place, app_context.round_folder(round_id))
        for fold in range(check.config.folds):
            steps.train_fold(app_context, _never, round_id=round_id, fold=fold)
        report("storing the findings", 0.5)
        steps.judge(app_context, _never, round_id=round_id)
    return round_id


def _add_round(app_context: AppContext, dataset_id: int, check: FolderCheck, by: str) -> int:
    with app_context.database.write() as session:
        known = rounds.list_rounds(session, dataset_id)
        refuse_unfinished(check.folder.root.name, known)
        return rounds.add_round(session, dataset_id, check.config.to_json(), by, datetime.now(UTC))


def _put_folds(check: FolderCheck, place: Path, folder: Path) -> None:
    """Copy the folds' results into a round's folder if it opened with the labels of the check."""
    if not _is_same(check.snapshot, Snapshot.load(folder)):
        return
    for kept in (*place.glob("*.safetensors"), *place.glob("*.network.json"), place / EMBEDDINGS, place / DECAY):
        shutil.copyfile(kept, folder / kept.name)
    for fold in range(check.config.folds):
        shutil.copyfile(fold_file(place, fold), fold_file(folder, fold))


def _is_same(one: Snapshot, other: Snapshot) -> bool:
    """Return whether two snapshots are equal except for the ids of their samples, in the same order."""
    columns = ("paths", "groups", "content_hashes", "classes", "window")
    return (
        all(getattr(one, name) == getattr(other, name) for name in columns)
        and np.array_equal(one.labels, other.labels)
        and np.array_equal(np.argsort(one.sample_ids), np.argsort(other.sample_ids))
        and bool(one.learnable.all() and other.learnable.all())
    )


def _never() -> bool:
    return False
