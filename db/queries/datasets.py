"""Datasets, their merged classes, and the figures of their cards.

Given labels, verdicts and tags are never rewritten when classes are merged: queries return them as the classes that
they mean at present (`present`), by the map that follows from a dataset's acts. What rounds found is moved along
(`db.queries.projection.move_findings`), since filters and indexes need it.

Counts of cards come from the last imports' reports and from `finding_count`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import SQLColumnExpression, case, func, select, update
from sqlalchemy.orm import Session

from core.types import ClassState, ClassTable, DatasetError, FindingKind, JobStatus, Recipe, Status, Task, work_done
from db.models import DatasetRow, FindingCountRow, FoldRunRow, ImportRow, RoundRow, SampleRow, ShardRunRow
from db.queries import imports

_OF_ROUND = ("id", "number", "recipe", "status", "stage", "message")  # the first fields of a summary
Merges = Mapping[int, int]  # from a merged class to the target of its merge, chains resolved


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """A dataset as it was imported. A class id is an index into `classes`, which only grows at its end.

    Only a dataset of masks has `colours`, one for each class. No model learns from an evaluation split.
    """

    id: int
    name: str
    task: Task
    root: str
    format: str
    classes: tuple[str, ...]
    options: dict[str, Any]
    created_at: datetime
    colours: tuple[str, ...] | None = None
    evaluation_splits: tuple[str, ...] = ()
    retired_classes: tuple[int, ...] = ()  # their addition was undone
    merged_classes: Mapping[int, int] = field(default_factory=dict)  # and the target of each merge
    class_order: tuple[int, ...] = ()  # empty: by id

    @property
    def class_state(self) -> ClassState:
        """Return the present classes: those offered, and those that labels mean."""
        return ClassState(self.classes, self.retired_classes, self.merged_classes, self.class_order)

    @property
    def class_table(self) -> ClassTable | None:
        """Return all classes with the colours of their masks; None if labels are classes."""
        return None if self.colours is None else ClassTable(self.classes, self.colours)


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """A dataset's newest round: how far its folds are (0 to 1), its findings left and decided.

    Suspicious ones; of a recipe that only proposes, those on unlabelled data. Where a round does both, these are
    counted apart: `proposed` of them are left.
    """

    id: int
    number: int
    recipe: Recipe
    status: JobStatus
    stage: str
    message: str
    fraction: float
    left: int = 0
    decided: int = 0
    proposed: int = 0
    proposed_decided: int = 0

    @property
    def is_reviewable(self) -> bool:
        """Return whether it is done and has findings."""
        return self.status is JobStatus.DONE and self.recipe.finds


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """Values of a dataset's card. `covers` are content hashes; `reviewable` is the newest finished round.

    `problems` counts those of `standing`, the last import of each of its sources; other values are of the last one.
    If that only proposes labels, `contradicting` is the newest one that judged some, if any of it is open.
    """

    dataset: DatasetInfo
    import_id: int | None
    standing: tuple[int, ...]
    images: int
    class_counts: Mapping[str, int]
    split_counts: Mapping[str, int]
    covers: tuple[str, ...]
    problems: int
    masks: int | None = None  # images with a mask; None if labels are classes
    newest: RoundSummary | None = None
    reviewable: RoundSummary | None = None
    contradicting: RoundSummary | None = None
    rounds: int = 0


def add_dataset(session: Session, info: Mapping[str, Any]) -> int:
    """Store a new dataset and return its id."""
    row = DatasetRow(**info)
    session.add(row)
    session.flush()
    return row.id


def get_dataset(session: Session, dataset_id: int) -> DatasetInfo:
    """Return one dataset.

    Raises:
        DatasetError: there is none with this id.
    """
    row = session.get(DatasetRow, dataset_id)
    if row is None:
        raise DatasetError(f"there is no dataset {dataset_id}", "it may belong to another installation")
    return _info(row)


def find_dataset(session: Session, name: str) -> DatasetInfo | None:
    """Return the dataset of this name."""
    row = session.scalar(select(DatasetRow).where(DatasetRow.name == name))
    return None if row is None else _info(row)


def datasets(session: Session) -> list[DatasetInfo]:
    """Return all datasets, newest first."""
    return [_info(row) for row in session.scalars(select(DatasetRow).order_by(DatasetRow.id.desc()))]


def change_dataset(session: Session, dataset_id: int, values: Mapping[str, Any]) -> None:
    """Write some of a dataset's columns."""
    session.execute(update(DatasetRow).where(DatasetRow.id == dataset_id).values(**values))


def read_merges(stored: Sequence[Sequence[int]]) -> dict[int, int]:
    """Return merges from the pairs that a dataset's row holds."""
    return {pair[0]: pair[1] for pair in stored}


def merges_of(session: Session, dataset_id: int) -> dict[int, int]:
    """Return the merged classes of a dataset."""
    return read_merges(session.scalar(select(DatasetRow.merged_classes).where(DatasetRow.id == dataset_id)) or [])


def merges_of_round(session: Session, round_id: int) -> dict[int, int]:
    """Return the merged classes of a round's dataset."""
    of_round = select(DatasetRow.merged_classes).join(RoundRow, RoundRow.dataset_id == DatasetRow.id)
    return read_merges(session.scalar(of_round.where(RoundRow.id == round_id)) or [])


def merges_of_sample(session: Session, sample_id: int) -> dict[int, int]:
    """Return the merged classes of an image's dataset."""
    of_sample = select(DatasetRow.merged_classes).join(SampleRow, SampleRow.dataset_id == DatasetRow.id)
    return read_merges(session.scalar(of_sample.where(SampleRow.id == sample_id)) or [])


def present(label: SQLColumnExpression[Any], merges: Merges) -> SQLColumnExpression[Any]:
    """Return a column of class ids as the classes that they mean now."""
    return case(dict(merges), value=label, else_=label) if merges else label


def count_splits(session: Session, dataset_id: int, counts: Mapping[str, int]) -> None:
    """Update the number of images in each split in the newest import, which card and exports read."""
    newest = session.get(ImportRow, imports.last_done(session, dataset_id) or 0)
    if newest is not None:
        newest.report = {**(newest.report or {}), "splits": dict(counts)}


def rename_counts(session: Session, dataset_id: int, names: Mapping[str, str]) -> None:
    """Update the class names in the newest import's counts, which cards read."""
    newest = session.get(ImportRow, imports.last_done(session, dataset_id) or 0)
    if newest is not None and newest.report and "classes" in newest.report:
        counted = {names.get(name, name): count for name, count in newest.report["classes"].items()}
        newest.report = {**newest.report, "classes": counted}


def cards(session: Session) -> list[DatasetCard]:
    """Return every dataset's card, newest first, in a fixed number of statements."""
    reports = _current_problem_imports(session)
    rounds = _rounds(session)
    return [_card(info, reports.get(info.id, []), rounds.get(info.id, [])) for info in datasets(session)]


def _card(info: DatasetInfo, standing: list[ImportRow], rounds: list[RoundSummary]) -> DatasetCard:
    last = standing[-1] if standing else None
    report = (last.report if last else None) or {}
    problems = [kinds for one in standing for kinds in (one.report or {}).get("problems", {}).values()]
    finished = [found for found in rounds if found.is_reviewable]
    judging = next((found for found in finished if not found.recipe.proposes), None)
    return DatasetCard(
        dataset=info,
        import_id=last.id if last else None,
        standing=tuple(one.id for one in standing),
        images=report.get("images", 0),
        class_counts=_class_counts(info.class_state, report),
        split_counts=report.get("splits", {}),
        covers=tuple(report.get("covers", ())),
        problems=sum(sum(kinds.values()) for kinds in problems),
        masks=report.get("masks"),
        newest=rounds[0] if rounds else None,
        reviewable=finished[0] if finished else None,
        contradicting=judging if judging and judging.left and judging is not finished[0] else None,
        rounds=len(rounds),
    )


def _class_counts(state: ClassState, report: Mapping[str, Any]) -> dict[str, int]:
    """Return the last import's count of images of each class, merged classes together, in the order of the classes.

    An image whose mask has several merged classes was counted for each: of masks it is the least number there can be.
    """
    counted: Mapping[str, int] = report.get("classes", {})
    parts: dict[str, list[int]] = {}
    for number in state.ordered:
        if state.names[number] in counted:
            parts.setdefault(state.name_of(number), []).append(counted[state.names[number]])
    together = {name: (max if report.get("masks") is not None else sum)(some) for name, some in parts.items()}
    shown = {name: together[name] for name in state.offered_names if name in together}
    return shown | {name: count for name, count in counted.items() if name not in state.names}  # "": no label


def _current_problem_imports(session: Session) -> dict[int, list[ImportRow]]:
    """Return each dataset's imports with current problems, oldest first; the newest is its last import."""
    standing = imports.current_problem_imports(session)
    ids = [number for numbers in standing.values() for number in numbers]
    rows = {row.id: row for row in session.scalars(select(ImportRow).where(ImportRow.id.in_(ids)))}
    return {dataset_id: [rows[number] for number in numbers] for dataset_id, numbers in standing.items()}


def _rounds(session: Session) -> dict[int, list[RoundSummary]]:
    """Return each dataset's rounds, newest first."""
    counts = _counts(session)
    fractions = _fractions(session)
    rounds: dict[int, list[RoundSummary]] = {}
    columns = [RoundRow.dataset_id, *(getattr(RoundRow, name) for name in _OF_ROUND)]
    for dataset_id, *facts in session.execute(select(*columns).order_by(RoundRow.number.desc())):
        known = dict(zip(_OF_ROUND, facts, strict=True))
        id_ = known["id"]
        fraction = float(fractions.get(id_) or 0)
        rounds.setdefault(dataset_id, []).append(RoundSummary(**known, fraction=fraction, **counts.get(id_, {})))
    return rounds


def _fractions(session: Session) -> dict[int, float]:
    """Return the share of its work that is done of each round."""
    done: dict[int, float] = {}
    for row in (FoldRunRow, ShardRunRow):
        mean = select(row.round_id, func.avg(row.fraction)).group_by(row.round_id)
        for round_id, share in session.execute(mean):
            folds = done.get(round_id)
            done[round_id] = share if folds is None else work_done(folds, share)
    return done


def _counts(session: Session) -> dict[int, dict[str, Any]]:
    """Return the findings left and decided, by round and by the name of the count in its summary."""
    columns = (FindingCountRow.round_id, RoundRow.recipe, FindingCountRow.kind, FindingCountRow.status)
    query = (
        select(*columns, func.sum(FindingCountRow.count))
        .join(RoundRow, RoundRow.id == FindingCountRow.round_id)
        .where(FindingCountRow.kind != FindingKind.AGREEING)
        .group_by(*columns)
    )
    counts: dict[int, dict[str, Any]] = {}
    for round_id, recipe, kind, status, count in session.execute(query):
        apart = FindingKind(kind) is FindingKind.UNLABELLED and not recipe.proposes
        left, decided = ("proposed", "proposed_decided") if apart else ("left", "decided")
        name = decided if Status(status).settled else left
        own = counts.setdefault(round_id, {})
        own[name] = own.get(name, 0) + int(count)
    return counts


def _info(row: DatasetRow) -> DatasetInfo:
    colours = None if row.colours is None else tuple(row.colours)
    return DatasetInfo(
        row.id, row.name, row.task, row.root, row.format, tuple(row.classes), row.options, row.created_at, colours,
        tuple(row.evaluation_splits), tuple(row.retired_classes), read_merges(row.merged_classes),
        tuple(row.class_order),
    )  # fmt: skip
