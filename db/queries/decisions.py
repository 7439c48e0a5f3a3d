"""Acts of annotators and the decisions they made: added, never changed; undone and redone by later acts.

Reads answer three questions: acts that count (`live_...`), decisions between two moments, and acts of other people.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import Select, bindparam, exists, func, insert, literal, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from core.types import Act, Decision, FindingFilter, IntArray, Status, Verdict
from db.models import AnnotatorRow, ChangesetRow, DecisionRow, FindingRow, NoteRow, SampleRow
from db.queries import agreeing
from db.queries.datasets import Merges, merges_of, merges_of_round, merges_of_sample, present
from db.queries.filters import matching

UNFINISHED = "unfinished"  # in the note of a bulk act that is stored in parts, until its last one is
OWN_ACTS = (Act.VERDICT, Act.ACCEPT_ALL, Act.NOTE, Act.CLASSES)  # can be undone; UNDO and REDO name one of these
_PART = 50_000  # rows held in memory
EDITED = "edited"  # in the note of an act that stored whole masks: the image's name, or how many
TAKEN = "taken"  # in the note of an act that took masks from a source: the import
DIFFERING = "annotators_differ"  # in the note of an act on findings whose image has several labels in its source


@dataclass(frozen=True, slots=True)
class Changeset:
    """One stored act. An act that changed nothing has size 0 and is kept so that a retry finds it."""

    id: int
    dataset_id: int
    round_id: int | None
    annotator: str
    act: Act
    target_id: int | None
    live: bool
    size: int
    note: dict[str, Any]
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChangeset:
    """An act about to be stored."""

    dataset_id: int
    round_id: int | None  # None: an edit of a mask that belongs to no round
    annotator_id: int
    act: Act
    decided_at: datetime
    size: int = 0
    target_id: int | None = None
    note: dict[str, Any]
    client_id: str | None = None
    client_seq: int | None = None
    audit_id: int | None = None  # the random sample in which the cards were judged


@dataclass(frozen=True, slots=True)
class NewDecision:
    """One decision about to be stored."""

    sample_id: int
    finding_id: int | None  # None: an edit of an image, no region of it
    verdict: Verdict
    label: int | None
    mask_hash: str | None = None  # the whole mask, if it was edited
    mask_base: str | None = None  # the mask that the edit began from


def annotator_id(session: Session, name: str, now: datetime) -> int:
    """Return the id of the annotator with this name, who is added when new."""
    known = find_annotator(session, name)
    if known is not None:
        return known
    row = AnnotatorRow(name=name, created_at=now)
    session.add(row)
    session.flush()
    return row.id


def find_annotator(session: Session, name: str) -> int | None:
    """Return the id of the annotator with this name, None when there is none."""
    return session.scalar(select(AnnotatorRow.id).where(AnnotatorRow.name == name))


def annotator_names(session: Session, dataset_id: int) -> list[str]:
    """Return the names of everybody who has decided in a dataset, sorted."""
    here = select(ChangesetRow.annotator_id).where(ChangesetRow.dataset_id == dataset_id)
    names = select(AnnotatorRow.name).where(AnnotatorRow.id.in_(here))
    return list(session.scalars(names.order_by(AnnotatorRow.name)))


def add_changeset(session: Session, new: NewChangeset) -> int:
    """Store an act, live if it changed something, and return its id."""
    live = new.act in OWN_ACTS and new.size > 0
    row = ChangesetRow(**{name: getattr(new, name) for name in NewChangeset.__slots__}, live=live)
    session.add(row)
    session.flush()
    return row.id


def add_decisions(session: Session, changeset_id: int, decisions: Iterable[NewDecision]) -> None:
    """Store the decisions of an act."""
    decisions = list(decisions)
    agreeing.make_rows(session, {decision.sample_id for decision in decisions})
    rows = [
        {
            "changeset_id": changeset_id,
            "sample_id": decision.sample_id,
            "finding_id": decision.finding_id,
            "verdict": decision.verdict,
            "label": decision.label,
            "mask_hash": decision.mask_hash,
            "mask_base": decision.mask_base,
        }
        for decision in decisions
    ]
    session.execute(insert(DecisionRow), rows)


def add_bulk_decisions(
    session: Session, changeset_id: int, chosen: FindingFilter, ranks: tuple[int, int] | None = None
) -> int:
    """Accept the pseudo label of everything a filter holds, in one statement, and return how many there are.

    With `ranks` of those from the first to the last of these ranks alone.
    """
    agreeing.make_rows_of(session, chosen, ranks)
    accepted = (
        select(
            literal(changeset_id),
            FindingRow.sample_id,
            FindingRow.id,
            literal(Verdict.ACCEPT.value),
            func.coalesce(FindingRow.own_pseudo, FindingRow.pseudo),
        )
        .where(*matching(chosen), *([] if ranks is None else [FindingRow.rank.between(*ranks)]))
        .order_by(FindingRow.sample_id)  # as the index on samples lies on disk: a third faster
    )
    columns = ["changeset_id", "sample_id", "finding_id", "verdict", "label"]
    statement = insert(DecisionRow).from_select(columns, accepted)
    stored: Any = session.execute(statement, execution_options={"preserve_rowcount": True})
    return int(stored.rowcount)


def ranks_of(session: Session, chosen: FindingFilter, after: int) -> IntArray:
    """Return the ranks above `after` of what a filter holds, ascending, (N,)."""
    found = session.scalars(select(FindingRow.rank).where(*matching(chosen), FindingRow.rank > after))
    in_file = [part["rank"] for part in agreeing.columns_of(session, chosen, "rank")]
    ranks = np.sort(np.concatenate([np.fromiter(found, np.int64), *in_file]).astype(np.int64))
    return ranks[np.searchsorted(ranks, after, side="right") :]


def newest_decision(session: Session) -> int:
    """Return the number of the newest decision, 0 before the first."""
    return session.scalar(select(func.max(DecisionRow.id))) or 0


def change_bulk_act(session: Session, changeset_id: int, *, size: int, live: bool, note: dict[str, Any]) -> None:
    """Write how far a bulk act has come that is stored in parts."""
    session.execute(
        update(ChangesetRow)
        .where(ChangesetRow.id == changeset_id)
        .values(size=size, live=live, note=note)
        .execution_options(synchronize_session=False)
    )


def unfinished_bulk_acts(
    session: Session, *, dataset_id: int | None = None, round_id: int | None = None, apart_from: str = ""
) -> list[Changeset]:
    """Return the bulk acts of which a part is still to be stored, oldest first.

    They are of a dataset, of a round, or all; none of them of the client `apart_from`.
    """
    act = ChangesetRow
    chosen = [act.act == Act.ACCEPT_ALL, act.note[UNFINISHED].as_string().is_not(None)]
    chosen += [] if dataset_id is None else [act.dataset_id == dataset_id]
    chosen += [] if round_id is None else [act.round_id == round_id]
    chosen += [act.client_id.is_distinct_from(apart_from)] if apart_from else []
    return [Changeset(*row) for row in session.execute(_changesets().where(*chosen).order_by(act.id)).all()]


def differing_count(session: Session, round_id: int) -> int:
    """Count the findings of a round that will await a second opinion because annotators differ."""
    count: int = session.scalars(_of_differing(select(func.count(FindingRow.id)), round_id)).one()
    return count


def add_second_opinions(session: Session, changeset_id: int, round_id: int) -> None:
    """Put the findings that `differing_count` counts into second opinion, in one statement."""
    columns = (FindingRow.sample_id, FindingRow.id, literal(Verdict.SECOND_OPINION.value))
    asked = _of_differing(select(literal(changeset_id), *columns), round_id).order_by(FindingRow.sample_id)
    names = ["changeset_id", "sample_id", "finding_id", "verdict"]
    session.execute(insert(DecisionRow).from_select(names, asked))


def set_live(session: Session, changeset_id: int, *, live: bool) -> None:
    """Undo an act, or redo it; its decisions stay."""
    session.execute(
        update(ChangesetRow)
        .where(ChangesetRow.id == changeset_id)
        .values(live=live)
        .execution_options(synchronize_session=False)
    )


def find_by_key(session: Session, client_id: str, client_seq: int) -> int | None:
    """Return the act that a browser has numbered so, None when it never arrived."""
    numbered = (ChangesetRow.client_id == client_id, ChangesetRow.client_seq == client_seq)
    return session.scalar(select(ChangesetRow.id).where(*numbered))


def find_changeset(session: Session, changeset_id: int) -> Changeset | None:
    """Return one act, None when there is none with this id."""
    row = session.execute(_changesets().where(ChangesetRow.id == changeset_id)).one_or_none()
    return None if row is None else Changeset(*row)


def size_of(session: Session, changeset_id: int) -> int:
    """Count the decisions of an act."""
    return session.scalar(select(ChangesetRow.size).where(ChangesetRow.id == changeset_id)) or 0


def find_undoable(session: Session, dataset_id: int, annotator_id: int) -> int | None:
    """Return the annotator's newest act in the dataset that still counts."""
    own = (ChangesetRow.dataset_id == dataset_id, ChangesetRow.annotator_id == annotator_id)
    counts = (ChangesetRow.act.in_(OWN_ACTS), ChangesetRow.live)
    newest = select(ChangesetRow.id).where(*own, *counts).order_by(ChangesetRow.id.desc())
    return session.scalar(newest.limit(1))


def find_redoable(session: Session, dataset_id: int, annotator_id: int) -> int | None:
    """Return the act that the annotator undid last and has not redone; none after a new act."""
    own = (ChangesetRow.dataset_id == dataset_id, ChangesetRow.annotator_id == annotator_id)
    anew = select(ChangesetRow.id).where(*own, ChangesetRow.act.in_(OWN_ACTS), ChangesetRow.size > 0)
    since = session.scalar(anew.order_by(ChangesetRow.id.desc()).limit(1)) or 0
    undone = select(ChangesetRow.id).where(~ChangesetRow.live, ChangesetRow.act.in_(OWN_ACTS))
    undo = select(ChangesetRow.target_id).where(
        *own, ChangesetRow.act == Act.UNDO, ChangesetRow.id > since, ChangesetRow.target_id.in_(undone)
    )
    return session.scalar(undo.order_by(ChangesetRow.id.desc()).limit(1))


def bulk_acts(session: Session, round_id: int) -> list[Changeset]:
    """Return the round's bulk acts that changed something, newest first."""
    of_round = (ChangesetRow.round_id == round_id, ChangesetRow.act == Act.ACCEPT_ALL, ChangesetRow.size > 0)
    rows = session.execute(_changesets().where(*of_round).order_by(ChangesetRow.id.desc())).all()
    return [Changeset(*row) for row in rows]


def live_bulk_acts(session: Session, dataset_id: int) -> list[Changeset]:
    """Return a dataset's bulk acts that changed something and were not undone, oldest first."""
    of_dataset = (ChangesetRow.dataset_id == dataset_id, ChangesetRow.act == Act.ACCEPT_ALL)
    rows = session.execute(
        _changesets().where(*of_dataset, ChangesetRow.live, ChangesetRow.size > 0).order_by(ChangesetRow.id)
    ).all()
    return [Changeset(*row) for row in rows]


def class_acts(session: Session, dataset_id: int) -> list[tuple[int, bool, dict[str, object], str, datetime]]:
    """Return every act on the classes of a dataset, undone ones too, oldest first.

    Each is (changeset, whether it counts, note, annotator, moment).
    """
    columns = (ChangesetRow.id, ChangesetRow.live, ChangesetRow.note, AnnotatorRow.name, ChangesetRow.decided_at)
    query = (
        select(*columns)
        .join(AnnotatorRow, AnnotatorRow.id == ChangesetRow.annotator_id)
        .where(ChangesetRow.dataset_id == dataset_id, ChangesetRow.act == Act.CLASSES)
    )
    found = session.execute(query.order_by(ChangesetRow.id))
    return [(number, live, note, annotator, at) for number, live, note, annotator, at in found]


def acts_noting(session: Session, dataset_id: int, key: str) -> set[int]:
    """Return the acts of a dataset whose note has this key."""
    noted = select(ChangesetRow.id, ChangesetRow.note).where(
        ChangesetRow.dataset_id == dataset_id, ChangesetRow.act == Act.VERDICT, ChangesetRow.round_id.is_(None)
    )
    return {number for number, note in session.execute(noted) if key in note}


def verdicts_in(session: Session, changeset_id: int) -> list[Verdict]:
    """Return the different verdicts of an act."""
    return list(session.scalars(select(DecisionRow.verdict).where(DecisionRow.changeset_id == changeset_id).distinct()))


def findings_affected_by(act: Act, changeset_id: int) -> Select[int] | Select[int | None]:
    """Select the findings whose status or note an act can change.

    A person's verdict on an image does so in every round of the dataset, one on a region only for that finding.
    """
    if act is Act.NOTE:
        return select(NoteRow.finding_id).where(NoteRow.changeset_id == changeset_id)
    own = select(DecisionRow.finding_id).where(DecisionRow.changeset_id == changeset_id)
    if act is Act.ACCEPT_ALL:
        return own
    samples = select(DecisionRow.sample_id).where(DecisionRow.changeset_id == changeset_id)
    concerned = FindingRow.area.is_(None) | FindingRow.id.in_(own)
    return select(FindingRow.id).where(FindingRow.sample_id.in_(samples), concerned)


def some_affected_by(session: Session, changeset: Changeset, limit: int) -> list[int]:
    """Return up to `limit` of the findings an act can move, those of the newest round first."""
    return list(
        session.scalars(findings_affected_by(changeset.act, changeset.id).order_by(text("1 DESC")).limit(limit))
    )


def decisions_of_sample(session: Session, sample_id: int, finding_id: int | None = None) -> list[Decision]:
    """Return every decision on a sample, or on one finding of it, undone ones too, oldest first."""
    merges = merges_of_sample(session, sample_id)
    chosen = decisions_with_people(merges).where(DecisionRow.sample_id == sample_id)
    if finding_id is not None:
        chosen = chosen.where(DecisionRow.finding_id == finding_id)
    return [Decision(*row) for row in session.execute(chosen.order_by(DecisionRow.id)).all()]


def edited_mask(session: Session, changeset_id: int) -> str | None:
    """Return the mask that an act stored, None if it stored none."""
    made = (DecisionRow.changeset_id == changeset_id, DecisionRow.mask_hash.is_not(None))
    return session.scalar(select(DecisionRow.mask_hash).where(*made).limit(1))


def painted_over(session: Session, finding_ids: Sequence[int]) -> set[int]:
    """Return those of these regions whose image was edited after their current decision."""
    return set(session.scalars(_painted_over(), {"findings": finding_ids}))


def decisions_with_people(merges: Merges) -> Select[*tuple[Any, ...]]:
    """Select the columns of `Decision`, to be narrowed and ordered; without merges, labels are as they were stored."""
    bulk = (ChangesetRow.act == Act.ACCEPT_ALL).label("bulk")
    return (
        select(
            DecisionRow.id, DecisionRow.sample_id, DecisionRow.verdict, present(DecisionRow.label, merges), bulk,
            ChangesetRow.live, ChangesetRow.round_id, ChangesetRow.id, AnnotatorRow.name, ChangesetRow.decided_at,
            DecisionRow.finding_id, DecisionRow.mask_hash, DecisionRow.mask_base,
        )
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .join(AnnotatorRow, AnnotatorRow.id == ChangesetRow.annotator_id)
    )  # fmt: skip


@cache
def _painted_over() -> Select[int]:
    """Select the painted-over ones of the findings bound to `findings`; cached, as building is slower than running."""
    edit = aliased(DecisionRow)
    later = (edit.mask_hash.is_not(None), ChangesetRow.live, edit.id > FindingRow.decision_id)
    these = FindingRow.id.in_(bindparam("findings", expanding=True))
    return (
        select(FindingRow.id)
        .join(edit, edit.sample_id == FindingRow.sample_id)
        .join(ChangesetRow, ChangesetRow.id == edit.changeset_id)
        .where(these, FindingRow.area.is_not(None), *later)
    )


def live_decisions(session: Session, dataset_id: int) -> list[Decision]:
    """Return every decision in a dataset that still counts."""
    rows = session.execute(
        decisions_with_people(merges_of(session, dataset_id)).where(
            ChangesetRow.dataset_id == dataset_id, ChangesetRow.live
        )
    ).all()
    return [Decision(*row) for row in rows]


def live_columns(session: Session, dataset_id: int) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """Yield the same decisions, oldest first, in parts of up to 50,000.

    A part has one tuple for each column: sample id, verdict, label, and whether it was made in bulk.
    """
    label = present(DecisionRow.label, merges_of(session, dataset_id))
    bulk = (ChangesetRow.act == Act.ACCEPT_ALL).label("bulk")
    query = (
        select(DecisionRow.sample_id, DecisionRow.verdict, label, bulk)
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .where(ChangesetRow.dataset_id == dataset_id, ChangesetRow.live)
        .order_by(DecisionRow.id)
    )
    for part in session.execute(query, execution_options={"yield_per": _PART}).partitions():
        yield tuple(zip(*part, strict=True))


def verdicts_between(session: Session, dataset_id: int, since: datetime | None, until: datetime) -> dict[str, int]:
    """Return counts of findings by their last decision, by the names of `Status`; undone ones do not count.

    Accepts of a bulk act are "bulk". An edit of an image's mask beside its findings counts once an image.
    """
    counted = [
        ChangesetRow.dataset_id == dataset_id,
        ChangesetRow.live.is_(True),
        ChangesetRow.act.in_(OWN_ACTS),
        ChangesetRow.decided_at <= until,
    ]
    if since is not None:
        counted.append(ChangesetRow.decided_at > since)
    newest = (
        select(func.max(DecisionRow.id))
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .where(*counted)
        .group_by(DecisionRow.sample_id, DecisionRow.finding_id)
    )
    query = (
        select(DecisionRow.verdict, ChangesetRow.act, func.count())
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .where(DecisionRow.id.in_(newest))
        .group_by(DecisionRow.verdict, ChangesetRow.act)
    )
    found: dict[str, int] = {}
    for verdict, act, count in session.execute(query):
        name = Status.BULK.name.lower() if act is Act.ACCEPT_ALL else Verdict(verdict).value
        found[name] = found.get(name, 0) + count
    return found


def newest_changeset(session: Session) -> int:
    """Return the number of the newest act of all annotators, 0 before the first."""
    return session.scalar(select(func.max(ChangesetRow.id))) or 0


def has_newer_act(session: Session, after: int, client: str) -> bool:
    """Return whether an act after this one came from another client than this."""
    elsewhere = or_(ChangesetRow.client_id.is_(None), ChangesetRow.client_id != client)
    newer = select(ChangesetRow.id).where(ChangesetRow.id > after, elsewhere)
    return session.scalar(newer.limit(1)) is not None


def overruled_verdicts(session: Session, round_id: int, annotator_id: int, after: int, limit: int) -> Sequence[Any]:
    """Return a round's findings decided by this annotator, then by another after an act, whose decision counts.

    Each row is (finding id, sample's name, annotator now, status, label, own verdict, own label), newest first. Of the
    own decisions, the last one that counts. Bulk acts decide nothing that a person decided.
    """
    made = func.coalesce(ChangesetRow.target_id, ChangesetRow.id)  # a redo makes its target count again
    recent = select(made).where(ChangesetRow.id > after, ChangesetRow.annotator_id != annotator_id)
    act = aliased(ChangesetRow)
    decided = select(DecisionRow.id, DecisionRow.sample_id).join(act, act.id == DecisionRow.changeset_id)
    theirs = decided.where(DecisionRow.changeset_id.in_(recent), act.act == Act.VERDICT)
    newest = session.execute(
        theirs.order_by(DecisionRow.id.desc()).limit(limit)
    ).all()  # few: looked up one by one below
    if not newest:
        return []
    finding, current, mine = FindingRow, aliased(DecisionRow), aliased(DecisionRow)
    own, own_act = aliased(DecisionRow), aliased(ChangesetRow)
    on_the_same = or_(finding.area.is_(None), own.finding_id == finding.id)
    last_own = (
        select(func.max(own.id))
        .join(own_act, own_act.id == own.changeset_id)
        .where(own.sample_id == finding.sample_id, on_the_same)
        .where(own_act.annotator_id == annotator_id, own_act.live, own_act.act == Act.VERDICT)
        .correlate(finding)
        .scalar_subquery()
    )
    own_label = present(mine.label, merges_of_round(session, round_id))
    query = (
        select(finding.id, SampleRow.name, AnnotatorRow.name, finding.status, finding.label, mine.verdict, own_label)
        .join(current, current.id == finding.decision_id)
        .join(act, act.id == current.changeset_id)
        .join(SampleRow, SampleRow.id == finding.sample_id)
        .join(AnnotatorRow, AnnotatorRow.id == act.annotator_id)
        .join(mine, mine.id == last_own)
        .where(finding.sample_id.in_([row.sample_id for row in newest]))
        .where(finding.decision_id.in_([row.id for row in newest]))
        .where(finding.round_id + 0 == round_id)  # a sum keeps SQLite from beginning with every finding of the round
        .order_by(current.id.desc())
    )
    return session.execute(query).all()


def _of_differing(query: Select[*tuple[Any, ...]], round_id: int) -> Select[*tuple[Any, ...]]:
    """Narrow a query to a round's open findings on images whose annotators differ, once for each image.

    An image that was in second opinion before, even if that was undone, is left out.
    """
    asked = exists().where(DecisionRow.sample_id == FindingRow.sample_id, DecisionRow.verdict == Verdict.SECOND_OPINION)
    return query.join(SampleRow, SampleRow.id == FindingRow.sample_id).where(
        FindingRow.round_id == round_id, FindingRow.status == Status.OPEN, SampleRow.annotators_differ, ~asked
    )


def _changesets() -> Select[*tuple[Any, ...]]:
    changeset = ChangesetRow
    return select(
        changeset.id, changeset.dataset_id, changeset.round_id, AnnotatorRow.name, changeset.act, changeset.target_id,
        changeset.live, changeset.size, changeset.note, changeset.decided_at,
    ).join(AnnotatorRow, AnnotatorRow.id == changeset.annotator_id)  # fmt: skip
