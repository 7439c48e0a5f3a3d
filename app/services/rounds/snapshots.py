"""Snapshot of a round: the labels it opens with, and their changes since the given labels and the previous round.

A round opens with the current labels: decided ones where people decided, else given ones. A round that extends a
finished one opens with that round's snapshot and the results of its networks: the files are linked (copied where the
disk cannot link) into the folder that becomes the round's in one step, so a killed opening leaves nothing behind.

Changes are computed when the round opens, stored in its folder, and added to its metrics at its end, so pages
read no files for them. If they cannot be computed the round continues without them.
"""

import json
import logging
import os
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from app.services.app_context import AppContext
from app.services.evaluation import lookalikes
from app.services.masks import current as masks
from app.services.masks.history import seen_version
from app.services.recipes.entry import RoundContext
from core.config import RoundConfig
from core.data.children import cores
from core.data.masks.store import MaskStore, classes_in
from core.data.networks import network_folder
from core.data.predictions import BACKBONE_CHECK, DECAY, EMBEDDINGS, fold_file
from core.data.snapshot import SNAPSHOT, BoolArray, Snapshot, SnapshotMasks, sample_ids_in
from core.data.storage import write_atomically
from core.data.texts import Texts, TextsBuilder
from core.data.windows import window_option
from core.judge.label_changes import label_changes
from core.judge.review import CurrentLabels
from core.types import NO_LABEL, IntArray, JobStatus, OutfoldError, Recipe, RoundCancelledError, RoundError, Task
from db.queries import datasets, decisions, rounds, snapshots, tags
from db.queries.datasets import DatasetInfo
from db.queries.rounds import RoundInfo
from db.queries.snapshots import LabelCounts, Sample
from db.queries.tags import Tagging

_NETWORKS = "*.safetensors", "*.network.json"
log = logging.getLogger("outfold.worker")
_CHANGES_FILE = "label_changes.json"


@dataclass(frozen=True, slots=True)
class _Read:
    """Labels of a dataset as a snapshot without window and protection, and the number of images of each class.

    `evaluated` are the ids of the images of its evaluation splits.
    """

    info: DatasetInfo
    snapshot: Snapshot
    counts: LabelCounts
    evaluated: IntArray


@dataclass(frozen=True, slots=True)
class _Reader:
    """Functions that read one kind of label.

    `current` are the labels as decided, `given` the given ones, `trainable` the given ones with a class
    for each mask.
    """

    current: Callable[[AppContext, int], _Read]
    given: Callable[[AppContext, int], _Read]
    trainable: Callable[[AppContext, int], _Read]


def current_snapshot(app_context: AppContext, dataset_id: int) -> tuple[str, Snapshot, LabelCounts]:
    """Return a dataset's name, its current labels or masks, and the count of images of each class."""
    read = _reader(app_context, dataset_id).current(app_context, dataset_id)
    return read.info.name, _protected(app_context, read), read.counts


def given_labels(app_context: AppContext, dataset_id: int) -> Snapshot:
    """Return a dataset's given labels or masks."""
    read = _reader(app_context, dataset_id).given(app_context, dataset_id)
    return replace(read.snapshot, window=window_option(read.info.options))


def given_snapshot(app_context: AppContext, dataset_id: int) -> Snapshot:
    """Return the given labels for training: with the rarest class of each mask as its label, and protected samples."""
    return _protected(app_context, _reader(app_context, dataset_id).trainable(app_context, dataset_id))


def extended_snapshot(context: RoundContext, now: Snapshot) -> Snapshot | None:
    """Link a finished round's files into the folder of the round that extends it and return its snapshot, else None.

    `now` is the current snapshot: none of its evaluation splits may have been trained on, and no image may have changed
    since. Images may have moved.

    Raises:
        RoundError: the round's files or images are gone, images have changed, or an evaluation split was trained on.
    """
    before = extended_round(context.app_context, context.info)
    if before is None:
        return None
    refuse_extension(context.app_context, before, context.config)
    folder = context.app_context.round_folder(before.id)
    snapshot = Snapshot.load(folder)
    snapshot = _with_current_paths(snapshot, now, before.name)
    protected = np.intersect1d(now.sample_ids[~now.learnable], snapshot.sample_ids[snapshot.learnable])
    if len(protected):
        raise RoundError(
            f"{before.name} was trained on {len(protected):,} images that are of an evaluation split now",
            "start a new round with all networks",
        )
    config = RoundConfig.from_json(before.config)
    for number in range(len(config.networks)):
        own, new = network_folder(folder, number), network_folder(context.folder, number)
        new.mkdir(exist_ok=True)
        for fold in range(config.folds):
            _link(fold_file(own, fold), new)
        for path in (own / DECAY, own / BACKBONE_CHECK, *(path for pattern in _NETWORKS for path in own.glob(pattern))):
            if path.exists():
                _link(path, new)
    if (folder / EMBEDDINGS).exists():
        _link(folder / EMBEDDINGS, context.folder)
    return snapshot


def extended_round(app_context: AppContext, info: RoundInfo) -> RoundInfo | None:
    """Return the round that another one extends, None if it extends none.

    Raises:
        RoundError: it is gone.
    """
    number = (info.recipe_config or {}).get("extends", 0) if info.recipe.in_folds else 0
    if not number:
        return None
    with app_context.database.read() as session:
        listed = rounds.list_rounds(session, info.dataset_id)
    found = next((one for one in listed if one.number == number and one.id != info.id), None)
    if found is None:
        raise RoundError(f"{info.dataset} has no round {number} that could be extended", "start a new round")
    return found


def refuse_extension(app_context: AppContext, info: RoundInfo, config: RoundConfig) -> None:
    """Raise `RoundError` if a round of this config cannot use the results of another one's networks."""
    if info.status is not JobStatus.DONE or not info.recipe.in_folds:
        raise RoundError(
            f"{info.name} of {info.dataset} ({info.recipe}, {info.status}) cannot be extended",
            f"choose a finished {Recipe.CROSS_FOLD} round",
        )
    before = RoundConfig.from_json(info.config)
    if config.networks[: len(before.networks)] != before.networks:
        raise RoundError(f"{info.name} trained other networks, or by other folds", "start a new round with all of them")
    folder = app_context.round_folder(info.id)
    missing = [path for path in _learnt(folder, before) if not path.exists()]
    if missing:
        raise RoundError(
            f"{missing[0]} is gone, in which {info.name} kept what its network learnt",
            "put it back from a copy, or start a new round with all networks",
        )
    refuse_removed(app_context, info, sample_ids_in(folder).tolist())


def refuse_removed(app_context: AppContext, info: RoundInfo, sample_ids: Sequence[int]) -> None:
    """Check that no image of a round's snapshot was removed since.

    Raises:
        RoundError: some were, so they can have no findings.
    """
    with app_context.database.read() as session:
        gone = len(sample_ids) - len(snapshots.present_ids(session, info.dataset_id, sample_ids))
    if gone:
        words = f"{gone:,} {'image' if gone == 1 else 'images'} of {info.name} {'was' if gone == 1 else 'were'}"
        raise RoundError(f"{words} removed", "restore them on the Datasets page, or start a new round")


def store_changes(context: RoundContext, snapshot: Snapshot) -> None:
    """Compare a round's snapshot with the given labels and the previous round's, and store the changes."""
    app_context, info = context.app_context, context.info
    before = _previous_round(app_context, info)
    masks = MaskStore(app_context.masks)

    def compare(read: Callable[[], Snapshot]) -> dict[str, Any] | None:
        try:
            return label_changes(read(), snapshot, masks, context.should_stop).to_json()
        except RoundCancelledError:
            raise
        except OutfoldError as error:
            log.warning("round %s: its labels cannot be compared: %s", info.id, error)
            return None

    changes: dict[str, Any] = {"given": compare(lambda: given_labels(app_context, info.dataset_id)), "before": None}
    if before is not None:
        found = compare(lambda: Snapshot.load(app_context.round_folder(before.id)))
        changes["before"] = None if found is None else found | {"round": before.number, "round_id": before.id}
    since = None if before is None else before.started_at
    with app_context.database.read() as session:
        changes["verdicts"] = decisions.verdicts_between(session, info.dataset_id, since, datetime.now(UTC))
    write_atomically(context.folder / _CHANGES_FILE, json.dumps(changes).encode())


def stored_changes(folder: Path) -> dict[str, Any]:
    """Return the stored changes as a part of the round's metrics; empty for rounds of older releases."""
    try:
        return {"label_changes": json.loads((folder / _CHANGES_FILE).read_bytes())}
    except (FileNotFoundError, ValueError):
        return {}


def _reader(app_context: AppContext, dataset_id: int) -> _Reader:
    with app_context.database.read() as session:
        return _READERS[datasets.get_dataset(session, dataset_id).task]


def _protected(app_context: AppContext, read: _Read) -> Snapshot:
    """Return the snapshot with its window, and with evaluation splits and their look-alikes protected."""
    snapshot = replace(read.snapshot, window=window_option(read.info.options))
    if not len(read.evaluated):
        return snapshot
    alike = np.array(lookalikes.find(app_context, read.info.id).others, np.int64)
    protected = np.isin(snapshot.sample_ids, np.concatenate([read.evaluated, alike]))
    return replace(snapshot, protected=protected) if protected.any() else snapshot


def _current_labels(app_context: AppContext, dataset_id: int) -> _Read:
    return _read_classes(app_context, dataset_id, decided=True)


def _given_labels(app_context: AppContext, dataset_id: int) -> _Read:
    return _read_classes(app_context, dataset_id, decided=False)


def _read_classes(app_context: AppContext, dataset_id: int, *, decided: bool) -> _Read:
    """Return classes read directly into flat columns, without an object per image or decision."""
    paths, groups, hashes = TextsBuilder(), TextsBuilder(), TextsBuilder()
    ids, given, evaluated = array("q"), array("i"), array("b")
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        for numbers, places, labels, own_groups, contents, splits in snapshots.label_columns(session, dataset_id):
            ids.extend(numbers)
            given.extend(NO_LABEL if label is None else label for label in labels)
            evaluated.extend(split in info.evaluation_splits for split in splits)
            for texts, column in zip((paths, groups, hashes), (places, own_groups, contents), strict=True):
                texts.extend(column)
        sample_ids: IntArray = np.frombuffer(ids, np.int64)
        own: IntArray = np.frombuffer(given, np.int32)
        unusable = np.zeros(len(own), np.bool_)
        if decided:
            current = CurrentLabels(sample_ids, own)
            for samples, verdicts, chosen, bulk in decisions.live_columns(session, dataset_id):
                current.add(np.array(samples), verdicts, chosen, np.array(bulk, np.bool_))
            own, unusable = current.labels()
    snapshot = Snapshot(sample_ids, paths.build(), own, groups.build(), hashes.build(), list(info.classes))
    within = sample_ids[np.frombuffer(evaluated, np.bool_)]
    if unusable.any():
        snapshot = _take(snapshot, np.flatnonzero(~unusable))
    counts = np.bincount(snapshot.labels[snapshot.labels != NO_LABEL])
    images = {number: int(counts[number]) for number in np.flatnonzero(counts).tolist()}
    return _Read(info, snapshot, LabelCounts(images, sum(images.values())), within)


def _take(snapshot: Snapshot, rows: IntArray) -> Snapshot:
    """Return some of the samples of a snapshot of classes."""
    texts = (Texts.of(one).take(rows) for one in (snapshot.paths, snapshot.groups, snapshot.content_hashes))
    paths, groups, hashes = texts
    return Snapshot(snapshot.sample_ids[rows], paths, snapshot.labels[rows], groups, hashes, snapshot.classes)


def _current_masks(app_context: AppContext, dataset_id: int) -> _Read:
    info, samples = _samples(app_context, dataset_id)
    with app_context.database.read() as session:
        known_tags = tags.tags_by_sample(session, dataset_id)
    snapshot, counts = _mask_snapshot(app_context, samples, info, masks.resolved_masks(app_context, info.id))
    snapshot = replace(snapshot, tags=_tag_matrix(snapshot, known_tags))
    return _Read(info, snapshot, counts, _evaluated(info, samples))


def _given_masks(app_context: AppContext, dataset_id: int) -> _Read:
    info, samples = _samples(app_context, dataset_id)
    names = [_given_mask(app_context, sample, info) for sample in samples]
    own = SnapshotMasks(names, [""] * len(samples), _sizes(samples))
    snapshot = _snapshot(samples, [sample.label for sample in samples], info.classes, own)
    return _Read(info, snapshot, LabelCounts({}, sum(map(bool, names))), _evaluated(info, samples))


def _trainable_masks(app_context: AppContext, dataset_id: int) -> _Read:
    info, samples = _samples(app_context, dataset_id)
    return _Read(info, *_mask_snapshot(app_context, samples, info, {}), _evaluated(info, samples))


def _samples(app_context: AppContext, dataset_id: int) -> tuple[DatasetInfo, list[Sample]]:
    with app_context.database.read() as session:
        return datasets.get_dataset(session, dataset_id), snapshots.samples_of(session, dataset_id)


def _evaluated(info: DatasetInfo, samples: Sequence[Sample]) -> IntArray:
    return np.array([sample.id for sample in samples if sample.split in info.evaluation_splits], np.int64)


def _mask_snapshot(
    app_context: AppContext,
    samples: Sequence[Sample],
    info: DatasetInfo,
    resolved: Mapping[int, masks.ResolvedMask],
) -> tuple[Snapshot, LabelCounts]:
    now = [resolved[one.id].mask_hash if one.id in resolved else _given_mask(app_context, one, info) for one in samples]
    settled = [resolved[one.id].settled_hash if one.id in resolved else "" for one in samples]
    store = MaskStore(app_context.masks)
    with ThreadPoolExecutor(cores()) as threads:  # decoding releases the GIL
        present = list(threads.map(lambda name: classes_in(store.get(name)) if name else [], now))
    counts = Counter(number for found in present for number in found)
    rarest = [min(found, key=lambda number: (counts[number], number), default=None) for found in present]
    labelled = sum(bool(found) for found in present)
    bare = np.array([one.mask_hash is None for one in samples], dtype=bool)
    snapshot = _snapshot(samples, rarest, info.classes, SnapshotMasks(now, settled, _sizes(samples), bare))
    return snapshot, LabelCounts(dict(counts), labelled)


def _given_mask(app_context: AppContext, sample: Sample, info: DatasetInfo) -> str:
    """Return the name of the given mask with merged classes replaced; "" for none."""
    if sample.mask_hash is None or not info.merged_classes:
        return sample.mask_hash or ""
    return seen_version(MaskStore(app_context.masks), sample.mask_hash, info.class_state)


def _snapshot(
    samples: Sequence[Sample],
    labels: Sequence[int | None],
    classes: Sequence[str],
    masks_: SnapshotMasks,
) -> Snapshot:
    return Snapshot(
        sample_ids=np.array([sample.id for sample in samples], dtype=np.int64),
        paths=[sample.path for sample in samples],
        labels=np.array([NO_LABEL if label is None else label for label in labels], dtype=np.int32),
        groups=[sample.group for sample in samples],
        content_hashes=[sample.content_hash for sample in samples],
        classes=list(classes),
        masks=masks_,
    )


def _sizes(samples: Sequence[Sample]) -> IntArray:
    return np.array([(one.height, one.width) for one in samples], dtype=np.int32).reshape(-1, 2)


def _tag_matrix(snapshot: Snapshot, tagged: Mapping[int, Tagging]) -> BoolArray | None:
    """Return the tags of each image, (N, K); None without tags."""
    present = np.zeros((len(snapshot), len(snapshot.classes)), np.bool_)
    for row, sample_id in enumerate(snapshot.sample_ids.tolist()):
        if sample_id in tagged:
            present[row, tagged[sample_id].classes or []] = True
    return present if present.any() else None


def _with_current_paths(snapshot: Snapshot, now: Snapshot, name: str) -> Snapshot:
    """Return the snapshot with the current paths of its images.

    Raises:
        RoundError: an image is gone or has other bytes.
    """
    order = np.argsort(now.sample_ids, kind="stable")
    places = np.searchsorted(now.sample_ids[order], snapshot.sample_ids)
    rows = np.append(order, 0)[places] if len(order) else np.zeros(len(snapshot), np.int64)
    there = np.append(now.sample_ids, -1)[rows] == snapshot.sample_ids
    hashes = Texts.of(now.content_hashes).take(rows[there])
    own = Texts.of(snapshot.content_hashes).take(np.flatnonzero(there))
    lost = int((~there).sum())
    if hashes != own:
        lost += sum(one != other for one, other in zip(hashes, own, strict=True))
    if lost:
        raise RoundError(
            f"{lost:,} images of {name} are gone, left out or changed since", "start a new round with all networks"
        )
    return replace(snapshot, paths=Texts.of(now.paths).take(rows))


def _learnt(folder: Path, config: RoundConfig) -> list[Path]:
    """Return the files that are needed to resume."""
    folds = range(config.folds)
    own = [network_folder(folder, number) for number in range(len(config.networks))]
    return [folder / SNAPSHOT, *(fold_file(one, fold) for one in own for fold in folds)]


def _link(path: Path, folder: Path) -> None:
    """Link a file into a folder: files of rounds are replaced, never modified, so links are safe."""
    try:
        os.link(path, folder / path.name)
    except OSError:  # a disk without hard links, or another disk
        shutil.copyfile(path, folder / path.name)


def _previous_round(app_context: AppContext, info: RoundInfo) -> RoundInfo | None:
    with app_context.database.read() as session:
        listed: Sequence[RoundInfo] = rounds.list_rounds(session, info.dataset_id)
    return next((one for one in listed if one.number < info.number and one.status is JobStatus.DONE), None)


_CLASSES = _Reader(_current_labels, _given_labels, trainable=_given_labels)
_MASKS = _Reader(_current_masks, _given_masks, _trainable_masks)
_READERS: Mapping[Task, _Reader] = {Task.CLASSIFICATION: _CLASSES, Task.SEGMENTATION: _MASKS}
