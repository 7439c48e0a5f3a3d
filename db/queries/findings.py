"""Findings: written once by a round, read by key a page at a time.

Give rows in the order of their rank: the queue then lies on disk in the order in which it is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, func, insert, select, tuple_, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.types import Finding, FindingFilter, FindingKind, Order
from db.models import AnnotatorRow, DecisionRow, FindingCountRow, FindingRow, SampleRow
from db.queries.filters import kinds_of, matching, statuses_of
from db.queries.projection import count_again, project

CHUNK = 5_000  # rows handed to the driver at once

Key = Sequence[float]  # where a page ended: the values of the order's columns

KEYS: Mapping[Order, tuple[InstrumentedAttribute[Any], ...]] = {
    Order.SUSPICION: (FindingRow.rank,),
    Order.CONFIDENCE: (FindingRow.confidence, FindingRow.rank),  # both downwards: one index, read backwards
    Order.PAIR: (FindingRow.given, FindingRow.pseudo, FindingRow.rank),
    Order.SIMILARITY: (FindingRow.similarity_rank,),
}


class NewFinding(NamedTuple):
    """One finding as a round makes it; plain Python numbers, `rank` counts from 0 and is unique in the round."""

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


def add_findings(session: Session, round_id: int, rows: Iterable[NewFinding]) -> None:
    """Store findings of a round that is not shown yet; call `open_findings` after the last of them."""
    table = FindingRow.__table__
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        values = [{"round_id": round_id, "percent": percent_of(row.confidence), **row._asdict()} for row in chunk]
        session.execute(insert(table), values)  # type: ignore[arg-type]


def percent_of(confidence: float) -> int:
    """Return the whole percents in a confidence; 0.29 has 29 although 100 * 0.29 is a little less."""
    return int(100 * confidence + 1e-9)


def open_findings(session: Session, round_id: int) -> None:
    """Give the round's findings the verdicts that people passed in older rounds, and count them all."""
    judged = select(FindingRow.id).where(
        FindingRow.round_id == round_id, FindingRow.sample_id.in_(select(DecisionRow.sample_id))
    )
    project(session, judged)
    count_again(session, round_id)


def remove_findings(session: Session, round_id: int) -> None:
    """Forget the findings of a round that was never shown, so that they can be stored again."""
    session.execute(delete(FindingCountRow).where(FindingCountRow.round_id == round_id))
    session.execute(delete(FindingRow).where(FindingRow.round_id == round_id))


def findings_page(
    session: Session, chosen: FindingFilter, order: Order, after: Key | None, limit: int
) -> list[Finding]:
    """Return up to `limit` findings of a filter that come after the key `after`, in order."""
    branches = [_branch(part, order, after, limit).subquery() for part in _parts(chosen, order)]
    merged = union_all(*[select(branch) for branch in branches]).subquery()
    keys = [merged.c[column.key] for column in KEYS[order]]
    ids = session.scalars(select(merged.c.id).order_by(*_directed(order, keys)).limit(limit)).all()
    return findings_by_ids(session, ids)


def findings_by_ids(session: Session, ids: Sequence[int]) -> list[Finding]:
    """Return these findings in the order asked for; unknown ids are left out."""
    rows = session.execute(_with_sample().where(FindingRow.id.in_(ids))).all()
    found = {row.id: Finding(*row) for row in rows}
    return [found[one] for one in ids if one in found]


def key_of(finding: Finding, order: Order) -> list[float]:
    """Return where a page ends that ends with this finding."""
    return [getattr(finding, column.key) for column in KEYS[order]]


def findings_at(session: Session, chosen: FindingFilter, places: Sequence[int]) -> list[Finding]:
    """Return the findings at these places (0, 1, ...) of everything a filter holds; one pass, whatever the places."""
    place = func.row_number().over(order_by=FindingRow.rank).label("place")
    numbered = select(FindingRow.id, place).where(*matching(chosen)).subquery()
    ids = session.scalars(select(numbered.c.id).where(numbered.c.place.in_([one + 1 for one in places]))).all()
    return findings_by_ids(session, ids)


def findings_of_sample(session: Session, sample_id: int) -> list[Finding]:
    """Return what every round said of a sample, oldest first."""
    rows = session.execute(_with_sample().where(FindingRow.sample_id == sample_id).order_by(FindingRow.round_id)).all()
    return [Finding(*row) for row in rows]


def neighbours(session: Session, finding: Finding, each_side: int) -> list[Finding]:
    """Return the findings beside this one in the order of similarity; none where the round has no such order."""
    if finding.similarity_rank is None:
        return []
    near = FindingRow.similarity_rank.between(finding.similarity_rank - each_side, finding.similarity_rank + each_side)
    same_round = (FindingRow.round_id == finding.round_id, FindingRow.kind.in_(list(FindingKind)))
    beside = _with_sample().where(*same_round, near, FindingRow.id != finding.id)
    return [Finding(*row) for row in session.execute(beside.order_by(FindingRow.similarity_rank)).all()]


def _parts(chosen: FindingFilter, order: Order) -> list[FindingFilter]:
    """Split a filter so that one index holds each part in order: by kind, and by status where the index has it."""
    kinds = [replace(chosen, kinds=frozenset({kind})) for kind in kinds_of(chosen)]
    if order is not Order.SUSPICION:
        return kinds
    return [replace(part, statuses=frozenset({status})) for part in kinds for status in statuses_of(part)]


def _branch(part: FindingFilter, order: Order, after: Key | None, limit: int) -> Select[*tuple[Any, ...]]:
    keys = KEYS[order]
    rows = select(FindingRow.id, *keys).where(*matching(part)).order_by(*_directed(order, keys)).limit(limit)
    if after is None:
        return rows
    mark = tuple_(*keys)
    return rows.where(mark < tuple(after) if order is Order.CONFIDENCE else mark > tuple(after))


def _directed(
    order: Order, keys: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]]
) -> list[ColumnElement[Any]]:
    return [key.desc() if order is Order.CONFIDENCE else key.asc() for key in keys]


def _with_sample() -> Select[*tuple[Any, ...]]:
    finding = FindingRow
    return (
        select(
            finding.id, finding.round_id, finding.sample_id, finding.row, finding.rank, finding.kind,
            finding.given, finding.pseudo, finding.confidence, finding.self_confidence, finding.fold, finding.split,
            finding.top, finding.similarity_rank, finding.status, finding.label, AnnotatorRow.name.label("annotator"),
            SampleRow.name, SampleRow.path, SampleRow.content_hash, SampleRow.width, SampleRow.height,
        )
        .join(SampleRow, SampleRow.id == finding.sample_id)
        .outerjoin(AnnotatorRow, AnnotatorRow.id == finding.annotator_id)
    )  # fmt: skip
