"""Images with what counts of their tags, and how many there are: what the Tags page goes through."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from db.models import AnnotatorRow, ChangesetRow, DecisionRow, SampleRow, TaggingRow


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """An image to be tagged: its present tags, None where nobody said any, by whom, and whether it has a mask.

    A mask is one it came with, or one that somebody painted; a bare image came without.
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
    """How many images there are, and how many of them have tags, a mask, or neither; or came bare and have tags."""

    images: int
    tagged: int
    masked: int
    left: int
    tagged_bare: int


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
    tagged, masked = query.c.tagged.is_not(None), query.c.masked

    def many(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count(case((and_(*conditions), 1)))

    numbers = func.count(), many(tagged), many(masked), many(~tagged, ~masked), many(tagged, query.c.bare)
    return TagCounts(*session.execute(select(*numbers).select_from(query)).one())


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


def _image(row: Sequence[Any]) -> TaggedImage:
    number, name, content_hash, width, height, masked, bare, classes, annotator, _ = row
    return TaggedImage(number, name, content_hash, width, height, bool(masked), bool(bare), classes, annotator)
