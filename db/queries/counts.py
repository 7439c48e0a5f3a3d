"""How many findings a filter holds, by status, kind, class pair and confidence.

Answered from `finding_count` wherever that table can tell (a few thousand rows for a million findings), else from the
findings themselves; both give the same numbers.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.types import FindingFilter, FindingKind, Status
from db.models import FindingCountRow, FindingRow
from db.queries.filters import CERTAIN_PERCENT, counted, is_counted, matching

TODO = frozenset({Status.OPEN, Status.SECOND_OPINION})
BINS = 100


def count(session: Session, chosen: FindingFilter) -> int:
    """Return how many findings the filter holds."""
    if is_counted(chosen):
        return session.scalar(select(func.coalesce(func.sum(FindingCountRow.count), 0)).where(*counted(chosen))) or 0
    return session.scalar(select(func.count()).select_from(FindingRow).where(*matching(chosen))) or 0


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


def mean_confidence(session: Session, chosen: FindingFilter) -> float | None:
    """Return the mean confidence of what a filter holds, to half a percent; None where it holds nothing."""
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


def _grouped(session: Session, chosen: FindingFilter, *names: str) -> Sequence[Any]:
    if is_counted(chosen):
        columns: list[InstrumentedAttribute[Any]] = [getattr(FindingCountRow, name) for name in names]
        total = func.sum(FindingCountRow.count)
        grouped = select(*columns, total).where(*counted(chosen)).group_by(*columns).having(total > 0)
    else:
        columns = [getattr(FindingRow, name) for name in names]
        grouped = select(*columns, func.count()).where(*matching(chosen)).group_by(*columns)
    return session.execute(grouped).all()
