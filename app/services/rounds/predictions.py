"""Import of predictions as rounds, and export of a round's predictions.

A file of class probabilities is read and checked, and its rows for the dataset's images are stored, when its round is
started, so that a fault shows at once and the round does not change with the file. A folder of masks is checked
then for having each image once; the worker reads its pixels when the round opens.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from app.services.allowed import refuse_outside
from app.services.app_context import AppContext
from app.services.recipes.entry import LEAST_FOLDS
from app.services.recipes.predictions import PredictionsSettings, stored_path
from core.config import RoundConfig
from core.data.arrays import read_mask
from core.data.export.predicted import refuse_target
from core.data.export.tables import Cell, write_csv
from core.data.formats.predicted_masks import WrittenMask, files_of, find_predicted, write_predicted
from core.data.formats.probabilities import (
    WRITTEN,
    Probabilities,
    match_images,
    read_probabilities,
    some_names,
    write_probabilities,
)
from core.data.masks.store import MaskStore
from core.data.predictions import PREDICTED, read_predictions
from core.data.snapshot import Snapshot, masks_of
from core.data.storage import atomic_path
from core.judge.confusions import better_order
from core.judge.row_blocks import Rows, blocks
from core.judge.stored_probabilities import has_probabilities, keeps_likeliest, stored_probabilities
from core.types import (
    NO_LABEL,
    ClassState,
    ClassTable,
    ConfigError,
    DatasetError,
    ExportError,
    FloatArray,
    IntArray,
    RoundError,
    SourceSample,
    Task,
    renumber_mask,
)
from db.queries import datasets, findings, rounds, snapshots
from db.queries.rounds import RoundInfo

ISSUE_COLUMNS = ("image", "is_label_issue", "label_score", "given_label", "predicted_label")
_ABANDONED_SECONDS = 3600.0  # a copy of this age is used by its round, or never will be
_FEW = 50  # too few labels to check the order of columns


def prepare_predictions(
    app_context: AppContext, dataset_id: int, settings: PredictionsSettings, config: RoundConfig
) -> tuple[PredictionsSettings, dict[str, Any]]:
    """Check the predictions and return the settings of their round, and the facts stored as its config.

    Raises:
        ConfigError: no file is named.
        DatasetError: the file must not be read, is damaged, or does not match the dataset.
    """
    with app_context.database.read() as session:
        task = snapshots.task_of(session, dataset_id)
    return _PREPARE[task](app_context, dataset_id, settings, config)


def _prepare_masks(
    app_context: AppContext, dataset_id: int, settings: PredictionsSettings, config: RoundConfig
) -> tuple[PredictionsSettings, dict[str, Any]]:
    if not settings.file:
        raise ConfigError("no folder of predicted masks is named", "name one with a .npz or PNGs for each image")
    path = Path(settings.file).expanduser()
    refuse_outside(app_context, path)
    if not path.is_dir():
        raise DatasetError(
            f"{path}: there is no such folder", "predictions of masks are a folder with files for each image"
        )
    with app_context.database.read() as session:
        classes = datasets.get_dataset(session, dataset_id).class_state
        samples = snapshots.samples_of(session, dataset_id)
    found = find_predicted(path, classes.offered_names)
    files_of(found, [SourceSample(sample.path, sample.name) for sample in samples])
    folds = max(LEAST_FOLDS, 1 + max(found.folds.values(), default=0))
    facts = {"model": path.name, "folds": folds, "min_region": config.min_region, "boundary": config.boundary}
    return replace(settings, file=str(path)), facts


def _prepare_labels(
    app_context: AppContext, dataset_id: int, settings: PredictionsSettings, _config: RoundConfig
) -> tuple[PredictionsSettings, dict[str, Any]]:
    """Store the file's rows for the dataset's images; the settings name the copy."""
    if not settings.file:
        raise ConfigError("no file of probabilities is named", "name a .csv, .parquet, .jsonl, .npz or .npy file")
    path = Path(settings.file).expanduser()
    ids = Path(settings.ids).expanduser() if settings.ids else None
    for one in filter(None, (path, ids)):
        refuse_outside(app_context, one)
        if not one.is_file():
            raise DatasetError(f"{one}: there is no such file", "check the path")
    with app_context.database.read() as session:
        classes = datasets.get_dataset(session, dataset_id).class_state
        samples = snapshots.samples_of(session, dataset_id)
        waiting = {(info.recipe_config or {}).get("stored") for info in rounds.unfinished_rounds(session)}
    _remove_abandoned(app_context, waiting)
    found, columns = _of_classes(path, classes, ids)
    given = match_images(found, [SourceSample(sample.path, sample.name) for sample in samples])
    labels = np.array([NO_LABEL if sample.label is None else columns.index(sample.label) for sample in samples])
    _refuse_other_order(path, found, given, labels, [classes.names[one] for one in columns])
    probs = _added_up(given, columns, classes.merged, len(classes.names))
    sample_ids = np.array([sample.id for sample in samples], np.int64)
    stored = uuid4().hex  # each round has its own copy, which is removed with it
    with atomic_path(stored_path(app_context, stored)) as partial, partial.open("wb") as file:
        np.savez(file, sample_ids=sample_ids, probs=probs)
    app_context.publish([stored_path(app_context, stored)])
    return replace(settings, stored=stored), {"model": path.name}


def _of_classes(path: Path, classes: ClassState, ids: Path | None) -> tuple[Probabilities, list[int]]:
    """Return the probabilities in a file and the class of each column: the offered ones, or also merged ones."""
    try:
        return read_probabilities(path, classes.offered_names, ids), list(classes.offered)
    except DatasetError as error:
        every = [one for one in classes.ordered if one not in classes.retired]
        if not classes.merged:
            raise
        try:
            return read_probabilities(path, [classes.names[one] for one in every], ids), every
        except DatasetError:
            raise error from None


def _added_up(probs: FloatArray, columns: Sequence[int], merged: Mapping[int, int], classes: int) -> FloatArray:
    """Return probabilities by class id, (N, K), those of merged classes added to the targets."""
    found = np.zeros((len(probs), classes), np.float32)
    for place, one in enumerate(columns):
        found[:, merged.get(one, one)] += probs[:, place]
    return found


_PREPARE = {Task.CLASSIFICATION: _prepare_labels, Task.SEGMENTATION: _prepare_masks}


def _remove_abandoned(app_context: AppContext, waiting: Collection[str | None]) -> None:
    """Remove copies of cancelled, failed or refused rounds, which no queued round needs."""
    for path in stored_path(app_context, "").parent.glob("*.npz"):
        with suppress(FileNotFoundError):
            if path.stem not in waiting and time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                app_context.remove(path)


def _refuse_other_order(
    path: Path, found: Probabilities, probs: FloatArray, labels: IntArray, classes: list[str]
) -> None:
    """Raise `DatasetError` if unnamed columns match the labels much better in another order."""
    known = labels != NO_LABEL
    if found.named or known.sum() < _FEW:
        return
    count = len(classes)
    confusion = np.bincount(labels[known] * count + probs[known].argmax(axis=1), minlength=count**2)
    better = better_order(confusion.reshape(count, count))
    if better is not None:
        raise DatasetError(
            f"{path.name} does not name its columns. In the dataset's order ({some_names(classes)}) {better[0]:.0%} of "
            f"the labels agree with it, in another order {better[1]:.0%}",
            "save it as a table with a column named for each class",
        )


def export(app_context: AppContext, round_id: int, target: Path, *, archives: bool = False) -> int:
    """Write the out-of-fold predictions of a finished round so that they can be imported; return the number of images.

    Those of class labels become a file, in the format of its extension, those of masks a folder of PNGs, or of a
    `.npz` per image with `archives`.

    Raises:
        RoundError: the round has none.
        ExportError: the target exists, or its name has no known extension.
    """
    refuse_outside(app_context, target)
    with app_context.database.read() as session:
        info = rounds.get_round(session, round_id)
        task = snapshots.task_of(session, info.dataset_id)
        names = snapshots.names_of(session, info.dataset_id)
    return _EXPORT[task](app_context, info, target, names, archives=archives)


def exports_likeliest(app_context: AppContext, round_id: int) -> bool:
    """Return whether a round stores only the likeliest classes, so that its export estimates the others."""
    return keeps_likeliest(app_context.round_folder(round_id))


def _export_labels(
    app_context: AppContext, info: RoundInfo, target: Path, names: Mapping[int, str], *, archives: bool
) -> int:
    if archives:
        raise ExportError("class labels are written to one file", f"call it {target.name}.npz for a .npz")
    refuse_target(target, WRITTEN)
    folder = app_context.round_folder(info.id)
    if not has_probabilities(folder):
        raise RoundError(
            f"{info.name} of {info.dataset} has no class probabilities", "choose a finished round of labels"
        )
    with app_context.database.read() as session:
        classes = datasets.get_dataset(session, info.dataset_id).class_state
    snapshot = Snapshot.load(folder)
    count, ids = len(snapshot.classes), snapshot.sample_ids.tolist()
    kept = np.array([row for row, one in enumerate(ids) if one in names], np.int64)  # images may have vanished since
    shown = list(classes.among(count))  # others were added after the round
    write_probabilities(
        target,
        [names[ids[row]] for row in kept.tolist()],
        _shown_probabilities(info, stored_probabilities(folder, count), kept, classes, shown),
        [classes.names[one] for one in shown],
    )
    return len(kept)


def _shown_probabilities(
    info: RoundInfo, probs: Rows, rows: IntArray, classes: ClassState, shown: Sequence[int]
) -> Iterator[FloatArray]:
    """Yield the probabilities of these rows and of the classes `shown`, block by block, (B, K) float32."""
    count = probs.shape[1]
    for part in [*blocks(rows, count)] or [slice(0)]:
        values = _added_up(probs[rows[part]], range(count), classes.merged, len(classes.names))[:, shown]
        sums = np.cumsum(values, axis=1)[:, -1:]  # term by term, so that a sum does not depend on the block's size
        if not shown or not sums.all():
            raise ExportError(f"{info.name} predicts only a class that was taken back", "start a new round")
        yield values / sums  # they are stored with 16 bits


def _export_masks(
    app_context: AppContext, info: RoundInfo, target: Path, names: Mapping[int, str], *, archives: bool
) -> int:
    refuse_target(target)
    folder = app_context.round_folder(info.id)
    if not info.is_reviewable or not (folder / PREDICTED).is_file():
        raise RoundError(
            f"{info.name} of {info.dataset} has no predicted masks", "choose a finished round of its folds"
        )
    with app_context.database.read() as session:
        dataset = datasets.get_dataset(session, info.dataset_id)
    snapshot = Snapshot.load(folder)
    masks = masks_of(snapshot)
    count, classes = len(snapshot.classes), dataset.class_state
    colours = dataset.colours or ()
    shown = classes.among(count)  # others were added after the round
    table = ClassTable(tuple(classes.names[one] for one in shown), tuple(colours[one] for one in shown))
    places = {one: shown.index(classes.merged.get(one, one)) for one in range(count) if one not in classes.retired}
    kept = [row for row, one in enumerate(snapshot.sample_ids.tolist()) if one in names]
    predictions, store = read_predictions(folder, masks.sizes), MaskStore(app_context.masks)
    labels, sizes = masks.labels, masks.sizes

    def written(row: int) -> WrittenMask:
        predicted, confidence, likely = predictions.of(row)
        name, fold = names[int(snapshot.sample_ids[row])], int(predictions.fold[row])
        try:
            shown_as = renumber_mask(predicted, places, len(table))
        except ValueError as error:
            raise ExportError(f"{info.name}: {error}", "start a new round") from None
        if not labels[row]:
            return WrittenMask(name, fold, shown_as, confidence)
        height, width = sizes[row].tolist()
        given = renumber_mask(read_mask(store, labels[row], height, width, count), places, len(table))
        agreed = np.where(given == shown_as, confidence, likely)  # if classes are merged now
        return WrittenMask(name, fold, shown_as, confidence, given, agreed)

    paths = [names[int(snapshot.sample_ids[row])] for row in kept]
    return write_predicted(target, map(written, kept), paths, table, archives=archives)


_EXPORT = {Task.CLASSIFICATION: _export_labels, Task.SEGMENTATION: _export_masks}


def export_issues(app_context: AppContext, round_id: int, target: Path) -> int:
    """Write the issues of a finished round of class labels in the columns of cleanlab's Datalab; return the row count.

    Rows are in the order of the images' names; `label_score` is the probability of the given label. Images without a
    label are left out.

    Raises:
        RoundError: the round's labels are masks, or it is not finished.
        ExportError: the target exists.
    """
    refuse_outside(app_context, target)
    refuse_target(target, (".csv",))
    with app_context.database.read() as session:
        info = rounds.get_round(session, round_id)
        if not info.is_reviewable or not has_probabilities(app_context.round_folder(round_id)):
            raise RoundError(
                f"{info.name} of {info.dataset} has no findings of labels", "choose a finished round of labels"
            )
        _, classes = snapshots.dataset_of(session, info.dataset_id)
        labelled = findings.labels_of_round(session, round_id)
    with atomic_path(target) as partial:
        write_csv(partial, (_issue(*row, classes) for row in labelled), ISSUE_COLUMNS)
    return len(labelled)


def _issue(name: str, given: int, pseudo: int, self_confidence: float, classes: list[str]) -> dict[str, Cell]:
    values: tuple[Cell, ...] = (
        name, str(given != pseudo), round(self_confidence, 6), classes[given], classes[pseudo],
    )  # fmt: skip
    return dict(zip(ISSUE_COLUMNS, values, strict=True))
