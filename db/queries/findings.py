"""Findings: written once by a round, read by id, by sample, or as pages of the review's queue.

`ReviewedRound` has the facts of a round that a review needs before its first finding.

Store rows in the order of their rank, so that the queue is on disk in the order in which it is read.

A page of the queue starts at a key, not at an offset. The index used depends on how many findings the filter
has, which `finding_count` knows: many are found soon in the order's own index; few are collected by the queue's
index, the only one with the status, and sorted.

Counts are read from `finding_count` wherever that table can answer (a few thousand rows for a million findings), else
from the findings themselves; both give the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Select, and_, delete, func, select, tuple_, union_all, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.types import ClassState, Finding, FindingFilter, FindingKind, JobStatus, Order, Recipe, Status, Task
from db.loading import NewFinding, load_findings, reserve_ids
from db.models import (
    AnnotatorRow,
    DatasetRow,
    DecisionRow,
    FindingCountRow,
    FindingRow,
    MadeFindingRow,
    RoundRow,
    SampleRow,
)
from db.queries import agreeing
from db.queries.datasets import read_merges
from db.queries.filters import CERTAIN_PERCENT, TODO, broadened, counted, is_counted, kinds_of, matching, statuses_of
from db.queries.projection import count_again, move_round, project

_END = 7  # columns at the end of a row: x, y, width, height, area, own_given, own_pseudo
MOST_SORTED = 50_000
Key = Sequence[float]  # where a page ended: the values of the order's columns
ORDER_COLUMNS: Mapping[Order, tuple[InstrumentedAttribute[Any], ...]] = {
    Order.SUSPICION: (FindingRow.rank,),
    Order.CONFIDENCE: (FindingRow.confidence, FindingRow.rank),  # both downwards: one index, read backwards
    Order.PAIR: (FindingRow.given, FindingRow.pseudo, FindingRow.rank),
    Order.SIMILARITY: (FindingRow.similarity_rank,),
}
_FINDING = [recipe for recipe in Recipe if recipe.finds]
BINS = 100


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
    merged_classes: list[list[int]]  # pairs of a class and the target of its merge
    class_order: list[int]  # empty: by id

    @property
    def class_state(self) -> ClassState:
        """Return the current classes of its dataset."""
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


def reserve_block(session: Session, round_id: int, count: int) -> int:
    """Keep `count` ids for a round and return the first; the finding of rank 0 has it."""
    first = reserve_ids(session, count)
    block = {"first_finding_id": first, "reserved_ids": count, "findings_in_file": None}
    session.execute(update(RoundRow).where(RoundRow.id == round_id).values(**block))
    return first


def first_id_of(session: Session, round_id: int) -> int | None:
    """Return the first id of a round's block, None without a block."""
    rounds = RoundRow.__table__  # the table, not the class: of a hidden round too
    return session.scalar(select(rounds.c.first_finding_id).where(rounds.c.id == round_id))


def keep_in_file(session: Session, round_id: int, count: int) -> None:
    """Note that `count` findings of a round are in its file, which is in its place."""
    session.execute(update(RoundRow).where(RoundRow.id == round_id).values(findings_in_file=count))


def forget_file(session: Session, round_id: int) -> None:
    """Note that a round's file is removed for good."""
    gone = {"first_finding_id": None, "reserved_ids": None, "findings_in_file": None}
    session.execute(update(RoundRow).where(RoundRow.id == round_id).values(**gone))


def add_findings(session: Session, round_id: int, rows: Sequence[NewFinding]) -> None:
    """Store findings of a round that is not shown yet; call `open_findings` after the last of them."""
    session.flush()
    first = session.scalar(select(RoundRow.first_finding_id).where(RoundRow.id == round_id))
    if first is None:
        following = reserve_ids(session, len(rows))
        load_findings(session, round_id, enumerate(rows, following))
    else:
        load_findings(session, round_id, ((first + row.rank, row) for row in rows))


def open_findings(session: Session, round_id: int) -> None:
    """Give the round's findings the verdicts that people passed in older rounds, and count them all.

    Of findings in a file those that were decided on have rows by now, see `db.queries.agreeing.concerned_samples`.
    A region is of its own round: no earlier verdict exists.
    """
    judged = select(FindingRow.id).where(
        FindingRow.round_id == round_id,
        FindingRow.area.is_(None),
        FindingRow.sample_id.in_(select(DecisionRow.sample_id)),
    )
    project(session, judged)
    move_round(session, round_id)  # classes may have been merged while it ran
    count_again(session, round_id)


def last_stored(session: Session, round_id: int) -> int | None:
    """Return the id of the finding of a round that was stored last, None while there is none."""
    last = select(FindingRow.id).where(FindingRow.round_id == round_id).order_by(FindingRow.rank.desc()).limit(1)
    return session.scalar(last)


def remove_findings(session: Session, round_id: int) -> None:
    """Forget the findings of a round that was never shown, so that they can be stored again."""
    session.execute(delete(FindingCountRow).where(FindingCountRow.round_id == round_id))
    session.execute(delete(FindingRow).where(FindingRow.round_id == round_id))
    session.execute(delete(MadeFindingRow).where(MadeFindingRow.round_id == round_id))
    session.execute(update(RoundRow).where(RoundRow.id == round_id).values(findings_in_file=None))


def findings_by_ids(session: Session, ids: Sequence[int]) -> list[Finding]:
    """Return these findings in the requested order; unknown ids are left out."""
    rows = session.execute(_with_sample().where(FindingRow.id.in_(ids))).all()
    found = {row.id: _finding(row) for row in rows}
    found |= agreeing.findings_by_ids(session, set(ids).difference(found))
    return [found[one] for one in ids if one in found]


def rows_of_findings(session: Session, chosen: FindingFilter, rows: Sequence[int]) -> dict[int, int]:
    """Return the ids of a filter's findings on these rows of the snapshot, by the row; a row has one finding."""
    stored = session.execute(select(FindingRow.row, FindingRow.id).where(FindingRow.row.in_(rows), *matching(chosen)))
    found = {one.row: one.id for one in stored}
    for columns in agreeing.columns_of(session, chosen, "row", "id"):
        here = np.isin(columns["row"], rows)
        found |= dict(zip(columns["row"][here].tolist(), columns["id"][here].tolist(), strict=True))
    return found


def findings_of_sample(session: Session, finding: Finding) -> list[Finding]:
    """Return every finished round's finding of a finding's sample, oldest first; a region was found once."""
    if finding.area is not None:
        return [finding]
    finished = FindingRow.round_id.in_(select(RoundRow.id).where(RoundRow.status == JobStatus.DONE))
    chosen = _with_sample().where(FindingRow.sample_id == finding.sample_id, finished)
    found = [_finding(row) for row in session.execute(chosen)]
    missing = set(agreeing.finished_rounds_of(session, finding.sample_id)).difference(one.round_id for one in found)
    for round_id in missing:
        found += agreeing.findings_of_samples(session, round_id, [finding.sample_id])
    return sorted(found, key=lambda one: one.round_id)


def findings_of_samples(session: Session, round_id: int, sample_ids: Sequence[int]) -> list[Finding]:
    """Return a round's findings of these samples, each one's class, in the order asked for."""
    chosen = _with_sample().where(FindingRow.sample_id.in_(sample_ids), FindingRow.round_id == round_id)
    rows = session.execute(chosen.where(FindingRow.area.is_(None))).all()
    found = {row.sample_id: _finding(row) for row in rows}
    missing = sorted(set(sample_ids).difference(found))
    found |= {one.sample_id: one for one in agreeing.findings_of_samples(session, round_id, missing)}
    return [found[one] for one in sample_ids if one in found]


def labels_of_round(session: Session, round_id: int) -> list[tuple[str, int, int, float]]:
    """Return (name, given and suggested class, self-confidence) of each label of a round, in the order of the names."""
    finding = FindingRow
    without_row = agreeing.labels_of_round(session, round_id)
    of_round = (finding.sample_id == SampleRow.id, finding.round_id == round_id)
    columns = (SampleRow.name, finding.given, finding.pseudo, finding.self_confidence, finding.kind, SampleRow.id)
    dataset_id = select(RoundRow.dataset_id).where(RoundRow.id == round_id).scalar_subquery()
    joined = select(*columns).outerjoin(finding, and_(*of_round)).where(SampleRow.dataset_id == dataset_id)
    labels: list[tuple[str, int, int, float]] = []
    for name, given, pseudo, own, kind, sample_id in session.execute(joined.order_by(SampleRow.name)):
        if kind is None and (found := without_row(sample_id)) is not None:
            labels.append((name, *found))
        elif kind not in (None, FindingKind.UNLABELLED):
            labels.append((name, given, pseudo, own))
    return labels


def findings_page(
    session: Session, chosen: FindingFilter, order: Order, after: Key | None, limit: int
) -> list[Finding]:
    """Return up to `limit` findings of a filter that come after the key `after`, in order."""
    most = count(session, broadened(chosen))
    if most == 0:
        return []
    by_status = order is Order.SUSPICION or most <= MOST_SORTED
    parts = _parts(chosen, by_status=by_status)
    keys: Sequence[Any] = ORDER_COLUMNS[order]
    if order is not Order.SUSPICION and by_status:
        keys = [(key + 0).label(key.key) for key in keys]  # an expression: its index is not taken, the rows sorted
    branches = [_branch(part, order, keys, after, limit) for part in parts]
    if order is Order.CONFIDENCE:  # do not walk through the certain ones that are all decided
        top = highest_percent(session, broadened(chosen))
        branches = [branch.where(FindingRow.confidence < (top + 1) / CERTAIN_PERCENT) for branch in branches]
    merged = union_all(*[select(branch.subquery()) for branch in branches]).subquery()
    ordered = _directed(order, [merged.c[column.key] for column in ORDER_COLUMNS[order]])
    ids = session.scalars(select(merged.c.id).order_by(*ordered).limit(limit)).all()
    others = agreeing.first_ids(session, chosen, order, after, limit)
    found = findings_by_ids(session, [*ids, *others])
    if others:
        found.sort(key=lambda finding: page_end(finding, order), reverse=order is Order.CONFIDENCE)
    return found[:limit]


def page_end(finding: Finding, order: Order) -> list[float]:
    """Return the end of the page whose last finding is this one."""
    return [getattr(finding, column.key) for column in ORDER_COLUMNS[order]]


def count(session: Session, chosen: FindingFilter) -> int:
    """Count the findings that match the filter."""
    if is_counted(chosen):
        return session.scalar(select(func.coalesce(func.sum(FindingCountRow.count), 0)).where(*counted(chosen))) or 0
    rows = session.scalar(select(func.count()).select_from(FindingRow).where(*matching(chosen))) or 0
    return rows + agreeing.count(session, chosen)


def highest_percent(session: Session, chosen: FindingFilter) -> int:
    """Return the highest whole percent of confidence among the findings of a filter that is counted; 100 when none."""
    top = session.scalar(select(func.max(FindingCountRow.percent)).where(*counted(chosen), FindingCountRow.count > 0))
    return CERTAIN_PERCENT if top is None else top


def count_by_status(session: Session, chosen: FindingFilter) -> dict[Status, int]:
    """Return the number of findings by status, whatever statuses the filter names."""
    return {row[0]: row[1] for row in _grouped(session, replace(chosen, statuses=frozenset()), "status")}


def count_by_kind(session: Session, chosen: FindingFilter) -> dict[FindingKind, int]:
    """Return the number of open findings by kind, whatever kinds and statuses the filter names."""
    return {row[0]: row[1] for row in _grouped(session, replace(chosen, kinds=frozenset(), statuses=TODO), "kind")}


def count_by_pair(session: Session, chosen: FindingFilter) -> list[tuple[int, int, int]]:
    """Return (given, pseudo, number), the largest number first."""
    pairs = [(given, pseudo, n) for given, pseudo, n in _grouped(session, chosen, "given", "pseudo")]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


def count_by_label(session: Session, round_id: int) -> dict[int, int]:
    """Return the number of a round's findings that were given each class by a verdict."""
    query = select(FindingRow.label, func.count()).where(FindingRow.round_id == round_id, FindingRow.label.is_not(None))
    return {label: n for label, n in session.execute(query.group_by(FindingRow.label)) if label is not None}


def mean_confidence(session: Session, chosen: FindingFilter) -> float | None:
    """Return the mean confidence of a filter's findings, to half a percent; None without any."""
    levels = _grouped(session, chosen, "percent")
    total = sum(n for _, n in levels)
    return sum(n * min(percent + 0.5, CERTAIN_PERCENT) for percent, n in levels) / (100 * total) if total else None


def count_by_percent(session: Session, chosen: FindingFilter) -> list[int]:
    """Return the number of findings of a filter at each whole percent of confidence, from 0 to 100."""
    levels = [0] * (CERTAIN_PERCENT + 1)
    for percent, n in _grouped(session, chosen, "percent"):
        levels[percent] += n
    return levels


def pixels_by_percent(session: Session, chosen: FindingFilter) -> list[int]:
    """Return the pixels of a filter's regions at each whole percent of confidence, from 0 to 100."""
    total = func.sum(FindingRow.area)
    rows = session.execute(select(FindingRow.percent, total).where(*matching(chosen)).group_by(FindingRow.percent))
    levels = [0] * (CERTAIN_PERCENT + 1)
    for percent, pixels in rows:
        levels[percent] = int(pixels or 0)
    return levels


def histogram(session: Session, chosen: FindingFilter, statuses: frozenset[Status] = TODO) -> list[int]:
    """Return the numbers still to do by percent of confidence; the last bin includes certainty."""
    bins = [0] * BINS
    everywhere = replace(chosen, statuses=statuses, min_confidence=0.0, max_confidence=1.0)
    for percent, n in _grouped(session, everywhere, "percent"):
        bins[min(percent, BINS - 1)] += n
    return bins


def _finding(row: Sequence[Any]) -> Finding:
    *box, area, own_given, own_pseudo = row[-_END:]
    values: list[Any] = [*row[:-_END], None if area is None else tuple(box), area, own_given, own_pseudo]
    return Finding(*values)


@cache
def _with_sample() -> Select[*tuple[Any, ...]]:
    finding = FindingRow
    return (
        select(
            finding.id, finding.round_id, finding.sample_id, finding.row, finding.rank, finding.kind,
            finding.given, finding.pseudo, finding.confidence, finding.self_confidence, finding.fold, finding.split,
            finding.top, finding.similarity_rank, finding.contradicting, finding.status, finding.label,
            AnnotatorRow.name.label("annotator"),
            SampleRow.name, SampleRow.path, SampleRow.content_hash, SampleRow.width, SampleRow.height,
            finding.x, finding.y, finding.width, finding.height, finding.area, finding.own_given, finding.own_pseudo,
        )
        .join(SampleRow, SampleRow.id == finding.sample_id)
        .outerjoin(AnnotatorRow, AnnotatorRow.id == finding.annotator_id)
    )  # fmt: skip


def _parts(chosen: FindingFilter, *, by_status: bool) -> list[FindingFilter]:
    """Split a filter so that one index holds each part in order: by kind, and by status where the index has it."""
    kinds = [replace(chosen, kinds=frozenset({kind})) for kind in kinds_of(chosen)]
    if not by_status:
        return kinds
    return [replace(part, statuses=frozenset({status})) for part in kinds for status in statuses_of(part)]


def _branch(
    part: FindingFilter, order: Order, keys: Sequence[Any], after: Key | None, limit: int
) -> Select[*tuple[Any, ...]]:
    rows = select(FindingRow.id, *keys).where(*matching(part)).order_by(*_directed(order, keys)).limit(limit)
    if after is None:
        return rows
    mark = tuple_(*keys)
    return rows.where(mark < tuple(after) if order is Order.CONFIDENCE else mark > tuple(after))


def _directed(order: Order, keys: Sequence[Any]) -> list[ColumnElement[Any]]:
    return [key.desc() if order is Order.CONFIDENCE else key.asc() for key in keys]


def _grouped(session: Session, chosen: FindingFilter, *names: str) -> Sequence[Any]:
    if is_counted(chosen):
        columns: list[InstrumentedAttribute[Any]] = [getattr(FindingCountRow, name) for name in names]
        total = func.sum(FindingCountRow.count)
        grouped = select(*columns, total).where(*counted(chosen)).group_by(*columns).having(total > 0)
    else:
        columns = [getattr(FindingRow, name) for name in names]
        grouped = select(*columns, func.count()).where(*matching(chosen)).group_by(*columns)
    rows = session.execute(grouped).all()
    if is_counted(chosen):
        return rows
    found = agreeing.grouped(session, chosen, names)
    for *values, n in rows:
        found[tuple(values)] += n
    return [(*values, n) for values, n in found.items()]
