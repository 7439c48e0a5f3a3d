"""The folds of rounds: who does one, how far it is.

Whoever runs a fold holds an attempt number; a write with an older one changes nothing and returns False, and so does
any write to a fold of a round that has ended: the row decides, not the process that thinks it still works.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.types import Progress, RoundStatus
from db.models import FoldRunRow, RoundRow


@dataclass(frozen=True, slots=True)
class FoldRun:
    """How far one fold is; `fraction` from 0 to 1."""

    fold: int
    attempt: int
    status: RoundStatus
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
    finished_at: datetime | None


def folds_of(session: Session, round_id: int) -> list[FoldRun]:
    """Return a round's folds in their order."""
    columns = [getattr(FoldRunRow, name) for name in FoldRun.__dataclass_fields__]
    query = select(*columns).where(FoldRunRow.round_id == round_id).order_by(FoldRunRow.fold)
    return [FoldRun(*found) for found in session.execute(query)]


def begin_fold(session: Session, round_id: int, fold: int, now: datetime) -> int | None:
    """Take a fold up and return the new attempt's number; None when it is done or the round has ended."""
    running = select(RoundRow.id).where(RoundRow.id == round_id, RoundRow.status == RoundStatus.RUNNING)
    taken = session.execute(
        update(FoldRunRow)
        .where(FoldRunRow.round_id.in_(running), FoldRunRow.fold == fold, FoldRunRow.status != RoundStatus.DONE)
        .values(
            attempt=FoldRunRow.attempt + 1,
            status=RoundStatus.RUNNING,
            stage="starting",
            started_at=now,
            updated_at=now,
            finished_at=None,
        )
        .returning(FoldRunRow.attempt)
    )
    return taken.scalar_one_or_none()


def holds_fold(session: Session, round_id: int, fold: int, attempt: int) -> bool:
    """Whether this attempt is the newest and its fold still runs."""
    held = (FoldRunRow.attempt == attempt) & (FoldRunRow.status == RoundStatus.RUNNING)
    query = select(held).where(FoldRunRow.round_id == round_id, FoldRunRow.fold == fold)
    return bool(session.scalar(query))


def write_fold(session: Session, round_id: int, fold: int, attempt: int, progress: Progress, *, now: datetime) -> bool:
    """Write how far a running fold is; False when this attempt has been overtaken or the round has ended."""
    values: dict[str, Any] = {
        "stage": progress.stage,
        "epoch": progress.epoch,
        "epochs": progress.epochs,
        "fraction": progress.fraction,
        "updated_at": now,
    }
    for name in ("loss", "accuracy", "images_per_second", "batch_size", "message"):
        known = getattr(progress, name)
        if known not in (None, ""):  # told now and then; the reports in between do not take it back
            values[name] = known
    return _change_fold(session, round_id, fold, attempt, values)


def end_fold(
    session: Session, round_id: int, fold: int, attempt: int, now: datetime, *, model_hash: str | None = None
) -> bool:
    """Note that a fold is done, and the hash of the network that is kept of it, if one is."""
    values: dict[str, Any] = {
        "status": RoundStatus.DONE,
        "stage": "done",
        "fraction": 1.0,
        "model_hash": model_hash,
        "updated_at": now,
        "finished_at": now,
    }
    return _change_fold(session, round_id, fold, attempt, values)


def _change_fold(session: Session, round_id: int, fold: int, attempt: int, values: Mapping[str, Any]) -> bool:
    changed = session.execute(
        update(FoldRunRow)
        .where(
            FoldRunRow.round_id == round_id,
            FoldRunRow.fold == fold,
            FoldRunRow.attempt == attempt,
            FoldRunRow.status == RoundStatus.RUNNING,
        )
        .values(**values)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]
