"""Evaluation splits of a dataset, and counts of their judged images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, distinct, func, or_, select, update
from sqlalchemy.orm import Session

from core.types import Act, JobStatus, Recipe, Status, Task, Verdict
from db.models import ChangesetRow, DatasetRow, DecisionRow, FindingRow, IncomingRow, RoundRow, SampleRow
from db.queries import agreeing, projection
from db.queries.datasets import Merges, merges_of, present
from db.queries.imports import UNLABELLED_SPLIT

DRAWN = "evaluation"  # the name of a split that is drawn
_FINDING = [recipe for recipe in Recipe if recipe.finds]
_JUDGING = [recipe for recipe in _FINDING if not recipe.proposes]  # of masks that are there
_USABLE = (Status.ACCEPT, Status.KEEP, Status.RELABEL)  # decisions that leave a label
_CHUNK = 5_000  # images named in one statement
_UNDECIDED = (Status.OPEN, Status.SECOND_OPINION)


@dataclass(frozen=True, slots=True)
class Split:
    """One split of a dataset: how many images it has now, and whether they are for evaluation only."""

    name: str
    images: int
    protected: bool


def splits(session: Session, dataset_id: int) -> list[Split]:
    """Return a dataset's splits by name; "" for the images that are in none."""
    protected = splits_of_dataset(session, dataset_id)
    query = select(SampleRow.split, func.count()).where(*_present(dataset_id)).group_by(SampleRow.split)
    counted = dict(session.execute(query.order_by(SampleRow.split)).all())
    gone = {name: 0 for name in protected if name not in counted}
    return [Split(name, count, name in protected) for name, count in (counted | gone).items()]


def stays(session: Session, import_id: int, dataset_id: int) -> ColumnElement[bool]:
    """Return the condition that an import leaves a known image in its split: its source names none for it.

    An image drawn for evaluation stays too, whatever its source says, unless that names a split of the same name.
    """
    of_no_split = and_(
        IncomingRow.split == "", SampleRow.split != UNLABELLED_SPLIT
    )  # images of an added folder leave its split
    staged = select(IncomingRow.id).where(IncomingRow.import_id == import_id, IncomingRow.split == DRAWN)
    if DRAWN not in splits_of_dataset(session, dataset_id) or session.scalar(staged.limit(1)) is not None:
        return of_no_split
    return or_(of_no_split, SampleRow.split == DRAWN)


def images_of_split(session: Session, dataset_id: int, split: str) -> list[tuple[int, str, str]]:
    """Return (id, group, content hash) of the images that are in a split, by id; "" for those in none."""
    query = select(SampleRow.id, SampleRow.group, SampleRow.content_hash).where(*_within(dataset_id, [split]))
    return [(id_, group, content) for id_, group, content in session.execute(query.order_by(SampleRow.id))]


def move_to_split(session: Session, sample_ids: Sequence[int], split: str) -> None:
    """Put images into a split, their findings with them."""
    for start in range(0, len(sample_ids), _CHUNK):
        some = sample_ids[start : start + _CHUNK]
        session.execute(update(SampleRow).where(SampleRow.id.in_(some)).values(split=split))
    take_along(session, sample_ids)


def take_along(session: Session, sample_ids: Sequence[int]) -> None:
    """Put the findings of images into the splits these are in now; the counts follow."""
    agreeing.make_rows(session, sample_ids)
    own = select(SampleRow.split).where(SampleRow.id == FindingRow.sample_id).scalar_subquery()
    touched: set[int] = set()
    for start in range(0, len(sample_ids), _CHUNK):
        of_these = FindingRow.sample_id.in_(sample_ids[start : start + _CHUNK])
        touched |= set(session.scalars(select(FindingRow.round_id).where(of_these).distinct()))
        moved = update(FindingRow).where(of_these).values(split=own)
        session.execute(moved.execution_options(synchronize_session=False))
    for round_id in sorted(touched):
        projection.count_again(session, round_id)


def update_splits_of_round(session: Session, round_id: int) -> None:
    """Move the findings of a round about to be shown into the current splits of its samples; count them afterwards."""
    own = select(SampleRow.split).where(SampleRow.id == FindingRow.sample_id).scalar_subquery()
    moved = update(FindingRow).where(FindingRow.round_id == round_id, FindingRow.split != own).values(split=own)
    session.execute(moved.execution_options(synchronize_session=False))


def splits_of_dataset(session: Session, dataset_id: int) -> list[str]:
    """Return the names of a dataset's evaluation splits."""
    return session.scalar(select(DatasetRow.evaluation_splits).where(DatasetRow.id == dataset_id)) or []


def splits_of_round(session: Session, round_id: int) -> list[str]:
    """Return the names of the evaluation splits of a round's dataset."""
    of_round = select(DatasetRow.evaluation_splits).join(RoundRow, RoundRow.dataset_id == DatasetRow.id)
    return session.scalar(of_round.where(RoundRow.id == round_id)) or []


def count_protected(session: Session, changeset_id: int) -> int:
    """Count the decisions of an act on findings of current evaluation splits."""
    dataset = session.scalar(select(ChangesetRow.dataset_id).where(ChangesetRow.id == changeset_id))
    protected = splits_of_dataset(session, dataset) if dataset is not None else []
    if not protected:
        return 0
    query = select(func.count()).select_from(DecisionRow).join(FindingRow, FindingRow.id == DecisionRow.finding_id)
    of_act = (DecisionRow.changeset_id == changeset_id, FindingRow.split.in_(protected))
    return session.scalar(query.where(*of_act)) or 0


def bulk_accepted(session: Session, dataset_id: int, split: str) -> int:
    """Count the images of a split whose label was accepted in bulk and not judged by a person."""
    query = select(func.count(distinct(FindingRow.sample_id))).join(SampleRow, SampleRow.id == FindingRow.sample_id)
    return session.scalar(query.where(*_within(dataset_id, [split]), FindingRow.status == Status.BULK)) or 0


def judged(session: Session, dataset_id: int, task: Task, protected: Sequence[str]) -> list[int]:
    """Return the samples of these splits whose label people settled, by id, as test data for models.

    Of masks, images of which people settled at least one region or edited the mask, and of whose regions none is left:
    none accepted in bulk, none open in the newest round or, where that only proposes for images without a mask, in
    the newest that judged masks.
    """
    return list(session.scalars(_JUDGED[task](dataset_id, protected))) if protected else []


def changed(session: Session, dataset_id: int, task: Task, protected: Sequence[str]) -> int:
    """Count the samples outside of these splits whose label differs from the given one, or was removed."""
    found = _CHANGED[task](dataset_id, protected, merges_of(session, dataset_id))
    return session.scalar(select(func.count()).select_from(found.subquery())) or 0


def _judged_labels(dataset_id: int, protected: Sequence[str]) -> Select[int]:
    query = select(SampleRow.id).join(FindingRow, FindingRow.sample_id == SampleRow.id).distinct()
    settled = (FindingRow.area.is_(None), FindingRow.status.in_(_USABLE), FindingRow.label.is_not(None))
    return query.where(*_within(dataset_id, protected), *settled).order_by(SampleRow.id)


def _judged_masks(dataset_id: int, protected: Sequence[str]) -> Select[int]:
    done = select(func.max(RoundRow.id)).where(RoundRow.dataset_id == dataset_id, RoundRow.status == JobStatus.DONE)
    newest = [done.where(RoundRow.recipe.in_(some)).scalar_subquery() for some in (_FINDING, _JUDGING)]
    left = or_(FindingRow.status == Status.BULK, FindingRow.status.in_(_UNDECIDED) & FindingRow.round_id.in_(newest))
    waits = select(FindingRow.id).where(FindingRow.sample_id == SampleRow.id, left).exists()
    decided = _decided_on_sample(DecisionRow.verdict != Verdict.SECOND_OPINION, ChangesetRow.act == Act.VERDICT)
    return select(SampleRow.id).where(*_within(dataset_id, protected), decided, ~waits).order_by(SampleRow.id)


def _changed_labels(dataset_id: int, protected: Sequence[str], merges: Merges) -> Select[int]:
    query = select(SampleRow.id).join(FindingRow, FindingRow.sample_id == SampleRow.id).distinct()
    settled = FindingRow.status.not_in([*_UNDECIDED, Status.KEEP])
    other = FindingRow.label.is_distinct_from(present(SampleRow.label, merges))
    return query.where(*_outside(dataset_id, protected), FindingRow.area.is_(None), settled, other)


def _changed_masks(dataset_id: int, protected: Sequence[str], _merges: Merges) -> Select[int]:
    decided = _decided_on_sample(DecisionRow.verdict.not_in([Verdict.SECOND_OPINION, Verdict.KEEP]))
    return select(SampleRow.id).where(*_outside(dataset_id, protected), decided)


def _decided_on_sample(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether a decision that counts was made on the sample."""
    live = select(DecisionRow.id).join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
    return live.where(DecisionRow.sample_id == SampleRow.id, ChangesetRow.live, *conditions).exists()


def _present(dataset_id: int) -> list[ColumnElement[bool]]:
    return [SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None)]


def _within(dataset_id: int, chosen: Sequence[str]) -> list[ColumnElement[bool]]:
    return [*_present(dataset_id), SampleRow.split.in_(chosen)]


def _outside(dataset_id: int, protected: Sequence[str]) -> list[ColumnElement[bool]]:
    return [*_present(dataset_id), SampleRow.split.not_in(protected)]


_Samples = Callable[[int, Sequence[str]], Select[int]]
_JUDGED: Mapping[Task, _Samples] = {Task.CLASSIFICATION: _judged_labels, Task.SEGMENTATION: _judged_masks}
_Changed = Callable[[int, Sequence[str], Merges], Select[int]]
_CHANGED: Mapping[Task, _Changed] = {Task.CLASSIFICATION: _changed_labels, Task.SEGMENTATION: _changed_masks}
