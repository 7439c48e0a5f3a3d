"""Steps of a job's process, one per command. Every step may be killed at any moment and repeated.

`should_stop` is asked between two batches. A round's findings are written while it still runs, in short transactions,
and become visible by the last one, which also ends the round, so that no partial round is ever visible.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.imports.buckets import list_once
from app.services.masks.history import note_round
from app.services.recipes import RECIPES
from app.services.recipes.entry import RoundContext, ShouldStop
from app.services.rounds.networks import prune_networks
from app.services.rounds.snapshots import current_snapshot, extended_snapshot, store_changes, stored_changes
from app.worker.finding_writer import FindingWriter, OvertakenError, forget_unshown, note_file, store_findings
from app.worker.sharing import (
    SharedCheckpoint,
    fetch_masks,
    opened_folder,
    ready_folder,
    share_finished,
    share_opening,
    share_piece,
    share_shard,
)
from core.config import RoundConfig, Weights
from core.data.array_cache import prune
from core.data.networks import hash_of_piece
from core.data.shards import count_shards, remove_shards
from core.data.snapshot import Snapshot
from core.data.storage import flush, is_partial_of, temporary_folder
from core.judge.found import Found, Judged
from core.types import Act, IntArray, JobStatus, OutfoldError, Progress, Recipe, Report, RoundCancelledError
from db.loading import NewFinding
from db.queries import agreeing, datasets, decisions, evaluation, findings, projection, rounds, snapshots
from db.queries.rounds import RoundInfo

if TYPE_CHECKING:
    from core.embedding import EmbedImages

STAGE_SECONDS = 1.0
_NO_SAMPLE = -1
DEVICE, _THEN = "device", ", then "  # key in the versions; separator of a resumed round's devices
REPORT_SECONDS = 0.5
CANCEL_SECONDS = 0.5


def take_snapshot(app_context: AppContext, should_stop: ShouldStop, *, round_id: int) -> None:
    """Freeze the labels the round opens with: decided ones where people decided, else given ones.

    Everything is written beside the round's folder and moved into place at once. An open round is left as it is, with
    the results of its folds.
    """
    if _is_open(app_context, round_id):
        _begin(app_context, round_id, rounds.WAITING)  # a resumed round
        return
    info = _begin(app_context, round_id, "collecting the labels")
    note = _StageProgress(app_context, round_id, "collecting the labels")
    fetch_masks(app_context, info.dataset_id)
    with temporary_folder(app_context.own_round_folder(round_id)) as folder:
        try:
            digest = _freeze(RoundContext(app_context, info, folder, note.report, should_stop))
            share_opening(app_context, round_id, digest, folder)
        except (OutfoldError, OSError):
            if _is_open(app_context, round_id):
                return  # by another worker, whose round must not be ended here
            raise
        _put_in_place(app_context, round_id, folder, digest)


def _freeze(context: RoundContext) -> str:
    """Write the snapshot and the recipe's inputs, and return the snapshot's hash."""
    recipe = RECIPES[context.info.recipe]
    name, snapshot, counts = current_snapshot(context.app_context, context.info.dataset_id)
    taken = extended_snapshot(context, snapshot)
    if taken is None:
        recipe.refuse_labels(name, snapshot.classes, counts, context.config)
    snapshot = snapshot if taken is None else taken
    digest = snapshot.save(context.folder)
    store_changes(context, snapshot)
    recipe.open(context, snapshot)
    return digest


def _put_in_place(app_context: AppContext, round_id: int, made: Path, digest: str) -> None:
    """Move a folder into the round's place and mark the round as open, unless it is open already or has ended."""
    folder = app_context.own_round_folder(round_id)
    count = count_shards(made)
    with app_context.database.write() as session:
        info = rounds.get_round(session, round_id)
        if info.status is not JobStatus.RUNNING or info.snapshot_hash is not None:
            return
        shutil.rmtree(folder, ignore_errors=True)  # left by an earlier database
        made.rename(folder)
        flush(folder.parent)
        rounds.set_facts(session, round_id, {"snapshot_hash": digest, "stage": rounds.WAITING})
        rounds.add_shards(session, round_id, count)
    for left in folder.parent.iterdir():
        if is_partial_of(left, folder):  # of an interrupted attempt
            shutil.rmtree(left, ignore_errors=True)


def train_fold(app_context: AppContext, should_stop: ShouldStop, *, round_id: int, fold: int) -> None:
    """Train and predict one fold unless it is done; resumes from the last epoch's checkpoint."""
    with app_context.database.read() as session:
        asked = rounds.get_round(session, round_id)
    ranks = app_context.settings.devices_per_fold if asked.recipe is Recipe.CROSS_FOLD else 1
    made_with = _versions(asked, ranks)
    with app_context.database.write() as session:
        attempt = rounds.begin_fold(session, round_id, fold, datetime.now(UTC))
        info = rounds.get_round(session, round_id)
        if attempt is None:
            return
        rounds.set_facts(session, round_id, {"stage": "training", "versions": _with_earlier(made_with, info)})
    held = HeldPiece(
        app_context,
        write=lambda session, progress, now: rounds.write_fold(session, round_id, fold, attempt, progress, now=now),
        holds=lambda session: rounds.holds_fold(session, round_id, fold, attempt),
    )
    try:
        list_once(app_context, info)
        folder = ready_folder(app_context, round_id)
        checkpoint = SharedCheckpoint(app_context, info, fold, attempt, held.report)
        checkpoint.fetch()
        smaller = _with_noted_batch(info, "fold", fold, held.report)
        context = RoundContext(app_context, smaller, folder, checkpoint.report, lambda: should_stop() or held.is_lost())
        RECIPES[info.recipe].learn(context, fold)
        share_piece(app_context, info, fold, attempt)
        checkpoint.forget()
    except RoundCancelledError:
        if not held.is_lost():
            raise
        return  # the round was cancelled, or a newer attempt trains the fold
    model_hash = hash_of_piece(folder, fold)
    if asked.recipe.runs_networks and any(network.weights is Weights.PRETRAINED for network in context.config.networks):
        made_with = _versions(asked, ranks)  # with the hashes of weights that were downloaded meanwhile
    with app_context.database.write() as session:
        info = rounds.get_round(session, round_id)
        rounds.set_facts(session, round_id, {"versions": _with_earlier(made_with, info)})
        rounds.end_fold(session, round_id, fold, attempt, datetime.now(UTC), model_hash=model_hash)


def make_shard(app_context: AppContext, should_stop: ShouldStop, *, round_id: int, shard: int) -> None:
    """Decode and embed the images of one shard of a round over a frozen network, unless it is done."""
    from core.embedding import embed_shard  # noqa: PLC0415  # torch, which imports and exports must not pay for

    with app_context.database.read() as session:
        asked = rounds.get_round(session, round_id)
    made_with = _versions(asked)
    with app_context.database.write() as session:
        attempt = rounds.begin_shard(session, round_id, shard, datetime.now(UTC))
        info = rounds.get_round(session, round_id)
        if attempt is None:
            return
        rounds.set_facts(session, round_id, {"stage": "embedding", "versions": _with_earlier(made_with, info)})
    held = HeldPiece(
        app_context,
        write=lambda session, progress, now: rounds.write_shard(session, round_id, shard, attempt, progress, now=now),
        holds=lambda session: rounds.holds_shard(session, round_id, shard, attempt),
    )
    try:
        list_once(app_context, info)
        folder = opened_folder(app_context, round_id)
        smaller = _with_noted_batch(info, "shard", shard, held.report)
        embed_shard(
            folder,
            RoundConfig.from_json(smaller.config),
            shard,
            image_cache=app_context.image_caches,
            report=held.report,
            should_stop=lambda: should_stop() or held.is_lost(),
            embed=_embedding_on(app_context.settings.ray_address),
        )
        share_shard(app_context, round_id, shard, attempt)
    except RoundCancelledError:
        if not held.is_lost():
            raise
        return  # the round was cancelled, or a newer attempt makes the shard
    with app_context.database.write() as session:
        rounds.end_shard(session, round_id, shard, attempt, datetime.now(UTC))
    prune(app_context.image_caches, app_context.settings.cache_bytes)  # decoded images of all shards may not fit


def _embedding_on(ray_address: str) -> "EmbedImages | None":
    """Return the function that embeds images on a Ray cluster, None if this process does it."""
    if not ray_address:
        return None
    from core.cluster import embed_on_cluster  # noqa: PLC0415  # torch, as above

    return embed_on_cluster(ray_address)


def _with_noted_batch(info: RoundInfo, kind: str, number: int, report: Report) -> RoundInfo:
    """Return the round with the batch size stored for a piece whose process was killed for lack of memory."""
    batch = rounds.noted_batch(info, kind, number)
    if batch is None:
        return info
    config = RoundConfig.from_json(info.config)
    share = config.batch_size // batch
    members = tuple(replace(one, batch_size=max(1, one.batch_size // share)) for one in config.members)
    message = f"killed, most likely out of memory: batch halved to {batch}"
    report(Progress("starting", number, config.folds, batch_size=batch, message=message))
    return replace(info, config=replace(config, batch_size=batch, members=members).to_json())


def judge(app_context: AppContext, should_stop: ShouldStop, *, round_id: int) -> None:
    """Judge all labels by the folds' predictions and write the findings; the last transaction makes them visible."""
    info = _begin(app_context, round_id, "judging the labels")
    writer = FindingWriter(app_context, round_id)
    note = _StageProgress(app_context, round_id, "judging the labels")
    folder = ready_folder(app_context, round_id)
    judged = RECIPES[info.recipe].judge(RoundContext(app_context, info, folder, note.report, should_stop))
    try:
        _show(app_context, info, writer, judged, should_stop)
    except OvertakenError:  # the round was cancelled, or another worker has taken it over
        forget_unshown(app_context, round_id)
        return
    prune(app_context.image_caches, app_context.settings.cache_bytes)
    prune_networks(app_context, info.dataset_id)


def _show(
    app_context: AppContext, info: RoundInfo, writer: FindingWriter, judged: Judged, should_stop: ShouldStop
) -> None:
    """Write the findings and end the round."""
    folder = app_context.own_round_folder(info.id)
    snapshot = Snapshot.load(folder)
    rows = _findings(snapshot, judged.found, _splits(app_context, info.dataset_id, snapshot.sample_ids))
    with writer.transaction() as session:
        findings.remove_findings(session, info.id)  # of an interrupted attempt
        rounds.set_facts(session, info.id, {"stage": "writing the findings"})
    with app_context.database.read() as session:
        agreeing.open_files(session, info.dataset_id, apart_from=info.id)
    in_file = store_findings(writer.transaction, folder, info.id, rows, snapshot.task, len(snapshot), should_stop)
    remove_shards(folder)
    share_finished(app_context, info.id)
    note_file(app_context, writer.transaction, info.id, in_file)
    with writer.transaction() as session:
        agreeing.make_rows(session, agreeing.concerned_samples(session, info.id))  # changes since the last one
        evaluation.update_splits_of_round(session, info.id)  # images may have moved to another split since
        findings.open_findings(session, info.id)
        note_round(app_context, session, info.id)
        asked = _ask_second_opinions(session, info)
        metrics = judged.metrics | stored_changes(folder)
        metrics |= {"second_opinions": asked} if asked else {}
        rounds.set_facts(session, info.id, {"metrics": metrics})
        rounds.end_round(session, info.id, JobStatus.DONE, "", datetime.now(UTC))


def _ask_second_opinions(session: Session, info: RoundInfo) -> int:
    """Request second opinions on a round's open findings whose annotators differ in the source; return their number.

    One act, in the transaction that ends the round. It carries the name of the person who imported the dataset, else of
    the one who started the round. An image is put into second opinion once: after an undo, and in later rounds, it
    keeps its status.
    """
    size = decisions.differing_count(session, info.id)
    if not size:
        return 0
    now = datetime.now(UTC)
    name = datasets.get_dataset(session, info.dataset_id).options.get("by") or info.created_by
    act = decisions.NewChangeset(
        dataset_id=info.dataset_id,
        round_id=info.id,
        annotator_id=decisions.annotator_id(session, name, now),
        act=Act.VERDICT,
        decided_at=now,
        size=size,
        note={decisions.DIFFERING: True},
    )
    changeset_id = decisions.add_changeset(session, act)
    decisions.add_second_opinions(session, changeset_id, info.id)
    projection.project(session, decisions.findings_affected_by(Act.VERDICT, changeset_id))
    return size


def import_images(app_context: AppContext, should_stop: ShouldStop, *, import_id: int) -> None:
    """Run a queued import."""
    from app.services.imports import jobs as imports  # noqa: PLC0415  # each process loads only what its job needs

    imports.run_import(app_context, import_id, should_stop=should_stop)


def export_labels(app_context: AppContext, should_stop: ShouldStop, *, export_id: int) -> None:
    """Run a queued export."""
    from app.services.exports import jobs as exports  # noqa: PLC0415

    exports.run_export(app_context, export_id, should_stop=should_stop)


COMMANDS: Mapping[str, Callable[..., None]] = {
    "snapshot": take_snapshot,
    "shard": make_shard,
    "fold": train_fold,
    "judge": judge,
    "import": import_images,
    "export": export_labels,
}

ENDS = frozenset({"judge", "import", "export"})  # end of a job, when making room is not urgent


class HeldPiece:
    """One attempt at a piece of a round: writes its progress, and notices cancellation and takeover."""

    def __init__(
        self,
        app_context: AppContext,
        *,
        write: Callable[[Session, Progress, datetime], bool],
        holds: Callable[[Session], bool],
    ) -> None:
        """Hold the piece; `write` stores progress and `holds` reads the row, False once the attempt is overtaken."""
        self._app_context = app_context
        self._write, self._holds = write, holds
        self._lost = False
        self._written = self._looked = 0.0
        self._last: Progress | None = None

    def report(self, progress: Progress) -> None:
        """Write progress: each new stage or message, else at most twice a second, since writes make verdicts wait."""
        last, now = self._last, time.monotonic()
        is_news = last is None or (last.stage, last.message) != (progress.stage, progress.message)
        if not is_news and now - self._written < REPORT_SECONDS:
            return
        self._last, self._written = progress, now
        with self._app_context.database.write() as session:
            if not self._write(session, progress, datetime.now(UTC)):
                self._lost = True

    def is_lost(self) -> bool:
        """Return whether this attempt was cancelled; reads the row twice a second."""
        now = time.monotonic()
        if not self._lost and now - self._looked >= CANCEL_SECONDS:
            self._looked = now
            with self._app_context.database.read() as session:
                self._lost = not self._holds(session)
        return self._lost


class _StageProgress:
    """Writes the progress of a stage into the round's row, at most once a second."""

    def __init__(self, app_context: AppContext, round_id: int, stage: str) -> None:
        self._app_context = app_context
        self._round_id = round_id
        self._stage = stage
        self._written = time.monotonic()

    def report(self, progress: Progress) -> None:
        """Write the progress."""
        now = time.monotonic()
        if now - self._written < STAGE_SECONDS:
            return
        self._written = now
        with self._app_context.database.write() as session:
            rounds.set_facts(session, self._round_id, {"stage": f"{self._stage}: {progress.fraction:.0%}"})


def _versions(info: RoundInfo, ranks: int = 1) -> dict[str, Any]:
    """Return the current versions and training device; reads a weights file, so call it outside of transactions."""
    if not info.recipe.runs_networks:
        return info.versions or {}
    from core.rounds import versions  # noqa: PLC0415  # torch, which imports and exports must not pay for

    return versions(config=RoundConfig.from_json(info.config), ranks=ranks)


def _with_earlier(now: dict[str, Any], info: RoundInfo) -> dict[str, Any]:
    """Return the versions combined with those in the round's row.

    A resumed round may continue on another device: both are named, the first one first.
    """
    before = info.versions or {}
    devices = [*before.get(DEVICE, "").split(_THEN), now.get(DEVICE, "")]
    named = _THEN.join(dict.fromkeys(filter(None, devices)))
    return {**now, **({DEVICE: named} if named else {}), **rounds.noted(before)}


def _begin(app_context: AppContext, round_id: int, stage: str) -> RoundInfo:
    with app_context.database.write() as session:
        if not rounds.begin_round(session, round_id, stage, datetime.now(UTC)):
            raise RoundCancelledError(f"round {round_id} was cancelled")
        return rounds.get_round(session, round_id)


def _is_open(app_context: AppContext, round_id: int) -> bool:
    """Return whether the round has its snapshot."""
    with app_context.database.read() as session:
        return rounds.get_round(session, round_id).snapshot_hash is not None


def _splits(app_context: AppContext, dataset_id: int, sample_ids: IntArray) -> tuple[list[str], IntArray]:
    """Return the names of splits, "" first, and the index of each sample's current split, (N,)."""
    known, codes = {"": 0}, np.zeros(len(sample_ids), np.int32)
    order = np.argsort(sample_ids, kind="stable")
    ordered = np.append(sample_ids[order], _NO_SAMPLE)
    with app_context.database.read() as session:
        for numbers, splits in snapshots.split_columns(session, dataset_id):
            own = np.array([known.setdefault(split, len(known)) for split in splits], np.int32)
            places = np.searchsorted(ordered[:-1], numbers)
            here = ordered[places] == np.array(numbers)
            codes[order[places[here]]] = own[here]
    return list(known), codes


def _findings(snapshot: Snapshot, found: Iterable[Found], splits: tuple[list[str], IntArray]) -> Iterator[NewFinding]:
    """Yield the rows to store; `found` comes most suspicious first."""
    names, codes = splits
    for rank, one in enumerate(found):
        sample_id = int(snapshot.sample_ids[one.row])
        x, y, width, height = (None,) * 4 if one.region is None else one.region.box
        yield NewFinding(
            sample_id=sample_id,
            row=one.row,
            rank=rank,
            kind=one.kind,
            given=one.given,
            pseudo=one.pseudo,
            confidence=one.confidence,
            self_confidence=one.self_confidence,
            margin=one.margin,
            fold=one.fold,
            split=names[codes[one.row]],
            top=one.top,
            similarity_rank=one.similarity_rank,
            contradicting=one.contradicting,
            x=x,
            y=y,
            width=width,
            height=height,
            area=None if one.region is None else one.region.area,
            region=None if one.region is None else one.region.to_bytes(),
        )
