"""Sharing of a round's steps with other homes: results of a step are published before its row is updated.

Without a store of shared files (`OUTFOLD_FILES_URL`) nothing is published.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from app.services.app_context import AppContext
from core.data.buckets import FOLDER, prune_originals
from core.data.masks.store import MaskStore
from core.data.shared_rounds import (
    fetch_checkpoints,
    fetch_state,
    forget_checkpoints,
    forget_states,
    publish_checkpoints,
    publish_done,
    publish_fold,
    publish_opening,
    publish_shard,
    publish_state,
)
from core.data.snapshot import SNAPSHOT, Snapshot, masks_of
from core.data.store import prune_copies
from core.types import Progress, Report, StorageError, Task
from db.queries import rounds, snapshots
from db.queries.rounds import RoundInfo

log = logging.getLogger("outfold.worker")
CHECKPOINT_SECONDS = 180.0  # between two published states of a piece
CHECKPOINT_SHARE = 0.05  # greatest share of time spent publishing


def ready_folder(app_context: AppContext, round_id: int) -> Path:
    """Return a round's folder with the work of other homes, after fetching its masks in parallel."""
    folder = app_context.round_folder(round_id)
    store = app_context.shared
    if store is not None and (folder / SNAPSHOT).exists():
        snapshot = Snapshot.load(folder)
        masks = MaskStore(app_context.masks)
        store.fetch(masks.path(name) for name in _MASKS[snapshot.task](snapshot))
        store.fetch(map(Path, snapshot.paths))
    return folder


def opened_folder(app_context: AppContext, round_id: int) -> Path:
    """Return a round's folder with its opening files, without later work of other homes."""
    return app_context.round_folder(round_id, opening=True)


def fetch_masks(app_context: AppContext, dataset_id: int) -> None:
    """Fetch the given masks of a dataset that are missing here, in parallel."""
    if (store := app_context.shared) is not None:
        with app_context.database.read() as session:
            samples = snapshots.samples_of(session, dataset_id)
        masks = MaskStore(app_context.masks)
        store.fetch(masks.path(one.mask_hash) for one in samples if one.mask_hash is not None)


def share_opening(app_context: AppContext, round_id: int, digest: str, folder: Path) -> None:
    """Publish the opening files of a round."""
    if (store := app_context.shared) is not None:
        publish_opening(store, round_id, digest, folder)


class SharedCheckpoint:
    """State of a piece under way, published now and then, so that another home continues from it.

    Of a fold it is the checkpoint, of a round that is one piece the whole folder, with the stages that are done.
    """

    def __init__(self, app_context: AppContext, info: RoundInfo, fold: int, attempt: int, report: Report) -> None:
        """Pass progress on to `report`."""
        self._store = app_context.shared
        self._is_alone = rounds.pieces(info.recipe, info.config) == 1
        self._round_id, self._fold, self._attempt = info.id, fold, attempt
        self._report = report
        self._published, self._pause = time.monotonic(), CHECKPOINT_SECONDS

    def fetch(self) -> None:
        """Fetch what another home has published, where this one has no later state."""
        if self._store is not None and self._is_alone:
            fetch_state(self._store, self._round_id, self._attempt)
        elif self._store is not None:
            fetch_checkpoints(self._store, self._round_id, self._fold)

    def report(self, progress: Progress) -> None:
        """Pass progress on, and publish the state if it is time; a store that cannot take it is logged."""
        self._report(progress)
        began = time.monotonic()
        if self._store is None or began - self._published < self._pause:
            return
        try:
            if self._is_alone:
                publish_state(self._store, self._round_id, self._attempt)
            else:
                publish_checkpoints(self._store, self._round_id, self._fold)
        except StorageError as error:
            log.warning("the state of fold %d of round %d stays in this home: %s", self._fold, self._round_id, error)
        self._published = time.monotonic()
        self._pause = max(CHECKPOINT_SECONDS, (self._published - began) / CHECKPOINT_SHARE)

    def forget(self) -> None:
        """Remove what is published, after the piece has ended."""
        if self._store is not None and self._is_alone:
            forget_states(self._store, self._round_id)
        elif self._store is not None:
            forget_checkpoints(self._store, self._round_id, self._fold)


def share_piece(app_context: AppContext, info: RoundInfo, fold: int, attempt: int) -> None:
    """Publish the files of an attempt at a piece of a round."""
    if (store := app_context.shared) is not None:
        alone = rounds.pieces(info.recipe, info.config) == 1
        publish_fold(store, info.id, fold, attempt, alone=alone)


def share_shard(app_context: AppContext, round_id: int, shard: int, attempt: int) -> None:
    """Publish a shard made by an attempt."""
    if (store := app_context.shared) is not None:
        publish_shard(store, round_id, shard, attempt)


def share_finished(app_context: AppContext, round_id: int) -> None:
    """Publish all files kept by a judged round."""
    if (store := app_context.shared) is not None:
        publish_done(store, round_id)


def make_room(app_context: AppContext) -> None:
    """Remove copies of shared files and of bucket images beyond their budgets; later if the store is unreachable."""
    buckets = app_context.files / FOLDER
    if buckets.is_dir():
        prune_originals(buckets, app_context.settings.cache_bytes)
    if (store := app_context.shared) is not None:
        try:
            prune_copies(store)
        except StorageError as error:
            log.warning("copies of shared files stay for now: %s", error)


def _mask_names(snapshot: Snapshot) -> Collection[str]:
    masks = masks_of(snapshot)
    return {*masks.labels, *masks.settled} - {""}


_MASKS: Mapping[Task, Callable[[Snapshot], Collection[str]]] = {
    Task.CLASSIFICATION: lambda _: (),
    Task.SEGMENTATION: _mask_names,
}
