"""Predictions that were made elsewhere, as rounds; and those of any round, as files.

A file of class probabilities is read, checked and stored by what it says of the dataset's images when its round is
started, so that a fault is told at once and the round does not change with the file. Of a folder of masks it is checked
then that it has each image once; its pixels are read by the worker when the round opens.
"""

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from app.services.allowed import refuse_outside
from app.services.learnable import LEAST_FOLDS
from app.services.workspace import Workspace
from core.config import PredictionsSettings, RoundConfig
from core.data.canvases import read_mask
from core.data.export.predicted import refuse_target
from core.data.export.tables import Cell, write_csv
from core.data.formats.known_images import KnownImage, some_of
from core.data.formats.predicted_masks import WrittenMask, files_of, find_predicted, write_predicted
from core.data.formats.probabilities import (
    WRITTEN,
    Probabilities,
    matched,
    read_probabilities,
    write_probabilities,
)
from core.data.masks.store import MaskStore
from core.data.predictions import PREDICTED, read_predictions
from core.data.snapshot import Snapshot, sample_ids_in
from core.data.storage import atomic_path
from core.judge.confusions import better_order
from core.judge.judgement import PROBABILITIES
from core.types import (
    NO_LABEL,
    ClassTable,
    ConfigError,
    DatasetError,
    ExportError,
    FloatArray,
    IntArray,
    RoundError,
    Task,
)
from db.queries import datasets, findings, rounds, snapshots
from db.queries.rounds import RoundInfo

ISSUE_COLUMNS = ("image", "is_label_issue", "label_score", "given_label", "predicted_label")
_ABANDONED_SECONDS = 3600.0  # a copy this old has its round, or never will
_FEW = 50  # labels say nothing of the order of columns


def stored_path(workspace: Workspace, stored: str) -> Path:
    """Return where the probabilities of a round that is not yet open lie."""
    return workspace.files / "predictions" / f"{stored}.npz"


def prepare(
    workspace: Workspace, dataset_id: int, settings: PredictionsSettings, config: RoundConfig
) -> tuple[PredictionsSettings, dict[str, Any]]:
    """Check the predictions and return the settings of their round, and what is stored as its config.

    Raises:
        ConfigError: no file is named.
        DatasetError: the file must not be read, is damaged, or does not fit the dataset.
    """
    with workspace.database.read() as session:
        task = snapshots.task_of(session, dataset_id)
    return _PREPARE[task](workspace, dataset_id, settings, config)


def _prepare_masks(
    workspace: Workspace, dataset_id: int, settings: PredictionsSettings, config: RoundConfig
) -> tuple[PredictionsSettings, dict[str, Any]]:
    if not settings.file:
        raise ConfigError("no folder of predicted masks is named; name one with a .npz or PNGs for each image")
    path = Path(settings.file).expanduser()
    refuse_outside(workspace, path)
    if not path.is_dir():
        raise DatasetError(
            f"{path}: there is no such folder; predictions of masks are a folder with files for each image"
        )
    with workspace.database.read() as session:
        _, classes = snapshots.dataset_of(session, dataset_id)
        samples = snapshots.samples_for_round(session, dataset_id)
    found = find_predicted(path, classes)
    files_of(found, [KnownImage(sample.name, sample.path) for sample in samples])
    folds = max(LEAST_FOLDS, 1 + max(found.folds.values(), default=0))
    facts = {"model": path.name, "folds": folds, "min_region": config.min_region, "boundary": config.boundary}
    return replace(settings, file=str(path)), facts


def _prepare_labels(
    workspace: Workspace, dataset_id: int, settings: PredictionsSettings, _config: RoundConfig
) -> tuple[PredictionsSettings, dict[str, Any]]:
    """Store what the file says of the dataset's images; the settings name the copy."""
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
    return replace(settings, stored=stored), {"model": path.name}


_PREPARE = {Task.CLASSIFICATION: _prepare_labels, Task.SEGMENTATION: _prepare_masks}


def _remove_abandoned(workspace: Workspace, waiting: Collection[str | None]) -> None:
    """Remove copies that no waiting round needs: of rounds that were cancelled, failed or refused."""
    for path in stored_path(workspace, "").parent.glob("*.npz"):
        with suppress(FileNotFoundError):
            if path.stem not in waiting and time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


def _refuse_other_order(
    path: Path, found: Probabilities, probs: FloatArray, labels: IntArray, classes: list[str]
) -> None:
    """Raise `DatasetError` where columns without names fit the labels much better in another order."""
    known = labels != NO_LABEL
    if found.named or known.sum() < _FEW:
        return
    count = len(classes)
    confusion = np.bincount(labels[known] * count + probs[known].argmax(axis=1), minlength=count**2)
    better = better_order(confusion.reshape(count, count))
    if better is not None:
        raise DatasetError(
            f"{path.name} does not name its columns. In the dataset's order ({some_of(classes)}) {better[0]:.0%} of "
            f"the labels agree with it, in another order {better[1]:.0%}; save it as a table with a column named for "
            "each class"
        )


def export(workspace: Workspace, round_id: int, target: Path, *, archives: bool = False) -> int:
    """Write the out-of-fold predictions of a finished round so that they can be imported; return of how many images.

    Those of class labels become a file, of which the ending says the form, those of masks a folder of PNGs, or of a
    `.npz` an image where `archives`.

    Raises:
        RoundError: the round has none.
        ExportError: something lies there already, or its name has no known ending.
    """
    refuse_outside(workspace, target)
    with workspace.database.read() as session:
        info = rounds.get_round(session, round_id)
        task = snapshots.task_of(session, info.dataset_id)
        names = {sample.id: sample.name for sample in snapshots.samples_for_round(session, info.dataset_id)}
    return _EXPORT[task](workspace, info, target, names, archives=archives)


def _export_labels(
    workspace: Workspace, info: RoundInfo, target: Path, names: Mapping[int, str], *, archives: bool
) -> int:
    if archives:
        raise ExportError(f"class labels are written to one file; call it {target.name}.npz for a .npz")
    refuse_target(target, WRITTEN)
    folder = workspace.round_folder(info.id)
    if not (folder / PROBABILITIES).is_file():
        raise RoundError(f"{info.name} of {info.dataset} has no class probabilities; choose a finished round of labels")
    with workspace.database.read() as session:
        _, classes = snapshots.dataset_of(session, info.dataset_id)
    probs = np.load(folder / PROBABILITIES, mmap_mode="r")
    ids = sample_ids_in(folder).tolist()
    kept = [row for row, one in enumerate(ids) if one in names]  # images may have vanished since
    said = probs[kept].astype(np.float32)
    said /= said.sum(axis=1, keepdims=True)  # they are stored with 16 bits
    write_probabilities(target, Probabilities([names[ids[row]] for row in kept], said), classes[: probs.shape[1]])
    return len(kept)


def _export_masks(
    workspace: Workspace, info: RoundInfo, target: Path, names: Mapping[int, str], *, archives: bool
) -> int:
    refuse_target(target)
    folder = workspace.round_folder(info.id)
    if not info.is_reviewable or not (folder / PREDICTED).is_file():
        raise RoundError(f"{info.name} of {info.dataset} has no predicted masks; choose a finished round of its folds")
    with workspace.database.read() as session:
        dataset = datasets.get_dataset(session, info.dataset_id)
    snapshot = Snapshot.load(folder)
    if snapshot.masks is None:
        raise RoundError(f"{info.name} of {info.dataset} was not opened with masks; start a new round")
    count = len(snapshot.classes)
    table = ClassTable(tuple(snapshot.classes), tuple((dataset.colours or [])[:count]))
    kept = [row for row, one in enumerate(snapshot.sample_ids.tolist()) if one in names]
    predictions, store = read_predictions(folder, snapshot.masks.sizes), MaskStore(workspace.masks)
    labels, sizes = snapshot.masks.labels, snapshot.masks.sizes

    def written(row: int) -> WrittenMask:
        predicted, confidence, likely = predictions.of(row)
        name, fold = names[int(snapshot.sample_ids[row])], int(predictions.fold[row])
        if not labels[row]:
            return WrittenMask(name, fold, predicted, confidence)
        height, width = sizes[row].tolist()
        given = read_mask(store, labels[row], height, width, count)
        return WrittenMask(name, fold, predicted, confidence, given, likely)

    said = [names[int(snapshot.sample_ids[row])] for row in kept]
    return write_predicted(target, map(written, kept), said, table, archives=archives)


_EXPORT = {Task.CLASSIFICATION: _export_labels, Task.SEGMENTATION: _export_masks}


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
