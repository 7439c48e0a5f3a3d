"""The images of a dataset of masks in the order in which they are painted.

Those in which a round found regions come first, that with the most suspicious one at their head, then all others by
name. Without a round all are others.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from core.types import Status
from db.models import DatasetRow, DecisionRow, FindingRow, SampleRow

_SETTLED = [status for status in Status if status.settled]


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image: how many regions a round found in it, and how many of these nobody has settled."""

    id: int
    name: str
    content_hash: str
    regions: int
    undecided: int


def beside(session: Session, dataset_id: int, round_id: int | None, sample_id: int) -> tuple[int | None, int | None]:
    """Return the images before and after this one; None at an end."""
    own = None if round_id is None else _rank(session, round_id, sample_id)
    if round_id is not None and own is not None:
        return _found(session, round_id, below=own), _found(session, round_id, above=own) or _other(
            session, dataset_id, round_id
        )
    before = _other(session, dataset_id, round_id, before=sample_id)
    if before is None and round_id is not None:
        before = _found(session, round_id, below=None)
    return before, _other(session, dataset_id, round_id, after=sample_id)


def first_image(session: Session, dataset_id: int, round_id: int | None) -> int | None:
    """Return the image to begin with, None where the dataset has none."""
    found = None if round_id is None else _found(session, round_id, above=-1)
    return found or _other(session, dataset_id, round_id)


def named_images(
    session: Session, dataset_id: int, round_id: int | None, text: str, *, after: tuple[str, int] | None, limit: int
) -> list[ListedImage]:
    """Return images whose name contains `text`, in whatever case, by (name, id) and only those after `after`."""
    here = [SampleRow.name.icontains(text, autoescape=True)] if text else []  # first: the index on names answers it
    if after is not None:
        here.append(tuple_(SampleRow.name, SampleRow.id) > tuple_(*after))
    here += _present(dataset_id)
    columns = select(SampleRow.id, SampleRow.name, SampleRow.content_hash)
    rows = session.execute(columns.where(*here).order_by(SampleRow.name, SampleRow.id).limit(limit)).all()
    found = {} if round_id is None else _regions(session, round_id, [row.id for row in rows])
    return [ListedImage(*row, *found.get(row.id, (0, 0))) for row in rows]


def masked_datasets(session: Session) -> list[int]:
    """Return the datasets whose labels are masks, the newest first."""
    known = session.execute(select(DatasetRow.id, DatasetRow.colours).order_by(DatasetRow.id.desc()))
    return [dataset for dataset, colours in known if colours]  # none may stand there as JSON's null, which is no NULL


def _rank(session: Session, round_id: int, sample_id: int) -> int | None:
    here = (FindingRow.sample_id == sample_id, FindingRow.round_id + 0 == round_id, FindingRow.area.is_not(None))
    return session.scalar(select(func.min(FindingRow.rank)).where(*here))


def _found(session: Session, round_id: int, *, above: int | None = None, below: int | None = None) -> int | None:
    """Return the image of the first finding on one side of a rank that is its image's most suspicious one."""
    other = aliased(FindingRow)
    worse = (
        select(other.id)
        .where(other.sample_id == FindingRow.sample_id, other.round_id + 0 == round_id, other.rank < FindingRow.rank)
        .exists()
    )
    firsts = select(FindingRow.sample_id).where(FindingRow.round_id == round_id, FindingRow.area.is_not(None), ~worse)
    if above is not None:
        return session.scalar(firsts.where(FindingRow.rank > above).order_by(FindingRow.rank).limit(1))
    side = firsts if below is None else firsts.where(FindingRow.rank < below)
    return session.scalar(side.order_by(FindingRow.rank.desc()).limit(1))


def _other(
    session: Session, dataset_id: int, round_id: int | None, *, before: int | None = None, after: int | None = None
) -> int | None:
    """Return the first image by name without a region of a round, or the nearest before or after the one named."""
    others = select(SampleRow.id).where(*_present(dataset_id))
    if round_id is not None:
        here = (FindingRow.sample_id == SampleRow.id, FindingRow.round_id + 0 == round_id, FindingRow.area.is_not(None))
        others = others.where(~select(FindingRow.id).where(*here).exists())
    named = session.execute(select(SampleRow.name, SampleRow.id).where(SampleRow.id == (before or after))).one_or_none()
    place, own = tuple_(SampleRow.name, SampleRow.id), tuple_(*(named or ("", 0)))
    if before is not None:
        nearest = others.where(place < own).order_by(SampleRow.name.desc(), SampleRow.id.desc())
    else:
        nearest = (others if after is None else others.where(place > own)).order_by(SampleRow.name, SampleRow.id)
    return session.scalar(nearest.limit(1))


def _present(dataset_id: int) -> list[ColumnElement[bool]]:
    return [SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None)]


def painted_or_found(session: Session, dataset_id: int, paths: Collection[str]) -> set[str]:
    """Return which of these images of a dataset people have painted in, or rounds have found regions in."""
    decided, found = select(DecisionRow.sample_id), select(FindingRow.sample_id)
    here = SampleRow.dataset_id == dataset_id, SampleRow.path.in_(paths)
    either = or_(SampleRow.id.in_(decided), SampleRow.id.in_(found))
    return set(session.scalars(select(SampleRow.path).where(*here, either)))


def _regions(session: Session, round_id: int, sample_ids: list[int]) -> dict[int, tuple[int, int]]:
    undecided = func.count().filter(FindingRow.status.not_in(_SETTLED))
    here = (FindingRow.sample_id.in_(sample_ids), FindingRow.round_id + 0 == round_id, FindingRow.area.is_not(None))
    counted = select(FindingRow.sample_id, func.count(), undecided).where(*here).group_by(FindingRow.sample_id)
    return {sample: (regions, left) for sample, regions, left in session.execute(counted)}
