"""Classes of a dataset: their uses, and counts of given and current labels."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.types import FindingKind, JobStatus
from db.models import ChangesetRow, DecisionRow, FindingCountRow, FindingRow, RoundRow, SampleRow
from db.queries import tags
from db.queries.datasets import merges_of, present
from db.queries.filters import TODO


def labels_of_class(session: Session, dataset_id: int, class_id: int) -> int:
    """Count the images that have a class itself: given, by a valid decision, or by their newest tags."""
    given = select(SampleRow.id).where(SampleRow.dataset_id == dataset_id, SampleRow.label == class_id)
    decided = (
        select(DecisionRow.sample_id)
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .where(ChangesetRow.dataset_id == dataset_id, ChangesetRow.live, DecisionRow.label == class_id)
    )
    found = set(session.scalars(given.union(decided)))
    tagged = tags.stored_tags(session, dataset_id)
    return len(found | {sample for sample, tagging in tagged.items() if class_id in (tagging.classes or ())})


def labels_in(session: Session, changeset_id: int) -> set[int]:
    """Return the class ids that the decisions of an act name."""
    labels = select(DecisionRow.label).where(DecisionRow.changeset_id == changeset_id, DecisionRow.label.is_not(None))
    return {label for label in session.scalars(labels.distinct()) if label is not None}


def masks_edited_since(session: Session, dataset_id: int, changeset_id: int) -> set[str]:
    """Return the masks that edits which count have stored after an act."""
    query = (
        select(DecisionRow.mask_hash)
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .where(ChangesetRow.dataset_id == dataset_id, ChangesetRow.live, ChangesetRow.id > changeset_id)
        .where(DecisionRow.mask_hash.is_not(None))
    )
    return {name for name in session.scalars(query.distinct()) if name is not None}


def given_counts(session: Session, dataset_id: int) -> dict[int, int]:
    """Count the images with each given class."""
    here = (SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None), SampleRow.label.is_not(None))
    label: Any = present(SampleRow.label, merges_of(session, dataset_id)).label("meant")
    counted = session.execute(select(label, func.count()).where(*here).group_by("meant"))
    return {row[0]: row[1] for row in counted}


def region_counts(session: Session, dataset_id: int) -> dict[int, int]:
    """Count the regions of masks that verdicts gave each class."""
    rounds = select(RoundRow.id).where(RoundRow.dataset_id == dataset_id)
    decided = (FindingRow.round_id.in_(rounds), FindingRow.area.is_not(None), FindingRow.label.is_not(None))
    query = select(FindingRow.label, func.count()).where(*decided).group_by(FindingRow.label)
    return {label: count for label, count in session.execute(query) if label is not None}


def newest_round(session: Session, dataset_id: int) -> int | None:
    """Return the newest finished round of a dataset."""
    done = (RoundRow.dataset_id == dataset_id, RoundRow.status == JobStatus.DONE)
    return session.scalar(select(func.max(RoundRow.id)).where(*done))


def finding_counts(session: Session, round_id: int | None, *, undecided: bool) -> dict[tuple[int, int], int]:
    """Return the findings of a round by (given, suggested) class: all, or those that contradict and are undecided."""
    pair = (FindingCountRow.given, FindingCountRow.pseudo)
    query = select(*pair, func.sum(FindingCountRow.count)).where(FindingCountRow.round_id == round_id).group_by(*pair)
    if undecided:
        query = query.where(FindingCountRow.kind == FindingKind.SUSPICIOUS, FindingCountRow.status.in_(TODO))
    return {(given, pseudo): int(count) for given, pseudo, count in session.execute(query) if count}
