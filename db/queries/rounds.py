"""Rounds: how they start, what is known of them, how they end.

A write to a round that has ended (cancelled, failed) changes nothing and returns False: the row decides, not the
process that thinks it still works.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.orm import Session

from core.types import Recipe, RoundError, RoundStatus, Task
from db.models import DatasetRow, FindingCountRow, FoldRunRow, RoundRow

_UNFINISHED = (RoundStatus.QUEUED, RoundStatus.RUNNING)


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
    status: RoundStatus
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
        """Whether it is done and has findings."""
        return self.status is RoundStatus.DONE and self.recipe.finds


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
    last = session.scalar(select(func.max(RoundRow.number)).where(RoundRow.dataset_id == dataset_id))
    row = RoundRow(
        dataset_id=dataset_id,
        number=(last or 0) + 1,
        recipe=recipe,
        config=dict(config),
        recipe_config=None if recipe_config is None else dict(recipe_config),
        status=RoundStatus.QUEUED,
        stage="waiting for the worker",
        created_by=by,
        created_at=now,
    )
    session.add(row)
    session.flush()
    folds = [
        {"round_id": row.id, "fold": fold, "attempt": 0, "status": RoundStatus.QUEUED}
        for fold in range(pieces(recipe, config))
    ]
    session.execute(insert(FoldRunRow), folds)
    return row.id


def pieces(recipe: Recipe, config: Mapping[str, Any]) -> int:
    """Return how many pieces of work a round has, each done by one process from beginning to end."""
    return int(config["folds"]) if recipe is Recipe.CROSS_FOLD else 1


def get_round(session: Session, round_id: int) -> RoundInfo:
    """Return a round.

    Raises:
        RoundError: there is none with this id.
    """
    found = session.execute(_rounds().where(RoundRow.id == round_id)).one_or_none()
    if found is None:
        msg = f"there is no round {round_id}; choose one on the Rounds page"
        raise RoundError(msg)
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
    """Return what a finished round measured, None before."""
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
    """Note that the round runs, at this stage; a resumed round keeps its start."""
    values = {
        "status": RoundStatus.RUNNING,
        "stage": stage,
        "started_at": func.coalesce(RoundRow.started_at, now),
    }
    return _change_round(session, round_id, values)


def set_facts(session: Session, round_id: int, facts: Mapping[str, Any]) -> bool:
    """Write what became known of a running round: stage, snapshot_hash, versions, metrics."""
    return _change_round(session, round_id, facts)


def end_round(session: Session, round_id: int, status: RoundStatus, message: str, now: datetime) -> bool:
    """End an unfinished round and its unfinished folds; an ended one stays as it is."""
    values = {"status": status, "stage": status.value, "message": message, "finished_at": now}
    if not _change_round(session, round_id, values):
        return False
    left = RoundStatus.CANCELLED if status is RoundStatus.CANCELLED else RoundStatus.FAILED
    session.execute(
        update(FoldRunRow)
        .where(FoldRunRow.round_id == round_id, FoldRunRow.status.in_(_UNFINISHED))
        .values(status=left, finished_at=now)
    )
    return True


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
