"""Shards of a round and how far their embedding is, written as folds are (`db.queries.rounds`).

A write to a shard of a round that has ended, or with an older attempt than the newest, changes nothing and returns
False.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from core.types import JobStatus, Progress
from db.models import RoundRow, ShardRunRow


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
    running = select(RoundRow.id).where(RoundRow.id == round_id, RoundRow.status == JobStatus.RUNNING)
    taken = session.execute(
        update(ShardRunRow)
        .where(ShardRunRow.round_id.in_(running), ShardRunRow.shard == shard, ShardRunRow.status != JobStatus.DONE)
        .values(
            attempt=ShardRunRow.attempt + 1,
            status=JobStatus.RUNNING,
            stage="starting",
            fraction=0.0,
            images_per_second=None,
            message="",
            started_at=now,
            updated_at=now,
            finished_at=None,
        )
        .returning(ShardRunRow.attempt)
    )
    return taken.scalar_one_or_none()


def holds_shard(session: Session, round_id: int, shard: int, attempt: int) -> bool:
    """Return whether this attempt is the newest and its shard is still being embedded."""
    held = (ShardRunRow.attempt == attempt) & (ShardRunRow.status == JobStatus.RUNNING)
    query = select(held).where(ShardRunRow.round_id == round_id, ShardRunRow.shard == shard)
    return bool(session.scalar(query))


def write_shard(
    session: Session, round_id: int, shard: int, attempt: int, progress: Progress, *, now: datetime
) -> bool:
    """Write how far a shard is; False when this attempt has been overtaken or the round has ended."""
    values: dict[str, Any] = {"stage": progress.stage, "fraction": progress.fraction, "updated_at": now}
    for name in ("images_per_second", "message"):
        known = getattr(progress, name)
        if known not in (None, ""):  # reported now and then; reports in between keep the last value
            values[name] = known
    return _change(session, round_id, shard, attempt, values)


def end_shard(session: Session, round_id: int, shard: int, attempt: int, now: datetime) -> bool:
    """Note that a shard is done."""
    values = {"status": JobStatus.DONE, "stage": "done", "fraction": 1.0, "updated_at": now, "finished_at": now}
    return _change(session, round_id, shard, attempt, values)


def _change(session: Session, round_id: int, shard: int, attempt: int, values: Mapping[str, Any]) -> bool:
    changed = session.execute(
        update(ShardRunRow)
        .where(
            ShardRunRow.round_id == round_id,
            ShardRunRow.shard == shard,
            ShardRunRow.attempt == attempt,
            ShardRunRow.status == JobStatus.RUNNING,
        )
        .values(**values)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]  # an update's result is a CursorResult
