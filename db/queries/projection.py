"""Status of findings, computed from the decisions beside them: one statement for one finding or for 100,000.

The rule is `core.judge.review.finding_state`; a test holds the two equal. The counts move with the findings, in the
same transaction: counts before are subtracted, counts after are added.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Executable,
    Select,
    Subquery,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from core.types import NO_LABEL, Act, FindingFilter, FindingKind, Status, Verdict
from db.models import ChangesetRow, DatasetRow, DecisionRow, FindingCountRow, FindingRow, RoundRow
from db.queries import agreeing
from db.queries.datasets import Merges, merges_of, merges_of_round, present, read_merges
from db.queries.filters import counted, is_counted
from db.visibility import WITH_DELETED, is_removed

_LARGEST_ID = 2**63 - 1
Ids = Select[int] | Select[int | None]  # of findings; no finding is meant by None
FEW = 100  # findings that are named one by one, by statements that are built once
_NAMED: BindParameter[int] = bindparam("findings", expanding=True)
COUNTED = ("round_id", "kind", "status", "split", "given", "pseudo", "percent")
Upsert = sqlite.Insert | postgresql.Insert
UPSERTS: Mapping[str, Callable[[Any], Upsert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def project(session: Session, findings: Ids) -> None:
    """Recompute the status of these findings (a selection of ids), and the counts with them."""
    few = session.execute(_with_merged_classes(findings.limit(FEW + 1)), execution_options=WITH_DELETED).all()
    if not few:
        return
    merges, dialect = read_merges(few[0].merged_classes or []), session.get_bind().dialect.name
    if len(few) > FEW:
        for statement in _projection(findings, merges, dialect):
            session.execute(statement)
    else:
        named = {_NAMED.key: [row.id for row in few]}
        for statement in _projection_of_few(tuple(merges.items()), dialect):
            session.execute(statement, named)


def project_bulk(session: Session, changeset_id: int, act: Act, chosen: FindingFilter | None = None) -> None:
    """Recompute the findings of a bulk act just made, undone or redone: as `project` does, in half the time.

    Without other decisions on them, all change from open to accepted or back, without reading each. `chosen`
    is the filter of a new act: if `finding_count` covers that set, nothing is counted again.
    """
    if act is not Act.ACCEPT_ALL and _is_contested(session, changeset_id, act):
        return project(session, select(DecisionRow.finding_id).where(DecisionRow.changeset_id == changeset_id))
    cells = _cells_of(chosen) if chosen is not None and is_counted(chosen) else _cells_in(changeset_id)
    _move_bulk(session, changeset_id, cells, accepted=act is not Act.UNDO)
    return None


def project_part(session: Session, changeset_id: int, after: int) -> None:
    """Accept the findings of what a bulk act has decided after the decision `after`."""
    _move_bulk(session, changeset_id, _cells_in(changeset_id, after), accepted=True, after=after)


def _move_bulk(
    session: Session, changeset_id: int, cells: Select[*tuple[Any, ...]], *, accepted: bool, after: int = 0
) -> None:
    """Move the findings of a bulk act from open to accepted or back, and their counts, which are `cells`."""
    _move_counts(session, cells, *((Status.OPEN, Status.BULK) if accepted else (Status.BULK, Status.OPEN)))
    decided = _decided_in(changeset_id, after)
    annotator = select(ChangesetRow.annotator_id).where(ChangesetRow.id == changeset_id).scalar_subquery()
    values = {
        "status": Status.BULK, "label": FindingRow.pseudo, "annotator_id": annotator, "decision_id": decided.c.id,
    }  # fmt: skip
    opened = {"status": Status.OPEN, "label": None, "annotator_id": None, "decision_id": None}
    session.execute(
        update(FindingRow)
        .values(values if accepted else opened)
        .where(FindingRow.id == decided.c.finding_id)
        .execution_options(synchronize_session=False)
    )


def move_findings(session: Session, dataset_id: int) -> None:
    """Update the findings of all rounds of a dataset to the current classes, after a merge or its undo.

    A suggestion whose class is now that of the label agrees with it: it leaves the queue until that merge is
    undone.
    """
    merges = merges_of(session, dataset_id)
    rounds = select(RoundRow.id).where(RoundRow.dataset_id == dataset_id)
    for round_id in session.scalars(rounds, execution_options=WITH_DELETED).all():  # a deleted one may be restored
        _move(session, round_id, merges)
        count_again(session, round_id)


def move_round(session: Session, round_id: int) -> None:
    """Update the findings of a round to the current classes; count them afterwards."""
    merges = merges_of_round(session, round_id)
    if merges:
        _move(session, round_id, merges)


def _move(session: Session, round_id: int, merges: Merges) -> None:
    columns = {"given": func.coalesce(FindingRow.own_given, FindingRow.given)}
    columns["pseudo"] = func.coalesce(FindingRow.own_pseudo, FindingRow.pseudo)
    now = {name: present(column, merges) for name, column in columns.items()}
    own = {f"own_{name}": case((column.in_(list(merges)), column), else_=None) for name, column in columns.items()}
    kind = case(
        ((now["given"] == NO_LABEL) | (now["pseudo"] == NO_LABEL), FindingRow.kind),
        (now["given"] == now["pseudo"], literal(FindingKind.AGREEING, FindingRow.kind.type)),
        else_=literal(FindingKind.SUSPICIOUS, FindingRow.kind.type),
    )
    stored = (FindingRow.own_given, FindingRow.own_pseudo)
    concerned = or_(*(one.is_not(None) for one in stored), *(one.in_(list(merges)) for one in columns.values()))
    unsynchronized = {"synchronize_session": False}
    of_round = FindingRow.round_id == round_id
    session.execute(
        update(FindingRow)
        .where(of_round, concerned)
        .values({**now, **own, "kind": kind})
        .execution_options(**unsynchronized)
    )
    label = present(DecisionRow.label, merges)
    session.execute(
        update(FindingRow)
        .where(of_round, FindingRow.decision_id == DecisionRow.id, FindingRow.label.is_distinct_from(label))
        .values(label=label)
        .execution_options(**unsynchronized)
    )


def _projection(findings: Ids | BindParameter[int], merges: Merges, dialect: str) -> tuple[Executable, ...]:
    """Return the statements that take findings out of the counts, recompute their status, and count them again.

    PostgreSQL does it in one, since each statement is a message to the server and back while other writers wait.
    """
    standing = _standing(findings, merges).subquery()
    stand = (
        update(FindingRow)
        .values({name: standing.c[name] for name in ("status", "label", "annotator_id", "decision_id")})
        .where(FindingRow.id == standing.c.finding_id)
        .execution_options(synchronize_session=False)
    )
    if dialect == "postgresql":
        return (_projection_at_once(findings, stand, dialect),)
    return _shift(findings, -1, dialect), stand, _shift(findings, +1, dialect)


def _projection_at_once(findings: Ids | BindParameter[int], stand: Update, dialect: str) -> Upsert:
    """Return the three statements as one: all of its parts see the rows as they were, RETURNING gives the new ones."""
    columns = [getattr(FindingRow, name) for name in COUNTED]
    before = select(*columns, literal(-1).label("sign")).where(FindingRow.id.in_(findings))
    stood = stand.returning(*columns).cte("stood")
    after = select(*(stood.c[name] for name in COUNTED), literal(+1))
    moves = union_all(before, after).subquery()
    cells = [moves.c[name] for name in COUNTED]
    count = func.sum(moves.c.sign)
    return _add(select(*cells, count.label("count")).group_by(*cells).having(count != 0), dialect)


@lru_cache(maxsize=100)
def _projection_of_few(merges: tuple[tuple[int, int], ...], dialect: str) -> tuple[Executable, ...]:
    """Return `_projection` of the findings bound to `_NAMED`; cached, as building it takes longer than running it."""
    return _projection(_NAMED, dict(merges), dialect)


def _with_merged_classes(findings: Ids) -> Select[*tuple[Any, ...]]:
    """Select these findings with the merged classes of their dataset, the same for all."""
    these = findings.subquery()
    return (
        select(FindingRow.id, DatasetRow.merged_classes)
        .join(these, these.c[0] == FindingRow.id)
        .join(RoundRow, RoundRow.id == FindingRow.round_id)
        .join(DatasetRow, DatasetRow.id == RoundRow.dataset_id)
    )


def count_again(session: Session, round_id: int) -> None:
    """Count a whole round anew."""
    session.execute(delete(FindingCountRow).where(FindingCountRow.round_id == round_id))
    columns = [getattr(FindingRow, name) for name in COUNTED]
    counted = select(*columns, func.count()).where(FindingRow.round_id == round_id).group_by(*columns)
    session.execute(insert(FindingCountRow).from_select([*COUNTED, "count"], counted))
    if cells := agreeing.counts_of_round(session, round_id):
        session.execute(_summed(UPSERTS[session.get_bind().dialect.name](FindingCountRow.__table__)), cells)


def uncount(session: Session, ids: Sequence[int]) -> None:
    """Take findings that are about to be removed out of the counts."""
    session.execute(_shift(select(FindingRow.id).where(FindingRow.id.in_(ids)), -1, session.get_bind().dialect.name))


def _shift(findings: Ids | BindParameter[int], sign: int, dialect: str) -> Upsert:
    columns = [getattr(FindingRow, name) for name in COUNTED]
    change = select(*columns, (sign * func.count()).label("count")).where(FindingRow.id.in_(findings))
    return _add(change.group_by(*columns), dialect)


def _add(change: Select[*tuple[Any, ...]], dialect: str) -> Upsert:
    table = FindingCountRow.__table__  # the ORM would take bound values for columns
    return _summed(UPSERTS[dialect](table).from_select([*COUNTED, "count"], change))


def _summed(add: Upsert) -> Upsert:
    count = FindingCountRow.__table__.c["count"]
    return add.on_conflict_do_update(index_elements=list(COUNTED), set_={"count": count + add.excluded["count"]})


def _cells_of(chosen: FindingFilter) -> Select[*tuple[Any, ...]]:
    columns = [getattr(FindingCountRow, name) for name in COUNTED if name != "status"]
    return select(*columns, FindingCountRow.count.label("n")).where(*counted(chosen), FindingCountRow.count > 0)


def _cells_in(changeset_id: int, after: int = 0) -> Select[*tuple[Any, ...]]:
    columns = [getattr(FindingRow, name) for name in COUNTED if name != "status"]
    decided = _decided_in(changeset_id, after)
    made = select(*columns, func.count().label("n")).join(decided, decided.c.finding_id == FindingRow.id)
    return made.group_by(*columns)


def _decided_in(changeset_id: int, after: int = 0) -> Subquery:
    """Select id and finding of a bulk act's decisions in the order in which findings lie on disk: a fifth faster.

    Of those after the decision `after` alone.
    """
    of_act = (DecisionRow.changeset_id == changeset_id, DecisionRow.id > after)
    own = select(DecisionRow.id, DecisionRow.finding_id).where(*of_act)
    return own.order_by(DecisionRow.finding_id).limit(_LARGEST_ID).subquery()  # without a limit SQLite drops the order


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
    counted = both.where(true())  # without a WHERE, SQLite confuses an upsert's ON with a join's
    session.execute(_add(counted, session.get_bind().dialect.name))


def _is_contested(session: Session, changeset_id: int, act: Act) -> bool:
    """Return whether anything but this bulk act may decide on its findings.

    Before a redo they must all be open; before an undo this act must have won on all of them, none of their images may
    be removed, and no other bulk act of the round may have been redone, since that is the only way for two of them to
    hold one finding.
    """
    decided = _decided_in(changeset_id)
    lost = (
        FindingRow.status != Status.OPEN if act is Act.REDO else FindingRow.decision_id.is_distinct_from(decided.c.id)
    )
    own = select(FindingRow.id).join(decided, decided.c.finding_id == FindingRow.id)
    contested = select(own.where(lost | (FindingRow.status == Status.REMOVED)).exists())
    if session.scalar(contested, execution_options=WITH_DELETED):
        return True
    this, redo, other = aliased(ChangesetRow), aliased(ChangesetRow), aliased(ChangesetRow)
    redone = (
        select(redo.id)
        .join(this, this.round_id == redo.round_id)
        .join(other, (other.id == redo.target_id) & (other.id != this.id) & other.live)
        .where(this.id == changeset_id, redo.act == Act.REDO, other.act == Act.ACCEPT_ALL)
    )
    return bool(session.scalar(select(redone.exists())))


def _standing(findings: Ids | BindParameter[int], merges: Merges) -> Select[*tuple[Any, ...]]:
    """Select, for each finding, its newest live human decision, else its newest live bulk one, else open.

    A region that edits painted over is neither open nor accepted in bulk. Of a removed image all findings are removed.
    """
    winner = _winner(findings).subquery()
    decision, changeset = aliased(DecisionRow), aliased(ChangesetRow)
    by_verdict = [(decision.verdict == verdict, literal(int(Status[verdict.name]))) for verdict in Verdict]
    status = case(
        (winner.c.removed, literal(int(Status.REMOVED))),
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
            present(decision.label, merges).label("label"),
            changeset.annotator_id.label("annotator_id"),
        )
        .outerjoin(decision, decision.id == winner.c.decision_id)
        .outerjoin(changeset, changeset.id == decision.changeset_id)
    )


def _winner(findings: Ids | BindParameter[int]) -> Select[*tuple[Any, ...]]:
    human = func.max(case((ChangesetRow.act == Act.VERDICT, DecisionRow.id)))
    of_this_round = (ChangesetRow.act == Act.ACCEPT_ALL) & (ChangesetRow.round_id == FindingRow.round_id)
    bulk = func.max(case((of_this_round & ~FindingRow.painted, DecisionRow.id)))
    winner = func.coalesce(human, bulk).label("decision_id")
    return (
        select(
            FindingRow.id.label("finding_id"),
            FindingRow.painted.label("painted"),
            is_removed(FindingRow.sample_id).label("removed"),
            winner,
        )
        .outerjoin(DecisionRow, _concerns())
        .outerjoin(ChangesetRow, (ChangesetRow.id == DecisionRow.changeset_id) & ChangesetRow.live)
        .where(FindingRow.id.in_(findings))
        .group_by(FindingRow.id)
    )


def _concerns() -> ColumnElement[bool]:
    """Join decisions with findings: by the sample, and for regions also by the finding.

    As bounds, so that the index on sample and finding answers it for both.
    """
    region = FindingRow.area.is_not(None)
    least = case((region, FindingRow.id), else_=0)
    most = case((region, FindingRow.id), else_=_LARGEST_ID)
    return and_(DecisionRow.sample_id == FindingRow.sample_id, DecisionRow.finding_id.between(least, most))
