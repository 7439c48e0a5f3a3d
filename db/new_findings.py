"""Findings as a round makes them, and how they become rows: by the hundred thousand, with ids of our own choice.

Ids are dealt by `reserve_ids` alone, so that a large round may keep a block of ids for findings that have no row yet.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.types import FindingKind, Status
from db.hidden import WITH_DELETED
from db.loading import POSTGRESQL, load_rows, roomy_cache
from db.models import FindingRow, RoundRow
from db.percents import percent_of

_SEQUENCE = f"pg_get_serial_sequence('{FindingRow.__tablename__}', 'id')"


class NewFinding(NamedTuple):
    """One finding as a round makes it; plain Python numbers, `rank` counts from 0 and is unique in the round.

    `x` to `region` belong to a region of a mask: the box around it and its size in pixels, and `Region.to_bytes`.
    `own_given` and `own_pseudo` are the round's classes where `given` and `pseudo` are what these were merged into.
    """

    sample_id: int
    row: int
    rank: int
    kind: FindingKind
    given: int
    pseudo: int
    confidence: float
    self_confidence: float
    margin: float
    fold: int
    split: str
    top: list[list[float]]
    similarity_rank: int | None
    x: int | None = None
    y: int | None = None
    width: int | None = None
    height: int | None = None
    area: int | None = None
    region: bytes | None = None
    contradicting: int | None = None  # networks that contradict the given label, where the round has several
    own_given: int | None = None
    own_pseudo: int | None = None


_LOADED = ("id", "round_id", "percent", "status", "painted", *NewFinding._fields)


def reserve_ids(session: Session, count: int) -> int:
    """Return the first of `count` ids in a row that no finding has and that no other will be given."""
    own, round_ = FindingRow.__table__, RoundRow.__table__
    block_end = select(func.max(round_.c.first_finding_id + round_.c.reserved_ids))
    beyond = session.scalar(block_end, execution_options=WITH_DELETED) or 1
    if session.get_bind().dialect.name != POSTGRESQL:
        return max(beyond, 1 + (session.scalar(select(func.max(own.c.id))) or 0))
    connection = session.connection()
    first = max(beyond, int(connection.exec_driver_sql(f"SELECT nextval({_SEQUENCE})").scalar_one()))
    connection.exec_driver_sql(f"SELECT setval({_SEQUENCE}, {first + max(count, 1) - 1})")
    return first


def load_findings(session: Session, round_id: int, rows: Iterable[tuple[int, NewFinding]]) -> None:
    """Store findings, each with its id, as rows of a round."""
    session.flush()
    with roomy_cache(session):
        loaded = (_loaded(round_id, id_, row) for id_, row in rows)
        load_rows(session.connection(), FindingRow.__tablename__, _LOADED, loaded)


def _loaded(round_id: int, id_: int, row: NewFinding) -> tuple[Any, ...]:
    """Return the values of `_LOADED` as a driver takes them."""
    stored = row._replace(kind=row.kind.value, top=json.dumps(row.top))  # type: ignore[arg-type]  # as stored
    return (id_, round_id, percent_of(row.confidence), Status.OPEN.value, False, *stored)
