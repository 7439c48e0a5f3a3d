"""What a `FindingFilter` means in SQL: one meaning for the queue, the counts and the bulk acts.

Confidence bounds on a whole percent compare `finding.percent`, as the counts do, so that a number shown and the set
changed are the same to the last finding; any other bound compares the confidence itself.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from core.types import FindingFilter, FindingKind, Status
from db.models import AnnotatorRow, FindingCountRow, FindingRow, SampleRow

CERTAIN = 1.0
CERTAIN_PERCENT = 100
_FREE: dict[str, Any] = {  # what `finding_count` cannot tell, free of any wish
    "fold": None, "annotator": None, "path_contains": "", "min_area": None, "max_area": None, "sample_id": None,
    "similar": (),
}  # fmt: skip


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
    """Return whether `finding_count` alone can answer for this filter."""
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


def whole_percent(confidence: float) -> int | None:
    """Return the confidence in percent, None when that is no whole number."""
    percent = round(100 * confidence)
    return percent if abs(100 * confidence - percent) < 1e-9 else None  # noqa: PLR2004  binary fractions of a percent


def _beyond_the_counts(chosen: FindingFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if chosen.fold is not None:
        found.append(FindingRow.fold == chosen.fold)
    if chosen.annotator is not None:
        named = select(AnnotatorRow.id).where(AnnotatorRow.name == chosen.annotator).scalar_subquery()
        found.append(FindingRow.annotator_id == named)
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
    if len(values) == 1:  # an equality lets an index go on to its next column
        same: ColumnElement[bool] = column == values[0]
        return same
    return column.in_(values)


def _shared(table: type[FindingRow | FindingCountRow], chosen: FindingFilter) -> list[ColumnElement[bool]]:
    wanted = ((table.given, chosen.given), (table.pseudo, chosen.pseudo), (table.split, chosen.split))
    found: list[ColumnElement[bool]] = [column == value for column, value in wanted if value is not None]
    found += [table.split.not_in(sorted(chosen.without_splits))] if chosen.without_splits else []
    return found + ([_by_class(table, chosen.class_percents)] if chosen.class_percents else [])


def _by_class(table: type[FindingRow | FindingCountRow], percents: Sequence[int]) -> ColumnElement[bool]:
    """Say that a suggestion is as sure as its class asks for: at most a part for each whole percent, however many."""
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
