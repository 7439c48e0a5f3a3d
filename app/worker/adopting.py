"""A finished check becomes a dataset and its first round, without anything being learnt again.

The steps are the worker's own. What the check's folds learnt is put into the round's folder after its labels were
frozen, where they are the same labels; a fold that lies there is only read. Where labels have changed since, or the
dataset had others, the folds are fitted anew on the embeddings that the cache holds.
"""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from app.services import imports
from app.services.imports import ImportRequest
from app.services.job_locks import holding
from app.services.learnable import refuse_unfinished
from app.services.workspace import Workspace
from app.worker import steps
from core.checking import Check
from core.data.snapshot import Snapshot
from core.judge.judgement import DECAY, EMBEDDINGS, fold_file
from core.types import DatasetError, RoundStatus
from db.queries import rounds

Told = Callable[[str, float], None]
"""Told what is being done, and how much of it is (0 to 1)."""


def adopt(
    workspace: Workspace, request: ImportRequest, check: Check, place: Path, *, by: str, report: Told
) -> int | None:
    """Import what was checked and store its round; return the round's id, None where no labels were judged.

    Raises:
        DatasetError: it cannot be imported, for example because the name belongs to another source.
        RoundError: a round of the dataset is unfinished.
    """

    def note(seen: imports.ImportProgress) -> None:
        report(seen.stage, seen.done / max(1, seen.total))

    done = imports.run_import(workspace, imports.start_import(workspace, request), note)
    if done.status is not RoundStatus.DONE or done.dataset_id is None:
        raise DatasetError(done.message)
    if check.judgement is None:
        return None
    round_id = _add_round(workspace, done.dataset_id, check, by)
    with holding(workspace, "round", round_id):  # else a worker that is alive would take it for lost
        report("storing the findings", 0.0)
        steps.take_snapshot(workspace, _never, round_id=round_id)
        _put_folds(check, place, workspace.round_folder(round_id))
        for fold in range(check.config.folds):
            steps.train_fold(workspace, _never, round_id=round_id, fold=fold)
        report("storing the findings", 0.5)
        steps.judge(workspace, _never, round_id=round_id)
    return round_id


def _add_round(workspace: Workspace, dataset_id: int, check: Check, by: str) -> int:
    with workspace.database.write() as session:
        known = rounds.list_rounds(session, dataset_id)
        refuse_unfinished(check.folder.root.name, known)
        return rounds.add_round(session, dataset_id, check.config.to_json(), by, datetime.now(UTC))


def _put_folds(check: Check, place: Path, folder: Path) -> None:
    """Copy what the folds learnt into a round's folder, where it opened with the labels that they learnt from."""
    if not _is_same(check.snapshot, Snapshot.load(folder)):
        return
    for kept in (*place.glob("*.safetensors"), *place.glob("*.network.json"), place / EMBEDDINGS, place / DECAY):
        shutil.copyfile(kept, folder / kept.name)
    for fold in range(check.config.folds):
        shutil.copyfile(fold_file(place, fold), fold_file(folder, fold))


def _is_same(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots are the same but for the numbers of their samples, which keep their order."""
    columns = ("paths", "groups", "content_hashes", "classes", "window")
    return (
        all(getattr(one, name) == getattr(other, name) for name in columns)
        and np.array_equal(one.labels, other.labels)
        and np.array_equal(np.argsort(one.sample_ids), np.argsort(other.sample_ids))
        and bool(one.learnable.all() and other.learnable.all())
    )


def _never() -> bool:
    return False
