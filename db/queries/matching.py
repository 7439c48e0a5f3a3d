"""Matches of staged images to samples: same path and content, else same content, else same path.

In this order, so that images that were moved or renamed, even to each other's paths, stay the samples they are; only an
image left at a known path, with a content that no sample has, was changed there.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, String, and_, case, cast, func, or_, select, update
from sqlalchemy.orm import Session

from db.hidden import WITH_DELETED
from db.models import DecisionRow, ImportRow, IncomingRow, SampleRow, TaggingRow
from db.queries.imports import in_scope
from db.queries.merges import merges_of, present

Span = tuple[int, int]  # first and last id of staged images
LostLabels = tuple[dict[int, int], dict[tuple[int, int | None], int]]
Addresses = Mapping[str, Sequence["Address"]]  # by content hash


@dataclass(frozen=True, slots=True)
class Address:
    """One image, known or found, of the content at hand. `decided` only matters for known ones."""

    id: int
    name: str  # relative to the root
    label: int | None
    vanished: bool = False
    decided: bool = False
    path: str = ""
    in_scope: bool = True  # of the import; else it came from another source of the dataset


def spans(session: Session, import_id: int, size: int) -> list[Span]:
    """Return the staged images' ids in spans of `size`, for short transactions."""
    first, last = session.execute(
        select(func.min(IncomingRow.id), func.max(IncomingRow.id)).where(IncomingRow.import_id == import_id)
    ).one()
    return [] if first is None else [(at, at + size - 1) for at in range(first, last + 1, size)]


def match_unmoved(session: Session, import_id: int, dataset_id: int, span: Span) -> None:
    """Match staged images with the samples that are at their path with their content, and were there before."""
    same = and_(SampleRow.content_hash == IncomingRow.content_hash, SampleRow.vanished_at.is_(None))
    _match_by_path(session, import_id, dataset_id, span, same)


def match_changed(session: Session, import_id: int, dataset_id: int, span: Span) -> None:
    """Match the staged images that are left with the samples at their paths that are left, whatever they held."""
    matched = select(IncomingRow.sample_id).where(
        IncomingRow.import_id == import_id, IncomingRow.sample_id.is_not(None)
    )
    _match_by_path(session, import_id, dataset_id, span, SampleRow.id.not_in(matched))


def unmatched(session: Session, import_id: int, dataset_id: int) -> tuple[Addresses, Addresses]:
    """Return the samples that no staged image is matched with, and the staged images of their contents.

    Where an import reads the dataset's root, samples of added folders are among them.
    """
    request = session.scalar(select(ImportRow.request).where(ImportRow.id == import_id)) or {}
    scope = in_scope(session, import_id, dataset_id)
    waiting = and_(IncomingRow.import_id == import_id, IncomingRow.sample_id.is_(None))
    left = and_(SampleRow.dataset_id == dataset_id, ~_is_matched(import_id))
    left = and_(left, scope) if request.get("unlabelled") else left
    contents = select(IncomingRow.content_hash).where(waiting)
    decided = or_(
        select(DecisionRow.id).where(DecisionRow.sample_id == SampleRow.id).exists(),
        select(TaggingRow.id).where(TaggingRow.sample_id == SampleRow.id).exists(),
    )
    columns = (
        SampleRow.id,
        SampleRow.name,
        SampleRow.label,
        SampleRow.vanished_at.is_not(None) | SampleRow.removed_by.is_not(None),  # those present come first
        decided,
        SampleRow.path,
    )
    known: dict[str, list[Address]] = defaultdict(list)
    query = select(SampleRow.content_hash, *columns, case((scope, True), else_=False)).where(
        left, SampleRow.content_hash.in_(contents)
    )
    for content, *facts in session.execute(query, execution_options=WITH_DELETED):  # removed ones, to stay so
        known[content].append(Address(*facts))
    found: dict[str, list[Address]] = defaultdict(list)
    if known:
        staged = select(IncomingRow.content_hash, IncomingRow.id, IncomingRow.name, IncomingRow.label).where(waiting)
        for content, id_, name, label in session.execute(staged):
            if content in known:
                found[content].append(Address(id_, name, label))
    return known, found


def match(session: Session, pairs: Sequence[tuple[int, int]]) -> None:
    """Match samples with staged images, as (sample, staged image)."""
    session.execute(update(IncomingRow), [{"id": staged, "sample_id": sample} for sample, staged in pairs])


def removed_ones(session: Session, import_id: int, dataset_id: int) -> list[tuple[int, str, int]]:
    """Return the removed images that staged ones are, as (sample, path of the staged one, deletion that hides it)."""
    query = (
        select(SampleRow.id, IncomingRow.path, SampleRow.removed_by)
        .join(IncomingRow, and_(IncomingRow.import_id == import_id, IncomingRow.sample_id == SampleRow.id))
        .where(SampleRow.dataset_id == dataset_id, SampleRow.removed_by.is_not(None))
        .order_by(SampleRow.id)
    )
    found = session.execute(query, execution_options=WITH_DELETED)
    return [(sample_id, path, deletion) for sample_id, path, deletion in found if deletion is not None]


def free_paths(session: Session, import_id: int, dataset_id: int) -> None:
    """Take paths from samples that are no longer there but whose place another image takes in this import.

    A moved sample gets its new path right after; one that vanished keeps this mark, and is found by its content.
    """
    taken = select(IncomingRow.id).where(
        IncomingRow.import_id == import_id,
        IncomingRow.path == SampleRow.path,
        IncomingRow.sample_id.is_distinct_from(SampleRow.id),
    )
    marked = SampleRow.path + "?sample=" + cast(SampleRow.id, String)
    freed = update(SampleRow).where(SampleRow.dataset_id == dataset_id, taken.exists()).values(path=marked)
    session.execute(freed.execution_options(synchronize_session=False))


def count_found(session: Session, import_id: int, dataset_id: int) -> tuple[int, int]:
    """Return how many images of an import's scope are there before it, and how many of them it has by content."""
    present = (
        SampleRow.dataset_id == dataset_id,
        SampleRow.vanished_at.is_(None),
        in_scope(session, import_id, dataset_id),
    )
    count = select(func.count()).select_from(SampleRow).where(*present)
    found = (  # a join: staged images have no index by sample, so that looking them up for each is quadratic
        select(func.count())
        .select_from(IncomingRow)
        .join(SampleRow, SampleRow.id == IncomingRow.sample_id)
        .where(IncomingRow.import_id == import_id, IncomingRow.content_hash == SampleRow.content_hash, *present)
    )
    return session.scalars(count).one(), session.scalars(found).one()


def lost_labels(session: Session, import_id: int, dataset_id: int) -> LostLabels:
    """Return the images of each class that no staged image is labelled as, and what those found are labelled now.

    The second counts by (label, label now), None where there is none now. Merged classes are one class.
    """
    merges = merges_of(session, dataset_id)
    staged = present(IncomingRow.label, merges)
    labelled = select(staged).where(IncomingRow.import_id == import_id, IncomingRow.label.is_not(None))
    lost = (
        SampleRow.dataset_id == dataset_id,
        SampleRow.vanished_at.is_(None),
        present(SampleRow.label, merges).not_in(labelled),
        in_scope(session, import_id, dataset_id),
    )
    query = select(SampleRow.label, func.count()).where(*lost).group_by(SampleRow.label)
    before = {label: count for label, count in session.execute(query) if label is not None}
    if not before:
        return {}, {}
    found = (
        select(SampleRow.label, IncomingRow.label, func.count())
        .join(IncomingRow, and_(IncomingRow.import_id == import_id, IncomingRow.sample_id == SampleRow.id))
        .where(*lost)
        .group_by(SampleRow.label, IncomingRow.label)
    )
    return before, {(of, to): count for of, to, count in session.execute(found) if of is not None}


def _match_by_path(
    session: Session, import_id: int, dataset_id: int, span: Span, condition: ColumnElement[bool]
) -> None:
    found = (
        select(SampleRow.id)
        .where(SampleRow.dataset_id == dataset_id, SampleRow.path == IncomingRow.path, condition)
        .correlate(IncomingRow)
        .scalar_subquery()
    )
    unmatched = (
        IncomingRow.import_id == import_id, IncomingRow.sample_id.is_(None), IncomingRow.id.between(*span),
    )  # fmt: skip
    matched = update(IncomingRow).where(*unmatched).values(sample_id=found)
    session.execute(matched.execution_options(synchronize_session=False))


def _is_matched(import_id: int) -> ColumnElement[bool]:
    matched = select(IncomingRow.sample_id).where(
        IncomingRow.import_id == import_id, IncomingRow.sample_id.is_not(None)
    )
    return SampleRow.id.in_(matched)
