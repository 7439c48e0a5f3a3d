"""SQL conditions of a `FindingFilter`, shared by the queue and the bulk acts, and counts of the findings it matches.

Confidence bounds on a whole percent compare `finding.percent`, as the counts do, so that a number shown and the set
changed are the same to the last finding; any other bound compares the confidence itself.

Counts are read from `finding_count` wherever that table can answer (a few thousand rows for a million findings), else
from the findings themselves; both give the same numbers.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.types import FindingFilter, FindingKind, Status
from db.models import AnnotatorRow, FindingCountRow, FindingRow, SampleRow
from db.percents import whole_percent
from db.queries import agreeing

CERTAIN = 1.0
CERTAIN_PERCENT = 100
_FREE: dict[str, Any] = {  # fields that `finding_count` does not hold, at their defaults
    "fold": None, "annotator": None, "path_contains": "", "min_area": None, "max_area": None, "sample_id": None,
    "similar": (),
}  # fmt: skip
TODO = frozenset({Status.OPEN, Status.SECOND_OPINION})
BINS = 100


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


def count(session: Session, chosen: FindingFilter) -> int:
    """Return how many findings the filter holds."""
    if is_counted(chosen):
        return session.scalar(select(func.coalesce(func.sum(FindingCountRow.count), 0)).where(*counted(chosen))) or 0
    rows = session.scalar(select(func.count()).select_from(FindingRow).where(*matching(chosen))) or 0
    return rows + agreeing.count(session, chosen)


def highest_percent(session: Session, chosen: FindingFilter) -> int:
    """Return the highest whole percent of confidence among the findings of a filter that is counted; 100 when none."""
    top = session.scalar(select(func.max(FindingCountRow.percent)).where(*counted(chosen), FindingCountRow.count > 0))
    return CERTAIN_PERCENT if top is None else top


def count_by_status(session: Session, chosen: FindingFilter) -> dict[Status, int]:
    """Return the number of findings in each status there is, whatever statuses the filter names."""
    return {row[0]: row[1] for row in _grouped(session, replace(chosen, statuses=frozenset()), "status")}


def count_by_kind(session: Session, chosen: FindingFilter) -> dict[FindingKind, int]:
    """Return the number still to do of each kind, whatever kinds and statuses the filter names."""
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
    """Return the mean confidence of a filter's findings, to half a percent; None where there are none."""
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
