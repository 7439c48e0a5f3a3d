"""What a round reads of a dataset before it begins: samples, label counts, sizes of images."""

from dataclasses import dataclass, fields

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from core.types import RoundError, RoundStatus, Task
from db.models import ChangesetRow, DatasetRow, DecisionRow, ImportRow, SampleRow


@dataclass(frozen=True, slots=True)
class RoundSample:
    """What a round needs of a sample; `label` or `mask_hash` is what was given."""

    id: int
    path: str
    label: int | None
    split: str
    group: str
    content_hash: str
    mask_hash: str | None
    width: int
    height: int
    name: str
    look_hash: int | None  # None: imported before there was such a hash


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """How many images carry each given class, or have it in their mask, and how many have a label or mask at all."""

    images: dict[int, int]
    labelled: int


def samples_for_round(session: Session, dataset_id: int) -> list[RoundSample]:
    """Return the dataset's samples that still exist, in the order they were imported."""
    columns = (getattr(SampleRow, item.name) for item in fields(RoundSample))
    query = (
        select(*columns)
        .where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
        .order_by(SampleRow.id)
    )
    return [RoundSample(*found) for found in session.execute(query)]


def first_samples(session: Session, dataset_id: int, most: int) -> list[RoundSample]:
    """Return at most so many of the samples that exist, those with a label or mask first."""
    columns = (getattr(SampleRow, item.name) for item in fields(RoundSample))
    bare = SampleRow.label.is_(None) & SampleRow.mask_hash.is_(None)
    query = (
        select(*columns)
        .where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
        .order_by(bare, SampleRow.id)
        .limit(most)
    )
    return [RoundSample(*found) for found in session.execute(query)]


def label_counts(session: Session, dataset_id: int) -> LabelCounts:
    """Return how often each class was given; of masks, as the last import counted it."""
    present = (SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    by_label = select(SampleRow.label, func.count()).where(*present, SampleRow.label.is_not(None))
    counted = session.execute(by_label.group_by(SampleRow.label))
    images = {label: count for label, count in counted if label is not None}
    masks = session.scalars(select(func.count(SampleRow.mask_hash)).where(*present)).one()
    if masks:
        images = _images_with(session, dataset_id)
    return LabelCounts(images, masks or sum(images.values()))


def labels_were_added(session: Session, dataset_id: int) -> bool:
    """Whether people gave a label to an image that came without one; what `label_counts` says is not all then."""
    bare = SampleRow.label.is_(None) & SampleRow.mask_hash.is_(None)
    added = (
        select(DecisionRow.id)
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .join(SampleRow, SampleRow.id == DecisionRow.sample_id)
        .where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None), bare, ChangesetRow.live)
        .where(DecisionRow.label.is_not(None) | DecisionRow.mask_hash.is_not(None))
    )
    return bool(session.scalar(select(added.exists())))


def image_sizes(session: Session, dataset_id: int) -> list[tuple[int, int, bool, int]]:
    """Return (width, height, grey, count) for every size of image in the dataset."""
    query = (
        select(SampleRow.width, SampleRow.height, SampleRow.grey, func.count())
        .where(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
        .group_by(SampleRow.width, SampleRow.height, SampleRow.grey)
    )
    return [(width, height, grey, count) for width, height, grey, count in session.execute(query)]


def count_apart(session: Session, dataset_id: int) -> int:
    """Return how many images and groups of images with something to learn from may be held out apart of each other."""
    given = SampleRow.label.is_not(None) | SampleRow.mask_hash.is_not(None)
    taught = given | SampleRow.id.in_(select(DecisionRow.sample_id))
    present = (SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None), taught)
    single = func.count(case((SampleRow.group == "", SampleRow.id)))
    groups = func.count(func.nullif(SampleRow.group, "").distinct())
    return session.scalars(select(single + groups).where(*present)).one()


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


def task_of(session: Session, dataset_id: int) -> Task:
    """Return what kind of labels a dataset has, which must exist."""
    return session.scalars(select(DatasetRow.task).where(DatasetRow.id == dataset_id)).one()


def _images_with(session: Session, dataset_id: int) -> dict[int, int]:
    """Return in how many images the last import found each class."""
    _, classes = dataset_of(session, dataset_id)
    done = (ImportRow.dataset_id == dataset_id, ImportRow.status == RoundStatus.DONE)
    report = session.scalar(select(ImportRow.report).where(*done).order_by(ImportRow.id.desc()).limit(1)) or {}
    counted = report.get("classes", {})
    return {number: counted.get(name, 0) for number, name in enumerate(classes)}
