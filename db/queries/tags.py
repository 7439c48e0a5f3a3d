"""Tags: which classes an image shows, as imports and people said it. Rows are only added; the newest counts.

A row that undoes another says again what was said before that one. So what is said of an image now is always in its
newest row, and what may still be undone follows from all of its rows (`standing`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, insert, or_, select
from sqlalchemy.orm import Session, aliased

from db.models import AnnotatorRow, ChangesetRow, DecisionRow, IncomingRow, SampleRow, TaggingRow

_TRIED = 50  # of a person's rows, the newest ones, that are looked at for one to undo


@dataclass(frozen=True, slots=True)
class Tagging:
    """One stored row. `classes` None: taken back; `annotator` None: an import said it."""

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


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """An image to be tagged: its present tags, None where nobody said any, by whom, and whether it has a mask.

    A mask is one it came with, or one that somebody painted.
    """

    id: int
    name: str
    content_hash: str
    width: int
    height: int
    masked: bool
    classes: list[int] | None
    annotator: str | None


@dataclass(frozen=True, slots=True)
class TagCounts:
    """How many images there are, and how many of them have tags, a mask, or neither."""

    images: int
    tagged: int
    masked: int
    left: int


def add_taggings(session: Session, rows: Sequence[NewTagging]) -> None:
    """Store rows, in this order."""
    if rows:
        names = NewTagging.__dataclass_fields__
        session.execute(insert(TaggingRow), [{name: getattr(row, name) for name in names} for row in rows])


def find_by_key(session: Session, client: str, seq: int) -> Tagging | None:
    """Return the row that a browser stored under its own number."""
    return _one(session, TaggingRow.client_id == client, TaggingRow.client_seq == seq)


def newest(session: Session, sample_id: int) -> Tagging | None:
    """Return the row that counts for an image, None where there is none."""
    return _one(session, TaggingRow.id.in_(_newest(TaggingRow.sample_id == sample_id)))


def tags_by_sample(session: Session, dataset_id: int) -> dict[int, Tagging]:
    """Return what counts for every image of a dataset that has tags, by its id, in the order of the images."""
    here = select(SampleRow.id).where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    counting = _newest(TaggingRow.sample_id.in_(here))
    rows = session.execute(_rows().where(TaggingRow.id.in_(counting)).order_by(TaggingRow.sample_id))
    return {row.sample_id: Tagging(*row) for row in rows if row.classes is not None}


def take_over(session: Session, import_id: int, dataset_id: int, now: datetime) -> None:
    """Say of a dataset's images what an import that was merged says of them, unless it said so before.

    What people said of an image since stays.
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
        said, last = before.get(sample_id), latest.get(sample_id)
        if (said is None or said.classes != classes) and (last is None or last.annotator is None):
            new.append(NewTagging(sample_id=sample_id, classes=classes, tagged_at=now))
    add_taggings(session, new)


def standing(session: Session, sample_id: int) -> list[Tagging]:
    """Return the rows of an image that were not undone, oldest first: the last one counts."""
    stack: list[Tagging] = []
    for row in session.execute(_rows().where(TaggingRow.sample_id == sample_id).order_by(TaggingRow.id)):
        one = Tagging(*row)
        if one.undoes_id is None:
            stack.append(one)
        else:
            stack = [other for other in stack if other.id != one.undoes_id]
    return stack


def last_of(session: Session, dataset_id: int, annotator_id: int) -> list[Tagging]:
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


def images(
    session: Session, dataset_id: int, *, masked: bool | None, tagged: bool | None, after: int, limit: int
) -> list[TaggedImage]:
    """Return images of a dataset with an id above `after`, by id; None: with and without a mask, or tags."""
    return [_image(row) for row in session.execute(_images(dataset_id, masked, tagged).where(SampleRow.id > after)
            .order_by(SampleRow.id).limit(limit))]  # fmt: skip


def image(session: Session, sample_id: int) -> tuple[TaggedImage, int] | None:
    """Return one image and its dataset's id."""
    dataset_id = session.scalar(select(SampleRow.dataset_id).where(SampleRow.id == sample_id))
    if dataset_id is None:
        return None
    row = session.execute(_images(dataset_id, None, None).where(SampleRow.id == sample_id)).one_or_none()
    return None if row is None else (_image(row), dataset_id)


def counts(session: Session, dataset_id: int) -> TagCounts:
    """Return how far a dataset's tags are."""
    query = _images(dataset_id, None, None).subquery()
    kinds = select(query.c.tagged.is_not(None), query.c.masked, func.count()).group_by(
        query.c.tagged.is_not(None), query.c.masked
    )
    found = {(bool(tagged), bool(masked)): count for tagged, masked, count in session.execute(kinds)}
    tagged, masked = (sum(count for kind, count in found.items() if kind[place]) for place in (0, 1))
    return TagCounts(sum(found.values()), tagged, masked, found.get((False, False), 0))


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


def _images(dataset_id: int, masked: bool | None, tagged: bool | None) -> Select[*tuple[Any, ...]]:  # noqa: FBT001 three states each
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
            TaggingRow.classes, AnnotatorRow.name.label("annotator"), TaggingRow.id.label("tagged"),
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


def _image(row: Sequence[Any]) -> TaggedImage:
    number, name, content_hash, width, height, masked, classes, annotator, _ = row
    return TaggedImage(number, name, content_hash, width, height, bool(masked), classes, annotator)
