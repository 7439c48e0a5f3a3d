"""Staged images of an import: rows outside the dataset, matched with its samples and merged by set-based statements.

Staging and matching take as long as they take, in short transactions; `merge` is the only one that others wait for.

Matches are made by the same path and content, else the same content (pairs of `unmatched` images), else the same path.
In this order, so that images that were moved or renamed, even to each other's paths, stay the samples they are; only an
image left at a known path, with a content that no sample has, was changed there.

The result of `merge` is known beforehand (`arrivals`, `vanishing`, `duplicates`, counts): a given label or mask that is
stored already stays, so a source's present label only counts where none was given before.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress, groupby
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.types import JobStatus
from db.loading import load_rows
from db.models import DecisionRow, ImportRow, IncomingRow, SampleRow, TaggingRow
from db.queries import imports
from db.queries.datasets import merges_of, present
from db.queries.evaluation import stays
from db.queries.imports import in_scope
from db.queries.snapshots import Sample, sample_columns
from db.visibility import WITH_DELETED

Span = tuple[int, int]  # first and last id of staged images
LostLabels = tuple[dict[int, int], dict[tuple[int, int | None], int]]
Addresses = Mapping[str, Sequence["Address"]]  # by content hash


@dataclass(frozen=True, slots=True)
class Address:
    """One image, known or found, of the current content. `decided` only matters for known ones."""

    id: int
    name: str  # relative to the root
    label: int | None
    vanished: bool = False
    decided: bool = False
    path: str = ""
    in_scope: bool = True  # of the import; else it came from another source of the dataset


class Arrival(NamedTuple):
    """A known image as stored and as staged, which differ in the columns `changed`, or it was missing."""

    old: Sample
    new: Sample
    vanished: bool
    changed: frozenset[str]

    @property
    def is_corrected(self) -> bool:
        """Return whether it differs by more than label and place, or gets its first label or mask."""
        return self.is_given_first or not self.changed.isdisjoint(_CORRECTED - _PLACE)

    @property
    def is_given_first(self) -> bool:
        """Return whether a label or mask comes where none was."""
        return any(getattr(self.old, name) is None and getattr(self.new, name) is not None for name in _GIVEN)

    @property
    def is_moved(self) -> bool:
        """Return whether the same content lies at another path now."""
        return "path" in self.changed

    @property
    def is_resized(self) -> bool:
        """Return whether no mask and no region of the stored image fits it any more."""
        return not self.changed.isdisjoint(("width", "height"))


_NAMES = (
    "path", "name", "label", "mask_hash", "split", "group", "content_hash", "width", "height", "bytes", "grey",
    "look_hash", "annotators_differ",
)  # fmt: skip
_GIVEN = {"label", "mask_hash"}  # fixed by the first import
_FOLLOWS = {"look_hash"}  # from the content: filled in where an older version did not know it, and no change
UNDOABLE = ("label", "mask_hash", "split", "group", "annotators_differ")  # columns that an undo of an import puts back
_PLACE = {"path", "name"}  # where the content lies
_CORRECTED = dict.fromkeys(name for name in _NAMES if name not in _GIVEN | _FOLLOWS).keys()
_COMPARED = tuple(name for name in _NAMES if name not in _FOLLOWS)


def stage(session: Session, import_id: int, images: Sequence[Mapping[str, Any]]) -> None:
    """Add images, by column, to an import; they are invisible before `merge`. Tags are class ids, ascending."""
    if not images:
        return
    columns = list(images[0])
    rows = ((import_id, *(_stored(name, image[name]) for name in columns)) for image in images)
    load_rows(session.connection(), IncomingRow.__tablename__, ["import_id", *columns], rows)


def _stored(name: str, value: Any) -> Any:  # noqa: ANN401  # of any column
    """Return a value as a driver takes it."""
    return json.dumps(value) if name == IncomingRow.tags.key and value is not None else value


def unstage(session: Session, import_id: int, most: int) -> int:
    """Forget up to `most` staged images of this import, or of one that has ended; return how many there were."""
    unfinished = select(ImportRow.id).where(ImportRow.status.in_([JobStatus.QUEUED, JobStatus.RUNNING]))
    needless = or_(IncomingRow.import_id == import_id, IncomingRow.import_id.not_in(unfinished))
    some = list(session.scalars(select(IncomingRow.id).where(needless).limit(most)))
    session.execute(delete(IncomingRow).where(IncomingRow.id.in_(some)))
    return len(some)


def leave_out(session: Session, import_id: int, paths: Sequence[str]) -> None:
    """Forget these staged images."""
    session.execute(delete(IncomingRow).where(IncomingRow.import_id == import_id, IncomingRow.path.in_(paths)))


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
    """Match the remaining staged images with the remaining samples at their paths, whatever their content."""
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


def count_found(session: Session, import_id: int, dataset_id: int) -> tuple[int, int]:
    """Count the images in an import's scope before it, and those of them that it has with the same content."""
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
    """Return the images of each class that no staged image has as its label, and the new labels of those found.

    The second counts by (label, current label), None without one. Merged classes count as one class.
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


def arrivals(session: Session, import_id: int, dataset_id: int) -> Iterator[Arrival]:
    """Yield the known images that differ from the stored ones, in their order."""
    columns = [column for row in (SampleRow, IncomingRow) for column in sample_columns(row)]
    different = [getattr(SampleRow, name).is_distinct_from(getattr(IncomingRow, name)) for name in _NAMES]
    kept = stays(session, import_id, dataset_id)
    differs = or_(SampleRow.vanished_at.is_not(None), *(_differs(name, kept) for name in _COMPARED))
    query = (
        select(SampleRow.vanished_at.is_not(None), *columns, *different)
        .join(IncomingRow, _same(dataset_id))
        .where(IncomingRow.import_id == import_id, differs)
        .order_by(IncomingRow.id)
    )
    count = len(columns) // 2
    for vanished, *values in session.execute(query):
        changed = frozenset(compress(_NAMES, values[2 * count :]))
        yield Arrival(Sample(*values[:count]), Sample(*values[count : 2 * count]), bool(vanished), changed)


def known_count(session: Session, import_id: int, dataset_id: int) -> tuple[int, int]:
    """Count the staged images, and those of them that the dataset already has."""
    query = (
        select(func.count(), func.count(SampleRow.id))
        .select_from(IncomingRow)
        .outerjoin(SampleRow, _same(dataset_id))
        .where(IncomingRow.import_id == import_id)
    )
    staged, known = session.execute(query).one()
    return int(staged), int(known)


def vanishing(session: Session, import_id: int, dataset_id: int) -> Iterator[str]:
    """Yield the names of the dataset's images that the import does not have."""
    missed = (_is_missed(import_id, dataset_id), in_scope(session, import_id, dataset_id))
    query = select(SampleRow.name).where(*missed).order_by(SampleRow.id)
    return (name for (name,) in session.execute(query))


def duplicates(session: Session, import_id: int, dataset_id: int) -> Iterator[tuple[int, list[tuple[str, int | None]]]]:
    """Yield the images of each content that several will have, as (name, label), with the count of different labels.

    Different masks count as different labels.
    """
    coming = _coming(import_id, dataset_id).subquery()
    several = (
        select(
            coming.c.content_hash,
            (func.count(coming.c.label.distinct()) + func.count(coming.c.mask_hash.distinct())).label("labels"),
            func.min(coming.c.id).label("first"),
        )
        .group_by(coming.c.content_hash)
        .having(func.count() > 1)
        .subquery()
    )
    query = (
        select(coming.c.content_hash, several.c.labels, coming.c.name, coming.c.label)
        .join(several, several.c.content_hash == coming.c.content_hash)
        .order_by(several.c.first, coming.c.id)
    )
    for (_, labels), copies in groupby(session.execute(query), key=lambda row: (row[0], row[1])):
        yield labels, [(name, label) for _, _, name, label in copies]


def label_counts(session: Session, import_id: int, dataset_id: int) -> dict[int | None, int]:
    """Count the images that will have each given label; None: no label."""
    coming = _coming(import_id, dataset_id).subquery()
    return dict(session.execute(select(coming.c.label, func.count()).group_by(coming.c.label)).all())


def mask_count(session: Session, import_id: int, dataset_id: int) -> int:
    """Count the images that will have a mask."""
    coming = _coming(import_id, dataset_id).subquery()
    return session.scalars(select(func.count(coming.c.mask_hash))).one()


def differing_count(session: Session, import_id: int) -> int:
    """Count the staged images whose annotators differ."""
    differing = (IncomingRow.import_id == import_id, IncomingRow.annotators_differ)
    return session.scalars(select(func.count()).select_from(IncomingRow).where(*differing)).one()


def split_counts(session: Session, import_id: int) -> dict[str, int]:
    """Count the images that will be in each split."""
    query = select(IncomingRow.split, func.count()).where(IncomingRow.import_id == import_id)
    return dict(session.execute(query.group_by(IncomingRow.split).order_by(IncomingRow.split)).all())


def covers(session: Session, import_id: int, count: int) -> list[str]:
    """Return content hashes of a few images, as different in label and split as can be."""
    chosen: dict[int, str] = {}
    for several in (True, True, True, False):  # one of each kind, three times; then any
        left = (IncomingRow.import_id == import_id, IncomingRow.id.not_in(list(chosen)))
        kinds = (IncomingRow.split, IncomingRow.label)
        query = select(func.min(IncomingRow.id)).where(*left).group_by(*kinds).order_by(kinds[0].desc(), kinds[1])
        if not several:
            query = select(IncomingRow.id).where(*left).order_by(IncomingRow.id)
        ids = list(session.scalars(query.limit(count - len(chosen))))
        found = dict(
            session.execute(select(IncomingRow.id, IncomingRow.content_hash).where(IncomingRow.id.in_(ids))).all()
        )
        chosen |= {number: found[number] for number in ids}
    return list(dict.fromkeys(chosen.values()))


def merge(session: Session, import_id: int, dataset_id: int, at: datetime) -> list[int]:
    """Make the staged images the dataset's: add, correct and restore images, note the missing ones.

    Returned are the known images that are in another split now.
    """
    imports.add_changes(session, import_id, _changes(session, import_id, dataset_id))
    staged, kept = IncomingRow.import_id == import_id, stays(session, import_id, dataset_id)
    moving = select(SampleRow.id).join(IncomingRow, _same(dataset_id)).where(staged, _differs("split", kept))
    moved = list(session.scalars(moving))
    scope = in_scope(session, import_id, dataset_id)
    missed = update(SampleRow).where(_is_missed(import_id, dataset_id), scope).values(vanished_at=at)
    session.execute(missed.execution_options(synchronize_session=False))
    rewritten = (*_CORRECTED, *_FOLLOWS)
    _free_paths(session, import_id, dataset_id)
    correction: dict[str, Any] = {name: getattr(IncomingRow, name) for name in rewritten}
    correction["split"] = case((kept, SampleRow.split), else_=IncomingRow.split)
    correction |= {name: _first(name) for name in _GIVEN}
    changes = or_(SampleRow.vanished_at.is_not(None), _is_given_first(), *(_differs(name, kept) for name in rewritten))
    corrected = update(SampleRow).where(_same(dataset_id), staged, changes).values(**correction, vanished_at=None)
    session.execute(corrected.execution_options(synchronize_session=False))
    columns = [getattr(IncomingRow, name) for name in _NAMES]
    new = (
        select(literal(dataset_id), literal(at, SampleRow.imported_at.type), literal(import_id), *columns)
        .outerjoin(SampleRow, _same(dataset_id))
        .where(staged, SampleRow.id.is_(None))
        .order_by(IncomingRow.id)
    )
    names = ["dataset_id", "imported_at", "import_id", *_NAMES]
    session.execute(insert(SampleRow).from_select(names, new, include_defaults=False))
    return moved


def _changes(session: Session, import_id: int, dataset_id: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the known images that a merge is about to change, each with the columns an undo can put back.

    Contents and paths are not among them: they are as they are on disk.
    """
    kept = stays(session, import_id, dataset_id)
    columns = [getattr(row, name) for row in (SampleRow, IncomingRow) for name in UNDOABLE]
    differs = or_(_is_given_first(), *(_differs(name, kept) for name in UNDOABLE if name not in _GIVEN))
    known = (
        select(SampleRow.id, case((kept, literal(1)), else_=0), *columns)
        .join(IncomingRow, _same(dataset_id))
        .where(IncomingRow.import_id == import_id, differs, SampleRow.import_id.is_distinct_from(import_id))
    )
    for sample_id, stays_put, *values in session.execute(known):
        pairs = zip(UNDOABLE, values[: len(UNDOABLE)], values[len(UNDOABLE) :], strict=True)
        changed = {
            name: [before, after]
            for name, before, after in pairs
            if before != after and not (name in _GIVEN and before is not None) and not (name == "split" and stays_put)
        }
        if changed:
            yield sample_id, changed
    scope = in_scope(session, import_id, dataset_id)
    for sample_id in session.scalars(select(SampleRow.id).where(_is_missed(import_id, dataset_id), scope)):
        yield sample_id, {imports.VANISHED: [False, True]}


def _coming(import_id: int, dataset_id: int) -> Select[*tuple[Any, ...]]:
    """Return the images as they will be after the import, with their staged ids."""
    given = (_first(name).label(name) for name in ("label", "mask_hash"))
    return (
        select(IncomingRow.id, IncomingRow.name, IncomingRow.content_hash, *given)
        .outerjoin(SampleRow, _same(dataset_id))
        .where(IncomingRow.import_id == import_id)
    )


def _free_paths(session: Session, import_id: int, dataset_id: int) -> None:
    """Free the paths of missing samples whose place another image takes in this import.

    A moved sample gets its new path right after; a vanished one keeps this mark, and is found by its content.
    """
    taken = select(IncomingRow.id).where(
        IncomingRow.import_id == import_id,
        IncomingRow.path == SampleRow.path,
        IncomingRow.sample_id.is_distinct_from(SampleRow.id),
    )
    marked = SampleRow.path + "?sample=" + cast(SampleRow.id, String)
    freed = update(SampleRow).where(SampleRow.dataset_id == dataset_id, taken.exists()).values(path=marked)
    session.execute(freed.execution_options(synchronize_session=False))


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


def _same(dataset_id: int) -> ColumnElement[bool]:
    return and_(SampleRow.dataset_id == dataset_id, SampleRow.id == IncomingRow.sample_id)


def _is_missed(import_id: int, dataset_id: int) -> ColumnElement[bool]:
    staged = select(IncomingRow.sample_id).where(IncomingRow.import_id == import_id, IncomingRow.sample_id.is_not(None))
    here = and_(SampleRow.vanished_at.is_(None), SampleRow.removed_by.is_(None))
    return and_(SampleRow.dataset_id == dataset_id, here, SampleRow.id.not_in(staged))


def _first(name: str) -> ColumnElement[Any]:
    """Return the first given label of an image: the stored one, else the source's present one."""
    return func.coalesce(getattr(SampleRow, name), getattr(IncomingRow, name))


def _is_given_first() -> ColumnElement[bool]:
    return or_(*(and_(getattr(SampleRow, name).is_(None), getattr(IncomingRow, name).is_not(None)) for name in _GIVEN))


def _differs(name: str, kept: ColumnElement[bool]) -> ColumnElement[bool]:
    stored: InstrumentedAttribute[Any] = getattr(SampleRow, name)
    different = stored.is_distinct_from(getattr(IncomingRow, name))
    return and_(~kept, different) if name == "split" else different  # a drawn one stays
