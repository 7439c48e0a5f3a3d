"""Facts of a round that a review needs before its first finding."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.types import ClassState, JobStatus, Recipe, Task
from db.models import DatasetRow, FindingCountRow, FindingRow, RoundRow
from db.queries import agreeing
from db.queries.merges import read_merges

_FINDING = [recipe for recipe in Recipe if recipe.finds]


@dataclass(frozen=True, slots=True)
class ReviewedRound:
    """A round as the review sees it."""

    id: int
    number: int
    recipe: Recipe
    status: JobStatus
    config: dict[str, Any]
    metrics: dict[str, Any] | None
    dataset_id: int
    dataset: str
    classes: list[str]
    colours: list[str] | None
    task: Task
    evaluation_splits: list[str]
    retired_classes: list[int]
    merged_classes: list[list[int]]  # pairs of a class and the one it went into
    class_order: list[int]  # empty: by id

    @property
    def class_state(self) -> ClassState:
        """Return the classes of its dataset as they stand."""
        merged = read_merges(self.merged_classes)
        return ClassState(tuple(self.classes), tuple(self.retired_classes), merged, tuple(self.class_order))

    @property
    def expects(self) -> bool:
        """Return whether its confidences are calibrated, as those of whole images are."""
        return self.task in self.recipe.calibrated


def find_round(session: Session, round_id: int) -> ReviewedRound | None:
    """Return a round with its dataset, None when there is none with this id."""
    columns = (
        RoundRow.id, RoundRow.number, RoundRow.recipe, RoundRow.status, RoundRow.config, RoundRow.metrics,
    )  # fmt: skip
    of_dataset = (
        DatasetRow.id, DatasetRow.name, DatasetRow.classes, DatasetRow.colours, DatasetRow.task,
        DatasetRow.evaluation_splits, DatasetRow.retired_classes, DatasetRow.merged_classes, DatasetRow.class_order,
    )  # fmt: skip
    found = select(*columns, *of_dataset).join(DatasetRow, DatasetRow.id == RoundRow.dataset_id)
    row = session.execute(found.where(RoundRow.id == round_id)).one_or_none()
    return None if row is None else ReviewedRound(*row)


def recipe_of(session: Session, round_id: int) -> Recipe | None:
    """Return the recipe of a round, None when there is none with this id."""
    return session.scalar(select(RoundRow.recipe).where(RoundRow.id == round_id))


def rounds_of(session: Session, dataset_id: int) -> list[tuple[int, int, JobStatus]]:
    """Return (id, number, status) of a dataset's rounds that end with findings, newest first."""
    columns = select(RoundRow.id, RoundRow.number, RoundRow.status)
    chosen = columns.where(RoundRow.dataset_id == dataset_id, RoundRow.recipe.in_(_FINDING))
    rows = session.execute(chosen.order_by(RoundRow.number.desc())).all()
    return [(row[0], row[1], row[2]) for row in rows]


def reviewable_datasets(session: Session) -> list[tuple[int, str, int]]:
    """Return (id, name, newest finished round) of every dataset that has one, by name."""
    done = (RoundRow.status == JobStatus.DONE, RoundRow.recipe.in_(_FINDING))
    newest = select(func.max(RoundRow.id)).where(*done).group_by(RoundRow.dataset_id)
    datasets = select(DatasetRow.id, DatasetRow.name, RoundRow.id).join(RoundRow, RoundRow.dataset_id == DatasetRow.id)
    rows = session.execute(datasets.where(RoundRow.id.in_(newest)).order_by(DatasetRow.name)).all()
    return [(row[0], row[1], row[2]) for row in rows]


def splits_of(session: Session, round_id: int) -> list[str]:
    """Return the names of the splits there are findings in, sorted; "" for none."""
    names = select(FindingCountRow.split).where(FindingCountRow.round_id == round_id).distinct()
    return list(session.scalars(names.order_by(FindingCountRow.split)))


def has_similarity(session: Session, round_id: int) -> bool:
    """Return whether the round's findings have an order that puts like beside like: all have it, or none."""
    first = select(FindingRow.similarity_rank).where(FindingRow.round_id == round_id).order_by(FindingRow.rank)
    return session.scalar(first.limit(1)) is not None or agreeing.has_similarity(session, round_id)
