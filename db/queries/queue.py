"""The review's queue: findings of a filter in order, a page at a time.

A page starts at a key, not at an offset. Which index is walked depends on how many findings the filter holds, which
`finding_count` knows at once: many are met soon in the order's own index; few are collected by the queue's index, which
alone holds the status, and sorted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, select, tuple_, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.types import Finding, FindingFilter, Order
from db.models import FindingRow
from db.queries.counts import count, highest_percent
from db.queries.filters import CERTAIN_PERCENT, broadened, kinds_of, matching, statuses_of
from db.queries.findings import findings_by_ids

MOST_SORTED = 50_000

Key = Sequence[float]  # where a page ended: the values of the order's columns

KEYS: Mapping[Order, tuple[InstrumentedAttribute[Any], ...]] = {
    Order.SUSPICION: (FindingRow.rank,),
    Order.CONFIDENCE: (FindingRow.confidence, FindingRow.rank),  # both downwards: one index, read backwards
    Order.PAIR: (FindingRow.given, FindingRow.pseudo, FindingRow.rank),
    Order.SIMILARITY: (FindingRow.similarity_rank,),
}


def findings_page(
    session: Session, chosen: FindingFilter, order: Order, after: Key | None, limit: int
) -> list[Finding]:
    """Return up to `limit` findings of a filter that come after the key `after`, in order."""
    most = count(session, broadened(chosen))
    if most == 0:
        return []
    by_status = order is Order.SUSPICION or most <= MOST_SORTED
    parts = _parts(chosen, by_status=by_status)
    keys: Sequence[Any] = KEYS[order]
    if order is not Order.SUSPICION and by_status:
        keys = [(key + 0).label(key.key) for key in keys]  # an expression: its index is not taken, the rows sorted
    branches = [_branch(part, order, keys, after, limit) for part in parts]
    if order is Order.CONFIDENCE:  # do not walk through the certain ones that are all decided
        top = highest_percent(session, broadened(chosen))
        branches = [branch.where(FindingRow.confidence < (top + 1) / CERTAIN_PERCENT) for branch in branches]
    merged = union_all(*[select(branch.subquery()) for branch in branches]).subquery()
    ordered = _directed(order, [merged.c[column.key] for column in KEYS[order]])
    return findings_by_ids(session, session.scalars(select(merged.c.id).order_by(*ordered).limit(limit)).all())


def key_of(finding: Finding, order: Order) -> list[float]:
    """Return where a page ends that ends with this finding."""
    return [getattr(finding, column.key) for column in KEYS[order]]


def _parts(chosen: FindingFilter, *, by_status: bool) -> list[FindingFilter]:
    """Split a filter so that one index holds each part in order: by kind, and by status where the index has it."""
    kinds = [replace(chosen, kinds=frozenset({kind})) for kind in kinds_of(chosen)]
    if not by_status:
        return kinds
    return [replace(part, statuses=frozenset({status})) for part in kinds for status in statuses_of(part)]


def _branch(
    part: FindingFilter, order: Order, keys: Sequence[Any], after: Key | None, limit: int
) -> Select[*tuple[Any, ...]]:
    rows = select(FindingRow.id, *keys).where(*matching(part)).order_by(*_directed(order, keys)).limit(limit)
    if after is None:
        return rows
    mark = tuple_(*keys)
    return rows.where(mark < tuple(after) if order is Order.CONFIDENCE else mark > tuple(after))


def _directed(order: Order, keys: Sequence[Any]) -> list[ColumnElement[Any]]:
    return [key.desc() if order is Order.CONFIDENCE else key.asc() for key in keys]
