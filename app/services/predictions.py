"""Probabilities that were predicted elsewhere, as rounds; and those of any round, as files.

A file is read, checked and stored by what it says of the dataset's images when its round is started, so that a fault
is told at once and the round does not change with the file.
"""

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np

from app.services.allowed import refuse_outside
from app.services.workspace import Workspace
from core.config import PredictionsSettings
from core.data.export.predicted import refuse_target
from core.data.export.tables import Cell, write_csv
from core.data.formats.probabilities import (
    WRITTEN,
    KnownImage,
    Probabilities,
    matched,
    read_probabilities,
    write_probabilities,
)
from core.data.snapshot import sample_ids_in
from core.data.storage import atomic_path
from core.judge.judgement import PROBABILITIES
from core.types import NO_LABEL, ConfigError, DatasetError, FloatArray, IntArray, RoundError
from db.queries import findings, rounds, snapshots

ISSUE_COLUMNS = ("image", "is_label_issue", "label_score", "given_label", "predicted_label")
_ABANDONED_SECONDS = 3600.0  # a copy this old has its round, or never will
_CLOSE = 0.3  # by which more labels agree with columns in another order than with those in the order assumed
_FEW = 50  # labels say nothing of the order of columns


def stored_path(workspace: Workspace, stored: str) -> Path:
    """Return where the probabilities of a round that is not yet open lie."""
    return workspace.files / "predictions" / f"{stored}.npz"


def prepare(workspace: Workspace, dataset_id: int, settings: PredictionsSettings) -> PredictionsSettings:
    """Read and check the file, store what it says of the dataset's images, and return the settings that name the copy.

    Raises:
        ConfigError: no file is named.
        DatasetError: the file must not be read, is damaged, or does not fit the dataset.
    """
    if not settings.file:
        raise ConfigError("no file of probabilities is named; name a .csv, .parquet, .jsonl, .npz or .npy file")
    path = Path(settings.file).expanduser()
    ids = Path(settings.ids).expanduser() if settings.ids else None
    for one in filter(None, (path, ids)):
        refuse_outside(workspace, one)
        if not one.is_file():
            raise DatasetError(f"{one}: there is no such file; check the path")
    with workspace.database.read() as session:
        _, classes = snapshots.dataset_of(session, dataset_id)
        samples = snapshots.samples_for_round(session, dataset_id)
        waiting = {(info.recipe_config or {}).get("stored") for info in rounds.unfinished_rounds(session)}
    _remove_abandoned(workspace, waiting)
    found = read_probabilities(path, classes, ids)
    probs = matched(found, [KnownImage(sample.name, sample.path) for sample in samples])
    labels = np.array([NO_LABEL if sample.label is None else sample.label for sample in samples])
    _refuse_other_order(path, found, probs, labels, classes)
    sample_ids = np.array([sample.id for sample in samples], np.int64)
    stored = uuid4().hex  # no two rounds share a copy, which goes with its round
    with atomic_path(stored_path(workspace, stored)) as partial, partial.open("wb") as file:
        np.savez(file, sample_ids=sample_ids, probs=probs)
    return replace(settings, stored=stored)


def _remove_abandoned(workspace: Workspace, waiting: Collection[str | None]) -> None:
    """Remove copies that no waiting round needs: of rounds that were cancelled, failed or refused."""
    for path in stored_path(workspace, "").parent.glob("*.npz"):
        with suppress(FileNotFoundError):
            if path.stem not in waiting and time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


def _refuse_other_order(
    path: Path, found: Probabilities, probs: FloatArray, labels: IntArray, classes: list[str]
) -> None:
    """Raise `DatasetError` where columns without names fit the labels much better in another order.

    The best order is the assignment of columns to classes that agrees with most labels.
    """
    known = labels != NO_LABEL
    if found.named or known.sum() < _FEW:
        return
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 a second, which a start must not pay for

    count = len(classes)
    confusion = np.bincount(labels[known] * count + probs[known].argmax(axis=1), minlength=count**2)
    confusion = confusion.reshape(count, count)
    rows, columns = linear_sum_assignment(-confusion)
    agree, best = confusion.trace() / known.sum(), confusion[rows, columns].sum() / known.sum()
    if best > agree + _CLOSE:
        raise DatasetError(
            f"{path.name} does not name its columns. In the dataset's order ({', '.join(classes[:5])}"
            f"{', ...' if count > 5 else ''}) {agree:.0%} of the labels agree with it, in another order {best:.0%}; "  # noqa: PLR2004
            "save it as a table with a column named for each class"
        )


def export(workspace: Workspace, round_id: int, target: Path) -> int:
    """Write the out-of-fold probabilities of a finished round of class labels; return of how many images.

    Raises:
        RoundError: the round has none.
        ExportError: something lies there already, or its name has no known ending.
    """
    refuse_outside(workspace, target)
    refuse_target(target, WRITTEN)
    folder = workspace.round_folder(round_id)
    with workspace.database.read() as session:
        info = rounds.get_round(session, round_id)
        _, classes = snapshots.dataset_of(session, info.dataset_id)
        names = {sample.id: sample.name for sample in snapshots.samples_for_round(session, info.dataset_id)}
    if not (folder / PROBABILITIES).is_file():
        raise RoundError(f"{info.name} of {info.dataset} has no class probabilities; choose a finished round of labels")
    probs = np.load(folder / PROBABILITIES, mmap_mode="r")
    ids = sample_ids_in(folder).tolist()
    kept = [row for row, one in enumerate(ids) if one in names]  # images may have vanished since
    said = probs[kept].astype(np.float32)
    said /= said.sum(axis=1, keepdims=True)  # they are stored with 16 bits
    write_probabilities(target, Probabilities([names[ids[row]] for row in kept], said), classes[: probs.shape[1]])
    return len(kept)


def export_issues(workspace: Workspace, round_id: int, target: Path) -> int:
    """Write what a finished round of class labels found in the columns of cleanlab's Datalab; return the row count.

    Rows are in the order of the images' names; `label_score` is the probability of the given label. Images without a
    label are left out.

    Raises:
        RoundError: the round's labels are masks, or it is not finished.
        ExportError: something lies there already.
    """
    refuse_outside(workspace, target)
    refuse_target(target, (".csv",))
    with workspace.database.read() as session:
        info = rounds.get_round(session, round_id)
        if not info.is_reviewable or not (workspace.round_folder(round_id) / PROBABILITIES).is_file():
            raise RoundError(
                f"{info.name} of {info.dataset} has no findings of labels; choose a finished round of labels"
            )
        _, classes = snapshots.dataset_of(session, info.dataset_id)
        labelled = findings.labels_of_round(session, round_id)
        with atomic_path(target) as partial:
            write_csv(partial, (_issue(row, classes) for row in labelled), ISSUE_COLUMNS)
    return len(labelled)


def _issue(row: findings.JudgedLabel, classes: list[str]) -> dict[str, Cell]:
    values: tuple[Cell, ...] = (
        row.name, str(row.given != row.pseudo), round(row.self_confidence, 6), classes[row.given], classes[row.pseudo],
    )  # fmt: skip
    return dict(zip(ISSUE_COLUMNS, values, strict=True))
