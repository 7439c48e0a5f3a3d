"""Conditions of a `FindingFilter`, shared by the queue, the counts and the bulk acts, in two forms of one meaning.

`matching` and `counted` are SQL, on findings and on their counts. `matching_columns` is of numpy, on a part of the file
of findings that have no row.

Confidence bounds on a whole percent compare `finding.percent`, as the counts do, so that a number shown and the set
changed are the same to the last finding; any other bound compares the confidence itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.types import FindingFilter, FindingKind, IntArray, Status
from db.agreeing_file import Columns
from db.loading import whole_percent
from db.models import AnnotatorRow, FindingCountRow, FindingRow, RoundRow, SampleRow

CERTAIN = 1.0
CERTAIN_PERCENT = 100
_FREE: dict[str, Any] = {  # fields that `finding_count` does not hold, at their defaults
    "fold": None, "annotator": None, "path_contains": "", "min_area": None, "max_area": None, "sample_id": None,
    "similar": (),
}  # fmt: skip
TODO = frozenset({Status.OPEN, Status.SECOND_OPINION})
ColumnsCondition = Callable[[Columns], NDArray[np.bool_]]


def kinds_of(chosen: FindingFilter) -> list[FindingKind]:
    """Return the kinds meant, all when none is named."""
    return sorted(chosen.kinds or FindingKind)


def statuses_of(chosen: FindingFilter) -> list[Status]:
    """Return the statuses meant, all when none is named."""
    return sorted(chosen.statuses or Status)


def matching(chosen: FindingFilter) -> list[ColumnElement[bool]]:
    """Return the whole filter as conditions on `finding`."""
    of_one = chosen.sample_id is not None  # then an expression: the round's indexes are not taken but the sample's
    return [
        (FindingRow.round_id + 0 if of_one else FindingRow.round_id) == chosen.round_id,
        _one_of(FindingRow.kind, kinds_of(chosen)),
        _one_of(FindingRow.status, statuses_of(chosen)),
        *_shared(FindingRow, chosen),
        *_confidence(chosen),
        *_beyond_the_counts(chosen),
    ]


def is_counted(chosen: FindingFilter) -> bool:
    """Return whether `finding_count` suffices for this filter."""
    bounds = (whole_percent(chosen.min_confidence), whole_percent(chosen.max_confidence))
    return None not in bounds and chosen == replace(chosen, **_FREE)


def broadened(chosen: FindingFilter) -> FindingFilter:
    """Return the narrowest filter that is counted and holds everything this one does."""
    return replace(
        chosen,
        min_confidence=floor(chosen.min_confidence * CERTAIN_PERCENT + 1e-9) / CERTAIN_PERCENT,
        max_confidence=ceil(chosen.max_confidence * CERTAIN_PERCENT - 1e-9) / CERTAIN_PERCENT,
        **_FREE,
    )


def counted(chosen: FindingFilter) -> list[ColumnElement[bool]]:
    """Return the whole filter as conditions on `finding_count`; only for one that `is_counted`."""
    conditions = [
        FindingCountRow.round_id == chosen.round_id,
        _one_of(FindingCountRow.kind, kinds_of(chosen)),
        _one_of(FindingCountRow.status, statuses_of(chosen)),
        *_shared(FindingCountRow, chosen),
    ]
    least, most = whole_percent(chosen.min_confidence), whole_percent(chosen.max_confidence)
    if least:
        conditions.append(FindingCountRow.percent >= least)
    if most is not None and chosen.max_confidence < CERTAIN:
        conditions.append(FindingCountRow.percent < most)
    return conditions


def may_lack_rows(chosen: FindingFilter) -> bool:
    """Return whether a filter may hold findings without a row: open ones that agree, without annotator and region."""
    kind = not chosen.kinds or FindingKind.AGREEING in chosen.kinds
    status = not chosen.statuses or Status.OPEN in chosen.statuses
    return kind and status and not any(one is not None for one in (chosen.annotator, chosen.min_area, chosen.max_area))


def matching_columns(
    session: Session, chosen: FindingFilter, splits: Sequence[str]
) -> tuple[frozenset[str], ColumnsCondition]:
    """Return the columns of a round's file that a filter looks at, and the whole filter as a condition on a part.

    `splits` are the names that the file's codes stand for.
    """
    tests: list[tuple[str, ColumnsCondition]] = [
        (name, _equals(name, value))
        for name, value in (
            ("given", chosen.given), ("pseudo", chosen.pseudo), ("fold", chosen.fold), ("sample_id", chosen.sample_id),
        )
        if value is not None
    ]  # fmt: skip
    if chosen.split is not None:
        tests.append(("split", _is_in("split", _codes(splits, {chosen.split}))))
    if chosen.without_splits:
        tests.append(("split", _is_in("split", _codes(splits, set(splits) - chosen.without_splits))))
    if chosen.similar:
        tests.append(("id", _is_in("id", np.array(chosen.similar, np.int64))))
    if chosen.path_contains:
        tests.append(("sample_id", _is_in("sample_id", _samples_named(session, chosen))))
    tests += _confidence_in_columns(chosen)
    return frozenset(name for name, _ in tests), lambda columns: _all_of(tests, columns)


def within_ranks(mask: ColumnsCondition, first: int, last: int) -> ColumnsCondition:
    """Return a condition on a part with bounds on the rank."""
    return lambda columns: mask(columns) & (columns["rank"] >= first) & (columns["rank"] <= last)


def _beyond_the_counts(chosen: FindingFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if chosen.fold is not None:
        found.append(FindingRow.fold == chosen.fold)
    if chosen.annotator is not None:
        person = select(AnnotatorRow.id).where(AnnotatorRow.name == chosen.annotator).scalar_subquery()
        found.append(FindingRow.annotator_id == person)
    if chosen.path_contains:
        within = SampleRow.name.icontains(chosen.path_contains, autoescape=True)
        found.append(select(SampleRow.id).where(SampleRow.id == FindingRow.sample_id, within).exists())
    if chosen.min_area is not None:
        found.append(FindingRow.area >= chosen.min_area)
    if chosen.max_area is not None:
        found.append(FindingRow.area <= chosen.max_area)
    if chosen.sample_id is not None:
        found.append(FindingRow.sample_id == chosen.sample_id)
    if chosen.similar:
        found.append(FindingRow.id.in_(chosen.similar))
    return found


def _one_of(column: InstrumentedAttribute[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    if len(values) == 1:  # an equality lets an index use its next column
        same: ColumnElement[bool] = column == values[0]
        return same
    return column.in_(values)


def _shared(table: type[FindingRow | FindingCountRow], chosen: FindingFilter) -> list[ColumnElement[bool]]:
    wanted = ((table.given, chosen.given), (table.pseudo, chosen.pseudo), (table.split, chosen.split))
    found: list[ColumnElement[bool]] = [column == value for column, value in wanted if value is not None]
    found += [table.split.not_in(sorted(chosen.without_splits))] if chosen.without_splits else []
    return found + ([_by_class(table, chosen.class_percents)] if chosen.class_percents else [])


def _by_class(table: type[FindingRow | FindingCountRow], percents: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition that a suggestion reaches its class's threshold: at most one part per whole percent."""
    classes: dict[int, list[int]] = {}
    for label, percent in enumerate(percents):
        classes.setdefault(percent, []).append(label)
    return or_(*[(table.percent >= percent) & table.pseudo.in_(some) for percent, some in sorted(classes.items())])


def _confidence(chosen: FindingFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    least, most = whole_percent(chosen.min_confidence), whole_percent(chosen.max_confidence)
    if chosen.min_confidence > 0:
        found.append(
            FindingRow.percent >= least if least is not None else FindingRow.confidence >= chosen.min_confidence
        )
    if chosen.max_confidence < CERTAIN:
        found.append(FindingRow.percent < most if most is not None else FindingRow.confidence < chosen.max_confidence)
    return found


def _confidence_in_columns(chosen: FindingFilter) -> list[tuple[str, ColumnsCondition]]:
    tests: list[tuple[str, ColumnsCondition]] = []
    least, most = whole_percent(chosen.min_confidence), whole_percent(chosen.max_confidence)
    if chosen.min_confidence > 0:
        name, bound = ("confidence", chosen.min_confidence) if least is None else ("percent", least)
        tests.append((name, _at_least(name, bound)))
    if chosen.max_confidence < 1:
        name, bound = ("confidence", chosen.max_confidence) if most is None else ("percent", most)
        tests.append((name, _below(name, bound)))
    if chosen.class_percents:
        percents = np.array(chosen.class_percents)

        def is_sure(columns: Columns) -> NDArray[np.bool_]:
            label = columns["pseudo"]
            known = (label >= 0) & (label < len(percents))
            sure: NDArray[np.bool_] = known & (columns["percent"] >= percents[np.where(known, label, 0)])
            return sure

        tests += [("pseudo", is_sure), ("percent", lambda columns: np.ones(len(columns["percent"]), np.bool_))]
    return tests


def _all_of(tests: Sequence[tuple[str, ColumnsCondition]], columns: Columns) -> NDArray[np.bool_]:
    held = np.ones(len(columns["rank"]), np.bool_)
    for _, test in tests:
        held &= test(columns)
    return held


def _equals(name: str, value: int) -> ColumnsCondition:
    return lambda columns: columns[name] == value


def _at_least(name: str, bound: float) -> ColumnsCondition:
    return lambda columns: columns[name] >= bound


def _below(name: str, bound: float) -> ColumnsCondition:
    return lambda columns: columns[name] < bound


def _is_in(name: str, values: IntArray) -> ColumnsCondition:
    return lambda columns: np.isin(columns[name], values)


def _codes(splits: Sequence[str], chosen: set[str] | frozenset[str]) -> IntArray:
    return np.array([code for code, name in enumerate(splits) if name in chosen], dtype=np.int64)


def _samples_named(session: Session, chosen: FindingFilter) -> IntArray:
    """Return the samples of a round's dataset whose path contains the text."""
    rounds = RoundRow.__table__  # the table, not the class: of a hidden round too
    dataset_id = select(rounds.c.dataset_id).where(rounds.c.id == chosen.round_id).scalar_subquery()
    within = SampleRow.name.icontains(chosen.path_contains, autoescape=True)
    return np.fromiter(
        session.scalars(select(SampleRow.id).where(SampleRow.dataset_id == dataset_id, within)), np.int64
    )
