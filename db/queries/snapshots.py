"""What a round reads of a dataset before it begins: samples, label counts, sizes of images."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.types import RoundError
from db.models import DatasetRow, SampleRow


@dataclass(frozen=True, slots=True)
class RoundSample:
    """What a round needs of a sample; `label` is the given one."""

    id: int
    path: str
    label: int | None
    split: str
    group: str
    content_hash: str


def samples_for_round(session: Session, dataset_id: int) -> list[RoundSample]:
    """Return the dataset's samples that still exist, in the order they were imported."""
    query = (
        select(SampleRow.id, SampleRow.path, SampleRow.label, SampleRow.split, SampleRow.group, SampleRow.content_hash)
        .where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
        .order_by(SampleRow.id)
    )
    return [RoundSample(*found) for found in session.execute(query)]


def label_counts(session: Session, dataset_id: int) -> dict[int | None, int]:
    """Return how many samples carry each given label; None: no label."""
    query = (
        select(SampleRow.label, func.count())
        .where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
        .group_by(SampleRow.label)
    )
    return dict(session.execute(query).all())


def image_sizes(session: Session, dataset_id: int) -> list[tuple[int, int, bool, int]]:
    """Return (width, height, grey, count) for every size of image in the dataset."""
    query = (
        select(SampleRow.width, SampleRow.height, SampleRow.grey, func.count())
        .where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
        .group_by(SampleRow.width, SampleRow.height, SampleRow.grey)
    )
    return [(width, height, grey, count) for width, height, grey, count in session.execute(query)]


def dataset_of(session: Session, dataset_id: int) -> tuple[str, list[str]]:
    """Return a dataset's name and classes.

    Raises:
        RoundError: there is none with this id.
    """
    found = session.execute(
        select(DatasetRow.name, DatasetRow.classes).where(DatasetRow.id == dataset_id)
    ).one_or_none()
    if found is None:
        msg = f"there is no dataset {dataset_id}; choose one on the Datasets page"
        raise RoundError(msg)
    return found.name, found.classes
