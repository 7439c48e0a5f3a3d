"""Tags of images, by imports and people, and the images as the Tags page lists them.

Rows are only added; the newest row of an image counts. A row that undoes another repeats the tags before that one, so
the current tags are in the newest row, and what may still be undone follows from all rows (`current_taggings`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, insert, or_, select
from sqlalchemy.orm import Session, aliased

from core.types import merged_ids
from db.models import AnnotatorRow, ChangesetRow, DecisionRow, IncomingRow, SampleRow, TaggingRow
from db.queries.datasets import Merges, merges_of

_TRIED = 50  # newest rows of a person that are searched for one to undo


@dataclass(frozen=True, slots=True)
class Tagging:
    """One stored row. `classes` None: removed; `annotator` None: from an import."""

    id: int
    sample_id: int
    classes: list[int] | None
    annotator: str | None
    tagged_at: datetime
    undoes_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTagging:
    """A row about to be stored."""

    sample_id: int
    classes: list[int] | None
    tagged_at: datetime
    annotator_id: int | None = None
    client_id: str | None = None
    client_seq: int | None = None
    undoes_id: int | None = None
    import_id: int | None = None


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """An image to be tagged: its current tags (None: unknown), by whom, and whether it has a mask.

    A mask is one it came with, or a painted one; a bare image came without.
    """

    id: int
    name: str
    content_hash: str
    width: int
    height: int
    masked: bool
    bare: bool
    classes: list[int] | None
    annotator: str | None


@dataclass(frozen=True, slots=True)
class TagCounts:
    """Number of images, and of those with tags, with a mask, with neither, and with only tags."""

    images: int
    tagged: int
    masked: int
    left: int
    tagged_bare: int


def add_taggings(session: Session, rows: Sequence[NewTagging]) -> None:
    """Store rows, in this order."""
    if rows:
        names = NewTagging.__dataclass_fields__
        session.execute(insert(TaggingRow), [{name: getattr(row, name) for name in names} for row in rows])


def find_by_key(session: Session, client: str, seq: int) -> Tagging | None:
    """Return the row that a browser stored under its own number."""
    return _one(session, TaggingRow.client_id == client, TaggingRow.client_seq == seq)


def newest(session: Session, sample_id: int) -> Tagging | None:
    """Return the row that counts for an image, None without one."""
    return _one(session, TaggingRow.id.in_(_newest(TaggingRow.sample_id == sample_id)))


def tags_by_sample(session: Session, dataset_id: int) -> dict[int, Tagging]:
    """Return the current tags of every tagged image of a dataset, by its id, in the order of the images."""
    merges = merges_of(session, dataset_id)
    stored = stored_tags(session, dataset_id).items()
    return {number: replace(one, classes=merged_ids(one.classes or [], merges)) for number, one in stored}


def stored_tags(session: Session, dataset_id: int) -> dict[int, Tagging]:
    """Return the same as it was stored, regardless of later merges of classes."""
    here = select(SampleRow.id).where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    counting = _newest(TaggingRow.sample_id.in_(here))
    rows = session.execute(_rows().where(TaggingRow.id.in_(counting)).order_by(TaggingRow.sample_id))
    return {row.sample_id: Tagging(*row) for row in rows if row.classes is not None}


def take_over(session: Session, import_id: int, dataset_id: int, now: datetime) -> None:
    """Give a dataset's images the tags of a merged import, unless it gave them before.

    Later tags by people stay.
    """
    coming = (
        select(SampleRow.id, IncomingRow.tags)
        .join(IncomingRow, and_(IncomingRow.path == SampleRow.path, IncomingRow.import_id == import_id))
        .where(SampleRow.dataset_id == dataset_id, IncomingRow.tags.is_not(None))
        .order_by(SampleRow.id)
    )
    rows: dict[int, list[int]] = {number: classes for number, classes in session.execute(coming) if classes}
    if not rows:
        return
    here = TaggingRow.sample_id.in_(select(SampleRow.id).where(SampleRow.dataset_id == dataset_id))
    by_imports = select(func.max(TaggingRow.id)).where(here, TaggingRow.annotator_id.is_(None))
    before = _by_sample(session, by_imports.group_by(TaggingRow.sample_id))
    latest = _by_sample(session, _newest(here))
    new = []
    for sample_id, classes in rows.items():
        known, last = before.get(sample_id), latest.get(sample_id)
        if (known is None or known.classes != classes) and (last is None or last.annotator is None):
            new.append(NewTagging(sample_id=sample_id, classes=classes, tagged_at=now, import_id=import_id))
    add_taggings(session, new)


def tags_of_import(session: Session, import_id: int) -> list[tuple[int, int, list[int] | None]]:
    """Return the tags that an import brought and that still count, as (row, image, classes)."""
    brought = select(TaggingRow.sample_id).where(TaggingRow.import_id == import_id)
    newest = select(func.max(TaggingRow.id)).where(TaggingRow.sample_id.in_(brought)).group_by(TaggingRow.sample_id)
    query = (
        select(TaggingRow.id, TaggingRow.sample_id, TaggingRow.classes)
        .join(SampleRow, SampleRow.id == TaggingRow.sample_id)
        .where(TaggingRow.id.in_(newest), TaggingRow.import_id == import_id)
        .order_by(TaggingRow.id)
    )
    return [(number, sample_id, classes) for number, sample_id, classes in session.execute(query)]


def take_tags_back(session: Session, import_id: int, now: datetime) -> None:
    """Repeat the tags that images had before an import brought others."""
    rows = []
    for number, sample_id, _ in tags_of_import(session, import_id):
        before = select(TaggingRow.classes).where(TaggingRow.sample_id == sample_id, TaggingRow.id < number)
        classes = session.scalar(before.order_by(TaggingRow.id.desc()).limit(1))
        rows.append(NewTagging(sample_id=sample_id, classes=classes, tagged_at=now, undoes_id=number))
    add_taggings(session, rows)


def bring_tags_again(session: Session, import_id: int, now: datetime) -> None:
    """Repeat an undone import's changes to images that have not changed since."""
    undone = select(TaggingRow.sample_id, TaggingRow.id, TaggingRow.classes).where(TaggingRow.import_id == import_id)
    rows = []
    for sample_id, number, classes in session.execute(undone).all():
        newest = select(TaggingRow.undoes_id).where(TaggingRow.sample_id == sample_id)
        if session.scalar(newest.order_by(TaggingRow.id.desc()).limit(1)) == number:
            rows.append(NewTagging(sample_id=sample_id, classes=classes, tagged_at=now, import_id=import_id))
    add_taggings(session, rows)


def current_taggings(session: Session, sample_id: int) -> list[Tagging]:
    """Return the rows of an image that were not undone, oldest first: the last one counts."""
    stack: list[Tagging] = []
    for row in session.execute(_rows().where(TaggingRow.sample_id == sample_id).order_by(TaggingRow.id)):
        one = Tagging(*row)
        if one.undoes_id is None:
            stack.append(one)
        else:
            stack = [other for other in stack if other.id != one.undoes_id]
    return stack


def last_taggings(session: Session, dataset_id: int, annotator_id: int) -> list[Tagging]:
    """Return a person's newest rows in a dataset that were not undone, newest first."""
    undone = aliased(TaggingRow)
    query = (
        _rows()
        .join(SampleRow, SampleRow.id == TaggingRow.sample_id)
        .where(
            SampleRow.dataset_id == dataset_id,
            TaggingRow.annotator_id == annotator_id,
            TaggingRow.undoes_id.is_(None),
            ~select(undone.id).where(undone.undoes_id == TaggingRow.id).exists(),
        )
        .order_by(TaggingRow.id.desc())
        .limit(_TRIED)
    )
    return [Tagging(*row) for row in session.execute(query)]


def sample_ids(session: Session, dataset_id: int) -> Mapping[str, int]:
    """Return the ids of a dataset's images by their paths and their names, which differ from one another."""
    query = select(SampleRow.id, SampleRow.path, SampleRow.name)
    here = query.where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    found: dict[str, int] = {}
    for number, path, name in session.execute(here):
        found[path] = found[name] = number
    return found


def names_and_masks(session: Session, dataset_id: int) -> list[tuple[int, str, str | None]]:
    """Return (id, name, hash of the given mask) of a dataset's images, by id."""
    query = select(SampleRow.id, SampleRow.name, SampleRow.mask_hash)
    here = query.where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None)).order_by(SampleRow.id)
    return [(row[0], row[1], row[2]) for row in session.execute(here)]


def tagged_images(
    session: Session, dataset_id: int, *, masked: bool | None, tagged: bool | None, after: int, limit: int
) -> list[TaggedImage]:
    """Return images of a dataset with an id above `after`, by id; None: with and without a mask, or tags."""
    merges = merges_of(session, dataset_id)
    chosen = _select_images(dataset_id, masked, tagged).where(SampleRow.id > after).order_by(SampleRow.id).limit(limit)
    return [_tagged_image(row, merges) for row in session.execute(chosen)]


def tagged_image(session: Session, sample_id: int) -> tuple[TaggedImage, int] | None:
    """Return one image and its dataset's id."""
    dataset_id = session.scalar(select(SampleRow.dataset_id).where(SampleRow.id == sample_id))
    if dataset_id is None:
        return None
    row = session.execute(_select_images(dataset_id, None, None).where(SampleRow.id == sample_id)).one_or_none()
    return None if row is None else (_tagged_image(row, merges_of(session, dataset_id)), dataset_id)


def count_tags(session: Session, dataset_id: int) -> TagCounts:
    """Return the progress of a dataset's tags."""
    query = _select_images(dataset_id, None, None).subquery()
    tagged, masked = query.c.tagged.is_not(None), query.c.masked

    def many(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count(case((and_(*conditions), 1)))

    numbers = func.count(), many(tagged), many(masked), many(~tagged, ~masked), many(tagged, query.c.bare)
    return TagCounts(*session.execute(select(*numbers).select_from(query)).one())


def _newest(*which: ColumnElement[bool]) -> Select[int]:
    return select(func.max(TaggingRow.id)).where(*which).group_by(TaggingRow.sample_id)


def _by_sample(session: Session, numbers: Select[int]) -> dict[int, Tagging]:
    return {row.sample_id: Tagging(*row) for row in session.execute(_rows().where(TaggingRow.id.in_(numbers)))}


def _rows() -> Select[*tuple[Any, ...]]:
    row = TaggingRow
    columns = (row.id, row.sample_id, row.classes, AnnotatorRow.name, row.tagged_at, row.undoes_id)
    return select(*columns).outerjoin(AnnotatorRow, AnnotatorRow.id == row.annotator_id)


def _one(session: Session, *which: ColumnElement[bool]) -> Tagging | None:
    found = session.execute(_rows().where(*which)).one_or_none()
    return None if found is None else Tagging(*found)


def _select_images(dataset_id: int, masked: bool | None, tagged: bool | None) -> Select[*tuple[Any, ...]]:  # noqa: FBT001 three states each
    other = aliased(TaggingRow)
    counting = select(func.max(other.id)).where(other.sample_id == SampleRow.id).correlate(SampleRow).scalar_subquery()
    # a row that takes tags back counts as none
    known = and_(TaggingRow.id == counting, TaggingRow.classes.is_not(None))
    sample = SampleRow
    painted = (
        select(DecisionRow.id)
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .where(DecisionRow.sample_id == sample.id, DecisionRow.mask_hash.is_not(None), ChangesetRow.live)
        .correlate(sample)
        .exists()
    )
    has_mask = or_(sample.mask_hash.is_not(None), painted)
    query = (
        select(
            sample.id, sample.name, sample.content_hash, sample.width, sample.height, has_mask.label("masked"),
            sample.mask_hash.is_(None).label("bare"), TaggingRow.classes, AnnotatorRow.name.label("annotator"),
            TaggingRow.id.label("tagged"),
        )
        .select_from(sample)
        .outerjoin(TaggingRow, known)
        .outerjoin(AnnotatorRow, AnnotatorRow.id == TaggingRow.annotator_id)
        .where(sample.dataset_id == dataset_id, sample.vanished_at.is_(None))
    )  # fmt: skip
    if masked is not None:
        query = query.where(has_mask if masked else ~has_mask)
    if tagged is not None:
        query = query.where(TaggingRow.id.is_not(None) if tagged else TaggingRow.id.is_(None))
    return query


def _tagged_image(row: Sequence[Any], merges: Merges) -> TaggedImage:
    number, name, content_hash, width, height, masked, bare, stored, annotator, _ = row
    classes = None if stored is None else merged_ids(stored, merges)
    return TaggedImage(number, name, content_hash, width, height, bool(masked), bool(bare), classes, annotator)
