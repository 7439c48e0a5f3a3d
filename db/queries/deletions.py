"""Deletions of datasets, rounds and images: contents, hiding, restoring, and final removal of rows.

Removed images are hidden with their findings, and shown again with them; what they carried stays until it is final.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.types import Act, DeletionKind, FindingFilter, JobStatus
from db.models import (
    AuditLeaseRow,
    AuditRow,
    ChangesetRow,
    DatasetRow,
    DecisionRow,
    DeletionRow,
    ExportRow,
    FindingCountRow,
    FindingRow,
    FoldRunRow,
    ImportChangeRow,
    ImportRow,
    IncomingRow,
    MadeFindingRow,
    NoteRow,
    ProblemRow,
    RoundRow,
    SampleRow,
    ShardRunRow,
    TaggingRow,
)
from db.queries import agreeing, audits, projection
from db.queries.filters import matching
from db.visibility import WITH_DELETED

KEPT = timedelta(days=7)
_UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)
_CHUNK = 1_000  # ids named in one statement


@dataclass(frozen=True, slots=True)
class Deletion:
    """One deletion; `held` are counts and bytes at its time."""

    id: int
    kind: DeletionKind
    dataset_id: int
    round_id: int | None
    import_id: int | None
    name: str
    held: dict[str, Any]
    deleted_by: str
    deleted_at: datetime


def days_left(deletion: Deletion, now: datetime | None = None) -> int:
    """Return the number of days left to restore a deletion, including the current one."""
    left = deletion.deleted_at + KEPT - (now or datetime.now(UTC))
    return max(0, -(-left // timedelta(days=1)))


def dataset_contents(session: Session, dataset_id: int) -> dict[str, int]:
    """Count the images, verdicts of people, labels accepted in bulk, rounds and exports of a dataset."""
    decisions = select(func.count(DecisionRow.id)).join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
    live = (ChangesetRow.dataset_id == dataset_id, ChangesetRow.live)
    counts: dict[str, Select[Any]] = {
        "images": select(func.count(SampleRow.id)).where(SampleRow.dataset_id == dataset_id),
        "verdicts": decisions.where(*live, ChangesetRow.act == Act.VERDICT),
        "accepted in bulk": decisions.where(*live, ChangesetRow.act == Act.ACCEPT_ALL),
        "rounds": select(func.count(RoundRow.id)).where(RoundRow.dataset_id == dataset_id),
        "exports": select(func.count(ExportRow.id)).where(ExportRow.dataset_id == dataset_id),
    }
    return {name: session.scalar(query) or 0 for name, query in counts.items()}


def round_contents(session: Session, round_id: int) -> dict[str, int]:
    """Count the findings of a round."""
    rows = session.scalar(select(func.count(FindingRow.id)).where(FindingRow.round_id == round_id)) or 0
    return {"findings": rows + agreeing.count_of_round(session, round_id)}


def round_ids(session: Session, dataset_id: int) -> list[int]:
    """Return the ids of a dataset's rounds, deleted ones too."""
    query = select(RoundRow.id).where(RoundRow.dataset_id == dataset_id)
    return list(session.scalars(query, execution_options=WITH_DELETED))


def opened_rounds(session: Session) -> list[tuple[int, JobStatus, str]]:
    """Return id, status and snapshot hash of every round that has opened, deleted ones too."""
    query = select(RoundRow.id, RoundRow.status, RoundRow.snapshot_hash).where(RoundRow.snapshot_hash.is_not(None))
    found = session.execute(query.order_by(RoundRow.id), execution_options=WITH_DELETED)
    return [(number, status, digest) for number, status, digest in found if digest is not None]


def at_work(session: Session, dataset_id: int) -> str:
    """Return the kind of unfinished job of a dataset: "round", "import", "export", or "" without one."""
    for word, row in (("round", RoundRow), ("import", ImportRow), ("export", ExportRow)):
        unfinished = select(row.id).where(row.dataset_id == dataset_id, row.status.in_(_UNFINISHED))
        if session.scalar(unfinished.limit(1)) is not None:
            return word
    return ""


def add(session: Session, deletion: dict[str, Any]) -> Deletion:
    """Store a deletion; the caller hides the objects it names."""
    row = DeletionRow(**deletion)
    session.add(row)
    session.flush()
    return _deletion(row)


def hide(session: Session, deletion: Deletion) -> None:
    """Hide a dataset or a round; a dataset's name is free from now on."""
    if deletion.kind is DeletionKind.ROUND:
        session.execute(update(RoundRow).where(RoundRow.id == deletion.round_id).values(deleted_at=deletion.deleted_at))
    else:
        away = {"deleted_at": deletion.deleted_at, "name": f"deleted {deletion.id}"}
        session.execute(update(DatasetRow).where(DatasetRow.id == deletion.dataset_id).values(**away))


def show_again(session: Session, deletion: Deletion, name: str) -> None:
    """Bring back a dataset, under this name, or a round."""
    if deletion.kind is DeletionKind.ROUND:
        session.execute(update(RoundRow).where(RoundRow.id == deletion.round_id).values(deleted_at=None))
    else:
        here = {"deleted_at": None, "name": name}
        session.execute(update(DatasetRow).where(DatasetRow.id == deletion.dataset_id).values(**here))


def set_restored(session: Session, deletion_id: int, now: datetime) -> None:
    """Mark a deletion as restored."""
    session.execute(update(DeletionRow).where(DeletionRow.id == deletion_id).values(restored_at=now))


def restorable(session: Session) -> list[Deletion]:
    """Return the restorable deletions, newest first; parts of a deleted dataset are restored with it."""
    of_present = (DeletionRow.kind == DeletionKind.DATASET) | DeletionRow.dataset_id.in_(select(DatasetRow.id))
    return _restorable(session, of_present)[::-1]


def list_removals(session: Session, dataset_id: int) -> list[tuple[Deletion, datetime | None]]:
    """Return every removal of images and every undone import of a dataset with when it was restored, newest first."""
    kinds = DeletionRow.kind.in_([DeletionKind.IMAGES, DeletionKind.IMPORT])
    rows = session.scalars(
        select(DeletionRow).where(DeletionRow.dataset_id == dataset_id, kinds).order_by(DeletionRow.id.desc())
    )
    return [(_deletion(row), row.restored_at) for row in rows]


def find_round_deletion(session: Session, round_id: int) -> Deletion | None:
    """Return the deletion that hides a round, its own or its dataset's; None if it is visible or purged."""
    dataset_id = session.scalar(
        select(RoundRow.dataset_id).where(RoundRow.id == round_id), execution_options=WITH_DELETED
    )
    own = _restorable(session, DeletionRow.round_id == round_id)
    if own or dataset_id is None:
        return next(iter(own), None)
    return find_dataset_deletion(session, dataset_id)


def find_dataset_deletion(session: Session, dataset_id: int) -> Deletion | None:
    """Return the deletion that hides a dataset; None if it is visible or purged."""
    of_it = (DeletionRow.kind == DeletionKind.DATASET) & (DeletionRow.dataset_id == dataset_id)
    return next(iter(_restorable(session, of_it)), None)


def find_image_deletion(session: Session, sample_id: int) -> tuple[Deletion, str] | None:
    """Return the deletion that hides an image's dataset, with the image's name; None as `find_dataset_deletion`."""
    query = select(SampleRow.dataset_id, SampleRow.name).where(SampleRow.id == sample_id)
    image = session.execute(query, execution_options=WITH_DELETED).one_or_none()
    deletion = None if image is None else find_dataset_deletion(session, image.dataset_id)
    return None if image is None or deletion is None else (deletion, image.name)


def deleted_datasets(session: Session) -> set[str]:
    """Return the names of all datasets that were deleted and not restored, those that are gone for good too."""
    gone = select(DeletionRow.name).where(DeletionRow.kind == DeletionKind.DATASET, DeletionRow.restored_at.is_(None))
    return set(session.scalars(gone))


def due(session: Session, before: datetime) -> list[Deletion]:
    """Return the deletions made before a time that are neither restored nor final, oldest first."""
    return _restorable(session, DeletionRow.deleted_at < before)


def remove_some_findings(session: Session, round_id: int, limit: int) -> int:
    """Remove up to this number of findings of a round without decisions and notes; return their number."""
    decided = exists().where(DecisionRow.finding_id == FindingRow.id)
    noted = exists().where(NoteRow.finding_id == FindingRow.id)
    leased = exists().where(AuditLeaseRow.finding_id == FindingRow.id)
    free = select(FindingRow.id).where(FindingRow.round_id == round_id, ~decided, ~noted, ~leased)
    made = select(MadeFindingRow.id).where(MadeFindingRow.round_id == round_id)
    for column, belongs in ((FindingRow.id, free), (MadeFindingRow.id, made)):
        found = list(session.scalars(belongs.limit(limit), execution_options=WITH_DELETED))
        if found:
            return remove_rows(session, column, found)
    return 0


def remove_some_of_dataset(session: Session, dataset_id: int, limit: int) -> int:
    """Remove up to this number of rows of a dataset, referring rows first; 0 once only its own row is left."""
    for column, belongs in _rows_of(dataset_id):
        later_first = select(column).where(belongs).order_by(column.desc()).limit(limit)  # rows name earlier ones
        found = list(session.scalars(later_first, execution_options=WITH_DELETED))
        if found:
            return remove_rows(session, column, found)
    return 0


def finish(session: Session, deletion: Deletion, now: datetime) -> None:
    """Remove a dataset's own row, and mark a deletion as final."""
    if deletion.kind is DeletionKind.DATASET:
        session.execute(delete(DatasetRow).where(DatasetRow.id == deletion.dataset_id))
    session.execute(update(DeletionRow).where(DeletionRow.id == deletion.id).values(purged_at=now))


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


def hide_images(session: Session, dataset_id: int, deletion_id: int, ids: Sequence[int]) -> None:
    """Hide images and their findings; those hidden already stay with the deletion that hid them."""
    for some in _chunks(ids):
        hidden = update(SampleRow).where(SampleRow.id.in_(some), SampleRow.removed_by.is_(None))
        session.execute(hidden.values(removed_by=deletion_id).execution_options(synchronize_session=False))
    _move_findings(session, dataset_id, ids)


def images_hidden_by(session: Session, deletion_id: int) -> list[int]:
    """Return the images that a deletion hides."""
    query = select(SampleRow.id).where(SampleRow.removed_by == deletion_id).order_by(SampleRow.id)
    return list(session.scalars(query, execution_options=WITH_DELETED))


def show_images(session: Session, dataset_id: int, ids: Sequence[int], values: dict[str, Any] | None = None) -> None:
    """Restore images with their findings, and set these columns."""
    for some in _chunks(ids):
        shown = update(SampleRow).where(SampleRow.id.in_(some)).values(removed_by=None, **(values or {}))
        session.execute(shown.execution_options(synchronize_session=False))
    _move_findings(session, dataset_id, ids)


def removals_by_people(session: Session, dataset_id: int) -> set[int]:
    """Return the removals of images of a dataset by people that were not restored, without undone imports."""
    removal = (DeletionRow.dataset_id == dataset_id, DeletionRow.kind == DeletionKind.IMAGES)
    return set(session.scalars(select(DeletionRow.id).where(*removal, DeletionRow.restored_at.is_(None))))


def removed_count(session: Session, dataset_id: int) -> int:
    """Count the images of a dataset that people removed, including those that are permanently deleted."""
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


def edited_images(session: Session, ids: Sequence[int]) -> list[int]:
    """Return those of these images whose mask was ever edited."""
    found: set[int] = set()
    for some in _chunks(ids):
        masks = select(DecisionRow.sample_id).where(DecisionRow.sample_id.in_(some), DecisionRow.mask_hash.is_not(None))
        found |= set(session.scalars(masks))
    return sorted(found)


def remove_some_of_images(session: Session, deletion_id: int, limit: int) -> int:
    """Remove up to this number of rows of images that a deletion hides, referring rows first; 0 once none is left.

    Audits keep the ids of removed findings; acts keep their size.
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


def _restorable(session: Session, chosen: ColumnElement[bool]) -> list[Deletion]:
    """Return those of the chosen deletions that are neither restored nor final, oldest first."""
    open_ones = (DeletionRow.restored_at.is_(None), DeletionRow.purged_at.is_(None))
    rows = session.scalars(select(DeletionRow).where(*open_ones, chosen).order_by(DeletionRow.id))
    return [_deletion(row) for row in rows]


def _deletion(row: DeletionRow) -> Deletion:
    return Deletion(*(getattr(row, name) for name in Deletion.__slots__))


def remove_rows(session: Session, column: InstrumentedAttribute[int], ids: Sequence[int]) -> int:
    """Remove the rows that have these ids, and return how many there were."""
    session.execute(delete(column.class_).where(column.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def _rows_of(dataset_id: int) -> list[tuple[InstrumentedAttribute[int], ColumnElement[bool]]]:
    """Return each table's ids with the condition that a row is of the dataset; referring tables come first."""
    rounds = select(RoundRow.id).where(RoundRow.dataset_id == dataset_id)
    samples = select(SampleRow.id).where(SampleRow.dataset_id == dataset_id)
    imports = select(ImportRow.id).where(ImportRow.dataset_id == dataset_id)
    acts = select(ChangesetRow.id).where(ChangesetRow.dataset_id == dataset_id)
    audits = select(AuditRow.id).where(AuditRow.dataset_id == dataset_id)
    return [
        (AuditLeaseRow.id, AuditLeaseRow.audit_id.in_(audits)),
        (DecisionRow.id, DecisionRow.changeset_id.in_(acts)),
        (NoteRow.id, NoteRow.changeset_id.in_(acts)),
        (ChangesetRow.id, ChangesetRow.dataset_id == dataset_id),
        (AuditRow.id, AuditRow.dataset_id == dataset_id),
        (FindingCountRow.id, FindingCountRow.round_id.in_(rounds)),
        (FindingRow.id, FindingRow.round_id.in_(rounds)),
        (MadeFindingRow.id, MadeFindingRow.round_id.in_(rounds)),
        (FoldRunRow.id, FoldRunRow.round_id.in_(rounds)),
        (ShardRunRow.id, ShardRunRow.round_id.in_(rounds)),
        (RoundRow.id, RoundRow.dataset_id == dataset_id),
        (TaggingRow.id, TaggingRow.sample_id.in_(samples)),
        (ImportChangeRow.id, ImportChangeRow.import_id.in_(imports)),
        (IncomingRow.id, IncomingRow.import_id.in_(imports)),
        (ProblemRow.id, ProblemRow.import_id.in_(imports)),
        (ImportRow.id, ImportRow.dataset_id == dataset_id),
        (ExportRow.id, ExportRow.dataset_id == dataset_id),
        (SampleRow.id, SampleRow.dataset_id == dataset_id),
    ]


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
