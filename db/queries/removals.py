"""Removal of images from a dataset: selection, hiding with their findings, and final removal of their rows.

A removed image names the deletion that hides it. Verdicts, notes and tags on it stay and show again with it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from core.types import Act, DeletionKind, FindingFilter
from db.hidden import WITH_DELETED
from db.models import (
    AuditLeaseRow,
    ChangesetRow,
    DecisionRow,
    DeletionRow,
    FindingRow,
    ImportChangeRow,
    IncomingRow,
    NoteRow,
    RoundRow,
    SampleRow,
    TaggingRow,
)
from db.queries import agreeing, audits, projection
from db.queries.deletions import remove_rows
from db.queries.filters import matching

_CHUNK = 1_000  # ids named in one statement


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalFilter:
    """Images of a dataset; None or empty means any. `label` is the given class, `NO_LABEL` for images without one."""

    dataset_id: int
    label: int | None = None
    split: str | None = None
    path_contains: str = ""


def ids_by_removal_filter(session: Session, chosen: RemovalFilter, no_label: int) -> list[int]:
    """Return the images of a filter that are still there."""
    wanted = [SampleRow.dataset_id == chosen.dataset_id, SampleRow.vanished_at.is_(None)]
    if chosen.label == no_label:
        wanted += [SampleRow.label.is_(None), SampleRow.mask_hash.is_(None)]
    elif chosen.label is not None:
        wanted.append(SampleRow.label == chosen.label)
    if chosen.split is not None:
        wanted.append(SampleRow.split == chosen.split)
    if chosen.path_contains:
        wanted.append(SampleRow.name.icontains(chosen.path_contains, autoescape=True))
    return list(session.scalars(select(SampleRow.id).where(*wanted).order_by(SampleRow.id)))


def ids_by_finding_filter(session: Session, chosen: FindingFilter) -> list[int]:
    """Return the images that have a finding in a filter."""
    found = set(session.scalars(select(FindingRow.sample_id).where(*matching(chosen))))
    for columns in agreeing.columns_of(session, chosen, "sample_id"):
        found.update(columns["sample_id"].tolist())
    return sorted(found)


def present_ids(session: Session, dataset_id: int, ids: Sequence[int]) -> list[int]:
    """Return those of these ids that are images of the dataset, and not removed."""
    found: list[int] = []
    for some in _chunks(ids):
        of_dataset = SampleRow.dataset_id + 0 == dataset_id  # a sum keeps SQLite from reading the whole dataset
        here = select(SampleRow.id).where(SampleRow.id.in_(some), of_dataset)
        found += session.scalars(here)
    return sorted(found)


def count_attached(session: Session, dataset_id: int, ids: Sequence[int]) -> tuple[dict[str, int], int]:
    """Return counts of live decisions and tags on these images, and of the rounds with findings of them."""
    counts = {Act.VERDICT: 0, Act.ACCEPT_ALL: 0}
    tagged, rounds = 0, set[int]()
    others = set(session.scalars(select(RoundRow.id).where(RoundRow.dataset_id == dataset_id)))
    for some in _chunks(ids):
        decided = (
            select(ChangesetRow.act, func.count(DecisionRow.id))
            .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
            .where(DecisionRow.sample_id.in_(some), ChangesetRow.live)
            .group_by(ChangesetRow.act)
        )
        for act, count in session.execute(decided):
            counts[act] = counts.get(act, 0) + count
        people = TaggingRow.annotator_id.is_not(None)
        of_people = select(func.count(TaggingRow.sample_id.distinct())).where(TaggingRow.sample_id.in_(some), people)
        tagged += session.scalar(of_people) or 0
        # a sum keeps the round's indexes out: the first finding by sample answers
        of_these = (FindingRow.sample_id.in_(some), FindingRow.round_id + 0 == RoundRow.id)
        found = select(RoundRow.id).where(RoundRow.id.in_(others), select(FindingRow.id).where(*of_these).exists())
        rounds |= set(session.scalars(found)) if others else set()
        others -= rounds
        rounds |= {one for one in others if agreeing.count_of_samples(session, one, some)}
        others -= rounds
    held = {"verdicts": counts[Act.VERDICT], "accepted in bulk": counts[Act.ACCEPT_ALL], "tags": tagged}
    return {"images": len(ids)} | held, len(rounds)


def hide(session: Session, dataset_id: int, deletion_id: int, ids: Sequence[int]) -> None:
    """Hide images and their findings; those hidden already stay with the deletion that hid them."""
    for some in _chunks(ids):
        hidden = update(SampleRow).where(SampleRow.id.in_(some), SampleRow.removed_by.is_(None))
        session.execute(hidden.values(removed_by=deletion_id).execution_options(synchronize_session=False))
    _move_findings(session, dataset_id, ids)


def hidden_by(session: Session, deletion_id: int) -> list[int]:
    """Return the images that a deletion hides."""
    query = select(SampleRow.id).where(SampleRow.removed_by == deletion_id).order_by(SampleRow.id)
    return list(session.scalars(query, execution_options=WITH_DELETED))


def show(session: Session, dataset_id: int, ids: Sequence[int], values: dict[str, Any] | None = None) -> None:
    """Show images again with their findings, and write these columns of them."""
    for some in _chunks(ids):
        shown = update(SampleRow).where(SampleRow.id.in_(some)).values(removed_by=None, **(values or {}))
        session.execute(shown.execution_options(synchronize_session=False))
    _move_findings(session, dataset_id, ids)


def removals_by_people(session: Session, dataset_id: int) -> set[int]:
    """Return the removals of images of a dataset that people made and did not take back; undone imports are none."""
    removal = (DeletionRow.dataset_id == dataset_id, DeletionRow.kind == DeletionKind.IMAGES)
    return set(session.scalars(select(DeletionRow.id).where(*removal, DeletionRow.restored_at.is_(None))))


def removed_count(session: Session, dataset_id: int) -> int:
    """Return how many images of a dataset people removed, those that are gone for good too."""
    deletion = DeletionRow
    removal = (deletion.dataset_id == dataset_id, deletion.kind == DeletionKind.IMAGES)
    hidden = (
        select(func.count())
        .select_from(SampleRow)
        .join(deletion, deletion.id == SampleRow.removed_by)
        .where(SampleRow.dataset_id == dataset_id, *removal)
    )
    gone = select(deletion.held).where(*removal, deletion.purged_at.is_not(None))
    present: int = session.scalars(hidden, execution_options=WITH_DELETED).one()
    return present + sum(int(held.get("images", 0)) for held in session.scalars(gone))


def covers(session: Session, dataset_id: int, report: dict[str, Any]) -> list[str]:
    """Return the pictures of a dataset's card whose images are still there, or of its first images where none is."""
    former = list(report.get("covers", ()))
    here = (SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    left = set(session.scalars(select(SampleRow.content_hash).where(*here, SampleRow.content_hash.in_(former))))
    kept = [one for one in former if one in left]
    first = select(SampleRow.content_hash).where(*here).order_by(SampleRow.id).limit(len(former))
    return kept or list(session.scalars(first))


def edited(session: Session, ids: Sequence[int]) -> list[int]:
    """Return those of these images whose mask was ever edited."""
    found: set[int] = set()
    for some in _chunks(ids):
        masks = select(DecisionRow.sample_id).where(DecisionRow.sample_id.in_(some), DecisionRow.mask_hash.is_not(None))
        found |= set(session.scalars(masks))
    return sorted(found)


def remove_some(session: Session, deletion_id: int, limit: int) -> int:
    """Remove rows about images that a deletion hides, up to so many, what refers to others first; 0 once none is left.

    Audits keep the ids of findings that are gone; acts keep their size.
    """
    images = select(SampleRow.id).where(SampleRow.removed_by == deletion_id)
    findings = select(FindingRow.id).where(FindingRow.sample_id.in_(images))
    for column, belongs in (
        (AuditLeaseRow.id, AuditLeaseRow.finding_id.in_(findings)),
        (NoteRow.id, NoteRow.sample_id.in_(images)),
        (DecisionRow.id, DecisionRow.sample_id.in_(images)),
        (TaggingRow.id, TaggingRow.sample_id.in_(images)),
        (ImportChangeRow.id, ImportChangeRow.sample_id.in_(images)),
        (FindingRow.id, FindingRow.sample_id.in_(images)),
        (SampleRow.id, SampleRow.removed_by == deletion_id),
    ):
        later_first = select(column).where(belongs).order_by(column.desc()).limit(limit)
        found = list(session.scalars(later_first, execution_options=WITH_DELETED))
        if not found:
            continue
        if column is FindingRow.id:
            projection.uncount(session, found)
        if column is SampleRow.id:
            session.execute(delete(IncomingRow).where(IncomingRow.sample_id.in_(found)))
        return remove_rows(session, column, found)
    return 0


def _move_findings(session: Session, dataset_id: int, ids: Sequence[int]) -> None:
    if not ids:
        return
    agreeing.make_rows(session, ids)
    for some in _chunks(ids):
        of_these: Select[int] = select(FindingRow.id).where(FindingRow.sample_id.in_(some))
        projection.project(session, of_these)
    audits.count_removed(session, dataset_id)


def _chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    listed = list(ids)
    for start in range(0, len(listed), _CHUNK):
        yield listed[start : start + _CHUNK]
