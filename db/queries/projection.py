"""Where findings stand, computed from the decisions beside them: one statement for one finding or for 100,000.

The rule is `core.judge.review.standing`; a test holds the two equal. The counts move with the findings, in the same
transaction: what was counted before is taken away, what is counted after is added.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, insert, literal, select, true, union_all, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from core.types import Act, FindingFilter, Status, Verdict
from db.models import ChangesetRow, DecisionRow, FindingCountRow, FindingRow
from db.queries.filters import counted, is_counted

_LARGEST_ID = 2**63 - 1
Ids = Select[int] | Select[int | None]  # of findings; no finding is meant by None
COUNTED = ("round_id", "kind", "status", "split", "given", "pseudo", "percent")
Upsert = sqlite.Insert | postgresql.Insert
UPSERTS: Mapping[str, Callable[[Any], Upsert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def project(session: Session, findings: Ids) -> None:
    """Recompute where these findings stand (a selection of ids), and the counts with them."""
    _shift_counts(session, findings, -1)
    standing = _standing(findings).subquery()
    session.execute(
        update(FindingRow)
        .values({name: standing.c[name] for name in ("status", "label", "annotator_id", "decision_id")})
        .where(FindingRow.id == standing.c.finding_id)
        .execution_options(synchronize_session=False)
    )
    _shift_counts(session, findings, +1)


def project_bulk(session: Session, changeset_id: int, act: Act, chosen: FindingFilter | None = None) -> None:
    """Recompute the findings of a bulk act just made, undone or redone: as `project` does, in half the time.

    Where nothing else decides on them, all of them go from open to accepted or back, without looking at each. `chosen`
    is what a new act was made on: where `finding_count` knows that set, nothing is counted again.
    """
    if act is not Act.ACCEPT_ALL and _is_contested(session, changeset_id, act):
        return project(session, select(DecisionRow.finding_id).where(DecisionRow.changeset_id == changeset_id))
    made = act is not Act.UNDO
    cells = _cells_of(chosen) if chosen is not None and is_counted(chosen) else _cells_in(changeset_id)
    _move_counts(session, cells, *((Status.OPEN, Status.BULK) if made else (Status.BULK, Status.OPEN)))
    annotator = select(ChangesetRow.annotator_id).where(ChangesetRow.id == changeset_id).scalar_subquery()
    accepted = {
        "status": Status.BULK, "label": DecisionRow.label, "annotator_id": annotator, "decision_id": DecisionRow.id,
    }  # fmt: skip
    opened = {"status": Status.OPEN, "label": None, "annotator_id": None, "decision_id": None}
    session.execute(
        update(FindingRow)
        .values(accepted if made else opened)
        .where(FindingRow.id == DecisionRow.finding_id, DecisionRow.changeset_id == changeset_id)
        .execution_options(synchronize_session=False)
    )
    return None


def count_again(session: Session, round_id: int) -> None:
    """Count a whole round anew."""
    session.execute(delete(FindingCountRow).where(FindingCountRow.round_id == round_id))
    columns = [getattr(FindingRow, name) for name in COUNTED]
    counted = select(*columns, func.count()).where(FindingRow.round_id == round_id).group_by(*columns)
    session.execute(insert(FindingCountRow).from_select([*COUNTED, "count"], counted))


def _shift_counts(session: Session, findings: Ids, sign: int) -> None:
    columns = [getattr(FindingRow, name) for name in COUNTED]
    change = select(*columns, (sign * func.count()).label("count")).where(FindingRow.id.in_(findings))
    _add_counts(session, change.group_by(*columns))


def _add_counts(session: Session, change: Select[*tuple[Any, ...]]) -> None:
    add = UPSERTS[session.get_bind().dialect.name](FindingCountRow).from_select([*COUNTED, "count"], change)
    session.execute(
        add.on_conflict_do_update(
            index_elements=list(COUNTED), set_={"count": FindingCountRow.count + add.excluded["count"]}
        ).execution_options(synchronize_session=False)
    )


def _cells_of(chosen: FindingFilter) -> Select[*tuple[Any, ...]]:
    columns = [getattr(FindingCountRow, name) for name in COUNTED if name != "status"]
    return select(*columns, FindingCountRow.count.label("n")).where(*counted(chosen), FindingCountRow.count > 0)


def _cells_in(changeset_id: int) -> Select[*tuple[Any, ...]]:
    columns = [getattr(FindingRow, name) for name in COUNTED if name != "status"]
    made = select(*columns, func.count().label("n")).join(DecisionRow, DecisionRow.finding_id == FindingRow.id)
    return made.where(DecisionRow.changeset_id == changeset_id).group_by(*columns)


def _move_counts(session: Session, cells: Select[*tuple[Any, ...]], before: Status, after: Status) -> None:
    moves = union_all(
        *[
            select(literal(int(status)).label("status"), literal(sign).label("sign"))
            for status, sign in ((before, -1), (after, +1))
        ]
    ).subquery()
    cell = cells.subquery()
    keys = [moves.c.status if name == "status" else cell.c[name] for name in COUNTED]
    both = select(*keys, (moves.c.sign * cell.c.n).label("count")).select_from(cell.join(moves, true()))
    _add_counts(session, both.where(true()))  # SQLite cannot tell an upsert's ON from a join's without a WHERE


def _is_contested(session: Session, changeset_id: int, act: Act) -> bool:
    """Return whether anything but this bulk act may decide on its findings.

    Before a redo they must all be open; before an undo this act must have won on all of them, and no other bulk act of
    the round may have been redone, since that is the only way for two of them to hold one finding.
    """
    lost = (
        FindingRow.status != Status.OPEN if act is Act.REDO else FindingRow.decision_id.is_distinct_from(DecisionRow.id)
    )
    own = select(FindingRow.id).join(DecisionRow, DecisionRow.finding_id == FindingRow.id)
    if session.scalar(select(own.where(DecisionRow.changeset_id == changeset_id, lost).exists())):
        return True
    this, redo, other = aliased(ChangesetRow), aliased(ChangesetRow), aliased(ChangesetRow)
    redone = (
        select(redo.id)
        .join(this, this.round_id == redo.round_id)
        .join(other, (other.id == redo.target_id) & (other.id != this.id) & other.live)
        .where(this.id == changeset_id, redo.act == Act.REDO, other.act == Act.ACCEPT_ALL)
    )
    return bool(session.scalar(select(redone.exists())))


def _standing(findings: Ids) -> Select[*tuple[Any, ...]]:
    """Select, for each finding, what its newest live human decision says, else its newest live bulk one, else open.

    A region that edits painted over is neither open nor accepted in bulk.
    """
    winner = _winner(findings).subquery()
    decision, changeset = aliased(DecisionRow), aliased(ChangesetRow)
    by_verdict = [(decision.verdict == verdict, literal(int(Status[verdict.name]))) for verdict in Verdict]
    status = case(
        (winner.c.decision_id.is_(None) & winner.c.painted, literal(int(Status.PAINTED))),
        (winner.c.decision_id.is_(None), literal(int(Status.OPEN))),
        (changeset.act == Act.ACCEPT_ALL, literal(int(Status.BULK))),
        *by_verdict,
    )
    return (
        select(
            winner.c.finding_id,
            winner.c.decision_id,
            status.label("status"),
            decision.label.label("label"),
            changeset.annotator_id.label("annotator_id"),
        )
        .outerjoin(decision, decision.id == winner.c.decision_id)
        .outerjoin(changeset, changeset.id == decision.changeset_id)
    )


def _winner(findings: Ids) -> Select[*tuple[Any, ...]]:
    human = func.max(case((ChangesetRow.act == Act.VERDICT, DecisionRow.id)))
    of_this_round = (ChangesetRow.act == Act.ACCEPT_ALL) & (ChangesetRow.round_id == FindingRow.round_id)
    bulk = func.max(case((of_this_round & ~FindingRow.painted, DecisionRow.id)))
    winner = func.coalesce(human, bulk).label("decision_id")
    return (
        select(FindingRow.id.label("finding_id"), FindingRow.painted.label("painted"), winner)
        .outerjoin(DecisionRow, _concerns())
        .outerjoin(ChangesetRow, (ChangesetRow.id == DecisionRow.changeset_id) & ChangesetRow.live)
        .where(FindingRow.id.in_(findings))
        .group_by(FindingRow.id)
    )


def _concerns() -> ColumnElement[bool]:
    """Tie decisions to findings: by the sample, and where the finding is a region by itself too.

    Said as bounds, so that the index on sample and finding answers it for both.
    """
    region = FindingRow.area.is_not(None)
    least = case((region, FindingRow.id), else_=0)
    most = case((region, FindingRow.id), else_=_LARGEST_ID)
    return and_(DecisionRow.sample_id == FindingRow.sample_id, DecisionRow.finding_id.between(least, most))
