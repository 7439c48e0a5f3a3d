"""Audits: fixed sets of findings in one random order each, their verdicts, and leases of cards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.orm import Session

from core.types import NO_LABEL, FindingFilter, FindingKind, IntArray, Status
from db.loading import NewFinding
from db.models import AnnotatorRow, AuditLeaseRow, AuditRow, FindingRow
from db.queries import agreeing
from db.queries.filters import matching
from db.queries.findings import count
from db.visibility import WITH_DELETED

SETTLED_BY_PEOPLE = frozenset({Status.ACCEPT, Status.KEEP, Status.RELABEL, Status.AMBIGUOUS, Status.EXCLUDE})
UNJUDGED = frozenset(Status) - SETTLED_BY_PEOPLE - {Status.REMOVED}
_CHUNK = 500  # ids named in one statement
_AT_HAND = 2 * _CHUNK  # cards that get a row once a set is drawn: as many as most certificates need
_DENSE = 50  # the order of a set with at least one in this number of the round's findings is started by trying ranks


@dataclass(frozen=True, slots=True)
class Audit:
    """One stored audit; see `AuditRow`."""

    id: int
    dataset_id: int
    round_id: int
    kind: FindingKind
    identity: str
    filter: dict[str, Any]
    threshold: float | None
    size: int
    levels: list[int]
    pixels: list[int] | None
    number: int
    alpha: float
    target: str
    parent_id: int | None
    annotator: str
    created_at: datetime
    closed_at: datetime | None
    removed: int = 0  # of its set, whose images were removed


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAudit:
    """An audit about to be stored; `finding_ids` holds its whole set in random order, (N,), `settled_ids` the rest."""

    dataset_id: int
    round_id: int
    kind: FindingKind
    identity: str
    filter: dict[str, Any]
    threshold: float | None
    finding_ids: IntArray
    settled_ids: IntArray
    levels: list[int]
    pixels: list[int] | None
    seed: int
    number: int
    alpha: float
    target: str
    annotator_id: int
    created_at: datetime
    parent_id: int | None = None


class Card(NamedTuple):
    """A finding of an audit in its present state."""

    id: int
    status: Status
    given: int
    pseudo: int
    label: int | None
    confidence: float
    area: int | None
    annotator: str | None

    @property
    def judged(self) -> bool:
        """Return whether a person has settled it."""
        return self.status in SETTLED_BY_PEOPLE

    @property
    def removed(self) -> bool:
        """Return whether its image was removed."""
        return self.status is Status.REMOVED

    @property
    def right(self) -> bool:
        """Return whether the verdict is the suggestion."""
        return self.judged and self.label == self.pseudo

    @property
    def kept(self) -> bool:
        """Return whether the verdict is the given label, and another one than the suggestion."""
        return self.judged and self.label == self.given != self.pseudo


def add_audit(session: Session, new: NewAudit) -> int:
    """Store an audit and return its id."""
    values = {name: getattr(new, name) for name in NewAudit.__slots__}
    for name in ("finding_ids", "settled_ids"):
        values[name] = getattr(new, name).astype("<i8").tobytes()
    agreeing.make_rows_of_ids(session, new.finding_ids[:_AT_HAND].tolist())
    row = AuditRow(**values, size=len(new.finding_ids))
    session.add(row)
    session.flush()
    return row.id


def find_audit(session: Session, audit_id: int) -> Audit | None:
    """Return an audit, None when there is none with this id."""
    row = session.execute(_audits().where(AuditRow.id == audit_id)).one_or_none()
    return None if row is None else Audit(*row)


def find_by_identity(session: Session, round_id: int, identity: str) -> Audit | None:
    """Return the audit of a set, None if it has none."""
    of_set = (AuditRow.round_id == round_id, AuditRow.identity == identity)
    row = session.execute(_audits().where(*of_set)).one_or_none()
    return None if row is None else Audit(*row)


def audits_of_round(session: Session, round_id: int) -> list[Audit]:
    """Return a round's audits, oldest first."""
    return [Audit(*row) for row in session.execute(_audits().where(AuditRow.round_id == round_id)).all()]


def finding_ids(session: Session, audit_id: int) -> IntArray:
    """Return the ids of an audit's whole set in its random order, (N,)."""
    stored = session.scalar(select(AuditRow.finding_ids).where(AuditRow.id == audit_id))
    return np.frombuffer(stored or b"", dtype="<i8")


def settled_ids(session: Session, audit_id: int) -> IntArray:
    """Return the ids of the filter's findings that people had judged when the set was fixed."""
    stored = session.scalar(select(AuditRow.settled_ids).where(AuditRow.id == audit_id))
    return np.frombuffer(stored or b"", dtype="<i8")


def voided(session: Session, audit_id: int) -> bool:
    """Return whether a finding that people had judged when the set was fixed, and that is not in it, is open again."""
    return any(not (card.judged or card.removed) for card in cards(session, settled_ids(session, audit_id)))


def random_order(session: Session, chosen: FindingFilter, seed: int, first: int | None = None) -> IntArray:
    """Return the ids of a filter's findings in random order, (N,), or only the `first` of that order.

    The ranks of the whole round are permuted by the seed, and the set keeps the order of its own: so the beginning of
    the order of a large set is found without reading the set.
    """
    last = session.scalar(select(func.max(FindingRow.rank)).where(FindingRow.round_id == chosen.round_id)) or 0
    ranks = 1 + max(last, agreeing.max_rank(session, chosen.round_id))
    order = np.random.default_rng(seed).permutation(ranks)
    if first is not None and count(session, chosen) * _DENSE >= ranks:
        return np.array(_beginning(session, chosen, order, first), dtype=np.int64)
    rows = session.execute(select(FindingRow.id, FindingRow.rank).where(*matching(chosen))).all()
    ids, own = np.concatenate([np.array(rows, dtype=np.int64).reshape(-1, 2), _without_row(session, chosen)]).T
    place = np.empty(ranks, dtype=np.int64)
    place[order] = np.arange(ranks)
    chosen_ids: IntArray = ids[np.argsort(place[own])][:first]
    return chosen_ids


def _beginning(session: Session, chosen: FindingFilter, order: IntArray, first: int) -> list[int]:
    """Return the first findings of a dense set, trying the ranks in their random order a few thousand at a time."""
    ids: list[int] = []
    others = _without_row(session, chosen)
    step = 4 * _DENSE * first
    for start in range(0, len(order), step):
        tried = order[start : start + step].tolist()
        hits = select(FindingRow.rank, FindingRow.id).where(FindingRow.rank.in_(tried), *matching(chosen))
        found = {row[0]: row[1] for row in session.execute(hits).all()}
        found |= {rank: id_ for id_, rank in others[np.isin(others[:, 1], tried)].tolist()}
        ids += [found[rank] for rank in tried if rank in found]
        if len(ids) >= first:
            break
    return ids[:first]


def _without_row(session: Session, chosen: FindingFilter) -> IntArray:
    """Return id and rank of a filter's findings without a row, (N, 2)."""
    parts = [np.stack([part["id"], part["rank"]], axis=1) for part in agreeing.columns_of(session, chosen, "id")]
    found: IntArray = np.concatenate([np.empty((0, 2), dtype=np.int64), *parts])
    return found


def cards(session: Session, ids: Sequence[int] | IntArray) -> Iterator[Card]:
    """Yield these findings in their present state, in the order of the ids, a few hundred to a query.

    A finding whose image was removed has that status, and no more than its id once it is removed for good.
    """
    columns = (
        FindingRow.id, FindingRow.status, FindingRow.given, FindingRow.pseudo, FindingRow.label, FindingRow.confidence,
        FindingRow.area, AnnotatorRow.name,
    )  # fmt: skip
    selected = select(*columns).outerjoin(AnnotatorRow, AnnotatorRow.id == FindingRow.annotator_id)
    for start in range(0, len(ids), _CHUNK):
        chunk = [int(one) for one in ids[start : start + _CHUNK]]
        rows = session.execute(selected.where(FindingRow.id.in_(chunk)), execution_options=WITH_DELETED).all()
        found = {row[0]: Card(*row) for row in rows}
        without_row = agreeing.stored_by_ids(session, [one for one in chunk if one not in found])
        found |= {id_: _unjudged(id_, one) for id_, one in without_row.items()}
        yield from (found.get(one) or _purged(one) for one in chunk)


def set_closed(session: Session, audit_id: int, closed_at: datetime | None) -> None:
    """Mark an audit as closed, or as open again."""
    chosen = update(AuditRow).where(AuditRow.id == audit_id).values(closed_at=closed_at)
    session.execute(chosen.execution_options(synchronize_session=False))


def quarters_of(session: Session, audit_id: int) -> list[Audit]:
    """Return the audits of an audit's quarters, the least confident first; none before they are offered."""
    return [Audit(*row) for row in session.execute(_audits().where(AuditRow.parent_id == audit_id)).all()]


def leases(session: Session, audit_id: int, now: datetime) -> dict[int, str]:
    """Return finding id -> annotator of the cards that are leased now."""
    taken = (AuditLeaseRow.audit_id == audit_id, AuditLeaseRow.until > now)
    named = select(AuditLeaseRow.finding_id, AnnotatorRow.name)
    rows = session.execute(named.join(AnnotatorRow, AnnotatorRow.id == AuditLeaseRow.annotator_id).where(*taken)).all()
    return {row[0]: row[1] for row in rows}


def handed_out(session: Session, audit_id: int) -> list[int]:
    """Return the findings of an audit that were ever leased."""
    return list(session.scalars(select(AuditLeaseRow.finding_id).where(AuditLeaseRow.audit_id == audit_id)))


def lease(session: Session, audit_id: int, ids: Sequence[int], annotator_id: int, until: datetime) -> None:
    """Give these cards to an annotator until then; the write lock keeps two people from getting one."""
    if not ids:
        return
    agreeing.make_rows_of_ids(session, ids)
    mine = (AuditLeaseRow.audit_id == audit_id, AuditLeaseRow.finding_id.in_(ids))
    session.execute(delete(AuditLeaseRow).where(*mine).execution_options(synchronize_session=False))
    rows = [{"audit_id": audit_id, "finding_id": one, "annotator_id": annotator_id, "until": until} for one in ids]
    session.execute(insert(AuditLeaseRow), rows)


def count_removed(session: Session, dataset_id: int) -> None:
    """Note of each audit of a dataset how many findings of its set are removed with their images, or gone for good."""
    audits = session.execute(select(AuditRow.id, AuditRow.round_id).where(AuditRow.dataset_id == dataset_id)).all()
    present: dict[int, IntArray] = {}
    for audit_id, round_id in audits:
        if round_id not in present:
            here = session.scalars(select(FindingRow.id).where(FindingRow.round_id == round_id))
            rows = np.array(here.all(), dtype=np.int64)
            present[round_id] = np.concatenate([rows, agreeing.ids_of_round(session, round_id)])
        removed = int((~np.isin(finding_ids(session, audit_id), present[round_id])).sum())
        noted = update(AuditRow).where(AuditRow.id == audit_id).values(removed=removed)
        session.execute(noted.execution_options(synchronize_session=False))


def _unjudged(finding_id: int, stored: NewFinding) -> Card:
    return Card(finding_id, Status.OPEN, stored.given, stored.pseudo, None, stored.confidence, None, None)


def _purged(finding_id: int) -> Card:
    return Card(finding_id, Status.REMOVED, NO_LABEL, NO_LABEL, None, 0.0, None, None)


def _audits() -> Select[*tuple[Any, ...]]:
    audit = AuditRow
    return (
        select(
            audit.id, audit.dataset_id, audit.round_id, audit.kind, audit.identity, audit.filter, audit.threshold,
            audit.size, audit.levels, audit.pixels, audit.number, audit.alpha, audit.target, audit.parent_id,
            AnnotatorRow.name, audit.created_at, audit.closed_at, audit.removed,
        )
        .join(AnnotatorRow, AnnotatorRow.id == audit.annotator_id)
        .order_by(audit.id)
    )  # fmt: skip
