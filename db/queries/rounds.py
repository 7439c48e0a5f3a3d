"""Rounds and their pieces, which are folds and, of large rounds, shards: start, progress, facts and end.

A write to a round that has ended (cancelled, failed), or to one of its pieces, changes nothing and returns False: the
row decides, not the process that runs it. Whoever runs a piece holds an attempt number; a write with an older attempt
changes nothing either.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.types import JobStatus, Progress, Recipe, RoundError, Task
from db.models import DatasetRow, FindingCountRow, FoldRunRow, RoundRow, ShardRunRow
from db.visibility import WITH_DELETED

WAITING = "waiting for the worker"  # stage of a round, or of its folds, that no worker has taken up
_UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)
_PIECES: tuple[type[FoldRunRow] | type[ShardRunRow], ...] = (FoldRunRow, ShardRunRow)
PAUSED = "paused seconds"  # among the versions of a round that was resumed: it did not work so long
_BATCH = "batch size of {} {}"  # key in the versions if the batch was halved for lack of memory; fold or shard, from 1
_LEAST_BATCH = 4
_UNKNOWN: dict[str, Any] = {
    "epoch": 0, "epochs": 0, "fraction": 0.0, "loss": None, "accuracy": None, "images_per_second": None,
    "batch_size": None, "message": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ShardRun:
    """Progress of a shard; `fraction` from 0 to 1."""

    shard: int
    attempt: int
    status: JobStatus
    stage: str
    fraction: float
    images_per_second: float | None
    message: str
    started_at: datetime | None
    updated_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class RoundInfo:
    """One round without its large results (`metrics`); `accuracy` is out-of-fold, against the labels it opened with."""

    id: int
    dataset_id: int
    dataset: str
    number: int
    recipe: Recipe
    config: dict[str, Any]
    recipe_config: dict[str, Any] | None
    status: JobStatus
    stage: str
    message: str
    accuracy: float | None
    mean_iou: float | None  # of rounds of masks, as `accuracy` of their pixels
    task: Task
    snapshot_hash: str | None
    versions: dict[str, Any] | None
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def name(self) -> str:
        """Return how people call it."""
        return f"Round {self.number}"

    @property
    def is_reviewable(self) -> bool:
        """Return whether it is done and has findings."""
        return self.status is JobStatus.DONE and self.recipe.finds


@dataclass(frozen=True, slots=True)
class FoldRun:
    """Progress of a fold; `fraction` from 0 to 1."""

    fold: int
    attempt: int
    status: JobStatus
    stage: str
    epoch: int
    epochs: int
    fraction: float
    loss: float | None
    accuracy: float | None
    images_per_second: float | None
    batch_size: int | None
    message: str
    model_hash: str | None
    started_at: datetime | None
    updated_at: datetime | None
    finished_at: datetime | None


def add_round(
    session: Session,
    dataset_id: int,
    config: Mapping[str, Any],
    by: str,
    now: datetime,
    *,
    recipe: Recipe = Recipe.CROSS_FOLD,
    recipe_config: Mapping[str, Any] | None = None,
) -> int:
    """Add the dataset's next round and its folds, queued; return its id. Other recipes than folds are one piece."""
    numbers = select(func.max(RoundRow.number)).where(RoundRow.dataset_id == dataset_id)
    last = session.scalar(numbers, execution_options=WITH_DELETED)  # a number is never given twice
    row = RoundRow(
        dataset_id=dataset_id,
        number=(last or 0) + 1,
        recipe=recipe,
        config=dict(config),
        recipe_config=None if recipe_config is None else dict(recipe_config),
        status=JobStatus.QUEUED,
        stage=WAITING,
        created_by=by,
        created_at=now,
    )
    session.add(row)
    session.flush()
    folds = [
        {"round_id": row.id, "fold": fold, "attempt": 0, "status": JobStatus.QUEUED}
        for fold in range(pieces(recipe, config))
    ]
    session.execute(insert(FoldRunRow), folds)
    return row.id


def pieces(recipe: Recipe, config: Mapping[str, Any]) -> int:
    """Return the number of pieces of work of a round, each done by one process from start to end."""
    return int(config["folds"]) if recipe.in_folds else 1


def get_round(session: Session, round_id: int) -> RoundInfo:
    """Return a round.

    Raises:
        RoundError: there is none with this id.
    """
    found = session.execute(_rounds().where(RoundRow.id == round_id)).one_or_none()
    if found is None:
        raise RoundError(f"there is no round {round_id}", "choose one on the Rounds page")
    return RoundInfo(*found)


def list_rounds(session: Session, dataset_id: int | None = None) -> list[RoundInfo]:
    """Return the rounds of one dataset, or of all, newest first."""
    query = _rounds().order_by(RoundRow.id.desc())
    if dataset_id is not None:
        query = query.where(RoundRow.dataset_id == dataset_id)
    return [RoundInfo(*found) for found in session.execute(query)]


def unfinished_rounds(session: Session) -> list[RoundInfo]:
    """Return the rounds that wait or run, oldest first."""
    query = _rounds().where(RoundRow.status.in_(_UNFINISHED)).order_by(RoundRow.id)
    return [RoundInfo(*found) for found in session.execute(query)]


def metrics_of(session: Session, round_id: int) -> dict[str, Any] | None:
    """Return the metrics of a finished round, None before."""
    return session.scalar(select(RoundRow.metrics).where(RoundRow.id == round_id))


def finding_totals(session: Session, round_ids: Iterable[int]) -> dict[int, dict[tuple[int, int], int]]:
    """Return per round how many findings there are by (kind, status)."""
    kind, status = FindingCountRow.kind, FindingCountRow.status
    query = (
        select(FindingCountRow.round_id, kind, status, func.sum(FindingCountRow.count))
        .where(FindingCountRow.round_id.in_(list(round_ids)))
        .group_by(FindingCountRow.round_id, kind, status)
    )
    totals: dict[int, dict[tuple[int, int], int]] = {}
    for round_id, found_kind, found_status, count in session.execute(query):
        totals.setdefault(round_id, {})[int(found_kind), int(found_status)] = count
    return totals


def begin_round(session: Session, round_id: int, stage: str, now: datetime) -> bool:
    """Note that the round runs, at this stage; a resumed round keeps its start, and how long it was paused."""
    known = select(RoundRow.finished_at, RoundRow.versions).where(RoundRow.id == round_id)
    ended, versions = session.execute(known).one()
    values: dict[str, Any] = {
        "status": JobStatus.RUNNING,
        "stage": stage,
        "started_at": func.coalesce(RoundRow.started_at, now),
        "finished_at": None,
    }
    if ended is not None:
        paused = (versions or {}).get(PAUSED, 0.0) + (now - ended).total_seconds()
        values["versions"] = {**(versions or {}), PAUSED: round(paused, 1)}
    return _change_round(session, round_id, values)


def reopen_round(session: Session, round_id: int) -> bool:
    """Queue a cancelled or failed round again, with its unfinished pieces; False if it has another status.

    Its `finished_at` stays until the worker takes it up: the time identifies this resumption.
    """
    ended = RoundRow.status.in_((JobStatus.CANCELLED, JobStatus.FAILED))
    values = {"status": JobStatus.QUEUED, "stage": WAITING, "message": ""}
    changed = session.execute(update(RoundRow).where(RoundRow.id == round_id, ended).values(**values))
    if not changed.rowcount:  # type: ignore[attr-defined]
        return False
    for row in _PIECES:
        session.execute(
            update(row)
            .where(row.round_id == round_id, row.status != JobStatus.DONE)
            .values(status=JobStatus.QUEUED, stage="", finished_at=None)
        )
    return True


def set_facts(session: Session, round_id: int, facts: Mapping[str, Any]) -> bool:
    """Write values of a running round: stage, snapshot_hash, versions, metrics."""
    return _change_round(session, round_id, facts)


def halve_batch(session: Session, round_id: int, kind: str, number: int) -> bool:
    """Halve the batch of a running round's piece of work, for each network; False if it cannot be halved.

    `kind` is "fold" or "shard".
    """
    info = get_round(session, round_id)
    if not info.recipe.in_folds:
        return False
    batch = (noted_batch(info, kind, number) or info.config["batch_size"]) // 2
    if batch < _LEAST_BATCH:
        return False
    noted_size = {_BATCH.format(kind, number + 1): batch}
    return set_facts(session, round_id, {"versions": {**(info.versions or {}), **noted_size}})


def noted_batch(info: RoundInfo, kind: str, number: int) -> int | None:
    """Return the batch size stored for a fold or shard instead of the config's, None without one."""
    batch: int | None = (info.versions or {}).get(_BATCH.format(kind, number + 1))
    return batch


def noted(versions: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the entries among the versions that are not versions: seconds of pauses, halved batches."""
    halved = tuple(_BATCH.format(kind, "") for kind in ("fold", "shard"))
    return {name: value for name, value in (versions or {}).items() if name == PAUSED or name.startswith(halved)}


def has_waiting_fold(session: Session, round_id: int) -> bool:
    """Return whether a fold of a round waits for a worker."""
    waiting = select(FoldRunRow.id).where(FoldRunRow.round_id == round_id, FoldRunRow.status == JobStatus.QUEUED)
    return session.scalar(waiting.limit(1)) is not None


def end_round(session: Session, round_id: int, status: JobStatus, message: str, now: datetime) -> bool:
    """End an unfinished round and its unfinished folds and shards; an ended one stays as it is."""
    values = {"status": status, "stage": status.value, "message": message, "finished_at": now}
    if not _change_round(session, round_id, values):
        return False
    left = JobStatus.CANCELLED if status is JobStatus.CANCELLED else JobStatus.FAILED
    for row in _PIECES:
        session.execute(
            update(row)
            .where(row.round_id == round_id, row.status.in_(_UNFINISHED))
            .values(status=left, finished_at=now)
        )
    return True


def folds_of(session: Session, round_id: int) -> list[FoldRun]:
    """Return a round's folds in their order."""
    columns = [getattr(FoldRunRow, name) for name in FoldRun.__dataclass_fields__]
    query = select(*columns).where(FoldRunRow.round_id == round_id).order_by(FoldRunRow.fold)
    return [FoldRun(*found) for found in session.execute(query)]


def begin_fold(session: Session, round_id: int, fold: int, now: datetime) -> int | None:
    """Take a fold up and return the new attempt's number; None when it is done or the round has ended."""
    return _begin(session, FoldRunRow.fold, round_id, fold, now, _UNKNOWN)


def holds_fold(session: Session, round_id: int, fold: int, attempt: int) -> bool:
    """Return whether this attempt is the newest and its fold still runs."""
    return _holds(session, FoldRunRow.fold, round_id, fold, attempt)


def write_fold(session: Session, round_id: int, fold: int, attempt: int, progress: Progress, *, now: datetime) -> bool:
    """Write how far a running fold is; False when this attempt has been overtaken or the round has ended."""
    values: dict[str, Any] = {
        "stage": progress.stage,
        "epoch": progress.epoch,
        "epochs": progress.epochs,
        "fraction": progress.fraction,
        "updated_at": now,
    }
    values |= _known(progress, ("loss", "accuracy", "images_per_second", "batch_size", "message"))
    return _change_piece(session, FoldRunRow.fold, round_id, fold, attempt, values)


def end_fold(
    session: Session, round_id: int, fold: int, attempt: int, now: datetime, *, model_hash: str | None = None
) -> bool:
    """Note that a fold is done, and the hash of the network that is kept of it, if one is."""
    values: dict[str, Any] = {
        "status": JobStatus.DONE,
        "stage": "done",
        "fraction": 1.0,
        "model_hash": model_hash,
        "updated_at": now,
        "finished_at": now,
    }
    return _change_piece(session, FoldRunRow.fold, round_id, fold, attempt, values)


def add_shards(session: Session, round_id: int, count: int) -> None:
    """Add the shards of a round that opens, queued."""
    rows = [{"round_id": round_id, "shard": shard, "attempt": 0, "status": JobStatus.QUEUED} for shard in range(count)]
    if rows:
        session.execute(insert(ShardRunRow), rows)


def count_shards(session: Session, round_id: int) -> int:
    """Return the number of a round's shards, 0 for a round of one."""
    return session.scalar(select(func.count()).where(ShardRunRow.round_id == round_id)) or 0


def shards_of(session: Session, round_id: int) -> list[ShardRun]:
    """Return a round's shards in their order."""
    columns = [getattr(ShardRunRow, name) for name in ShardRun.__dataclass_fields__]
    query = select(*columns).where(ShardRunRow.round_id == round_id).order_by(ShardRunRow.shard)
    return [ShardRun(*found) for found in session.execute(query)]


def begin_shard(session: Session, round_id: int, shard: int, now: datetime) -> int | None:
    """Take a shard up and return the new attempt's number; None when it is done or the round has ended."""
    unknown = {"fraction": 0.0, "images_per_second": None, "message": ""}
    return _begin(session, ShardRunRow.shard, round_id, shard, now, unknown)


def holds_shard(session: Session, round_id: int, shard: int, attempt: int) -> bool:
    """Return whether this attempt is the newest and its shard is still being embedded."""
    return _holds(session, ShardRunRow.shard, round_id, shard, attempt)


def write_shard(
    session: Session, round_id: int, shard: int, attempt: int, progress: Progress, *, now: datetime
) -> bool:
    """Write how far a shard is; False when this attempt has been overtaken or the round has ended."""
    values: dict[str, Any] = {"stage": progress.stage, "fraction": progress.fraction, "updated_at": now}
    values |= _known(progress, ("images_per_second", "message"))
    return _change_piece(session, ShardRunRow.shard, round_id, shard, attempt, values)


def end_shard(session: Session, round_id: int, shard: int, attempt: int, now: datetime) -> bool:
    """Note that a shard is done."""
    values = {"status": JobStatus.DONE, "stage": "done", "fraction": 1.0, "updated_at": now, "finished_at": now}
    return _change_piece(session, ShardRunRow.shard, round_id, shard, attempt, values)


def _rounds() -> Select[Any]:
    measured = {"accuracy": RoundRow.metrics["accuracy"], "mean_iou": RoundRow.metrics["miou"]}
    elsewhere: dict[str, Any] = {name: value.as_float() for name, value in measured.items()}
    elsewhere |= {"dataset": DatasetRow.name, "task": DatasetRow.task}
    columns = [
        elsewhere[name] if name in elsewhere else getattr(RoundRow, name) for name in RoundInfo.__dataclass_fields__
    ]
    return select(*columns).join(DatasetRow, DatasetRow.id == RoundRow.dataset_id)


def _change_round(session: Session, round_id: int, values: Mapping[str, Any]) -> bool:
    changed = session.execute(
        update(RoundRow).where(RoundRow.id == round_id, RoundRow.status.in_(_UNFINISHED)).values(**values)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]  # an update's result is a CursorResult


def _begin(
    session: Session,
    number: InstrumentedAttribute[int],
    round_id: int,
    piece: int,
    now: datetime,
    unknown: Mapping[str, Any],
) -> int | None:
    """Take up the piece of this number; `unknown` are the figures of an earlier attempt, which are void."""
    row: Any = number.class_
    running = select(RoundRow.id).where(RoundRow.id == round_id, RoundRow.status == JobStatus.RUNNING)
    taken = session.execute(
        update(row)
        .where(row.round_id.in_(running), number == piece, row.status != JobStatus.DONE)
        .values(
            attempt=row.attempt + 1,
            status=JobStatus.RUNNING,
            stage="starting",
            started_at=now,
            updated_at=now,
            finished_at=None,
            **unknown,
        )
        .returning(row.attempt)
    )
    return taken.scalar_one_or_none()


def _holds(session: Session, number: InstrumentedAttribute[int], round_id: int, piece: int, attempt: int) -> bool:
    row: Any = number.class_
    held = (row.attempt == attempt) & (row.status == JobStatus.RUNNING)
    return bool(session.scalar(select(held).where(row.round_id == round_id, number == piece)))


def _change_piece(
    session: Session,
    number: InstrumentedAttribute[int],
    round_id: int,
    piece: int,
    attempt: int,
    values: Mapping[str, Any],
) -> bool:
    row: Any = number.class_
    held = (row.round_id == round_id, number == piece, row.attempt == attempt, row.status == JobStatus.RUNNING)
    return bool(session.execute(update(row).where(*held).values(**values)).rowcount)  # type: ignore[attr-defined]


def _known(progress: Progress, names: Sequence[str]) -> dict[str, Any]:
    """Return what a report says; figures are reported now and then, and in between keep the last value."""
    return {name: value for name in names if (value := getattr(progress, name)) not in (None, "")}
