"""The ways one would write it first, measured on the same file: OFFSET, counting rows, a loop over objects."""

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select

from app.services.workspace import open_workspace
from app.settings import Settings
from core.types import FindingKind, Status, Verdict
from db.models import DecisionRow, FindingRow

LOOPED = 500  # rows accepted one by one; the time of 100,000 follows from it
BULK = 100_000


def naive_seconds(home: Path, size: int) -> dict[str, float]:
    """Return the naive figures at one size, with the names of ours and `naive_` before them."""
    workspace = open_workspace(Settings(home=home, demo=False, embedded_worker=False))
    todo = (FindingRow.round_id == 1, FindingRow.kind == FindingKind.SUSPICIOUS, FindingRow.status == Status.OPEN)
    queue = select(FindingRow).where(*todo).order_by(FindingRow.confidence.desc(), FindingRow.self_confidence)
    with workspace.database.read() as session:
        deep = _seconds(lambda: session.scalars(queue.offset(size // 2).limit(50)).all())
        columns = (FindingRow.status, FindingRow.kind, FindingRow.given, FindingRow.pseudo, FindingRow.percent)
        counted = _seconds(lambda: [session.execute(select(one, func.count()).group_by(one)).all() for one in columns])
    with workspace.database.write() as session:
        rows = session.scalars(queue.limit(LOOPED)).all()

        def accept_each() -> None:
            for row in rows:
                session.add(
                    DecisionRow(
                        changeset_id=1,
                        sample_id=row.sample_id,
                        finding_id=row.id,
                        verdict=Verdict.ACCEPT,
                        label=row.pseudo,
                    )
                )
                row.status, row.label = Status.BULK, row.pseudo
                session.flush()

        looped = _seconds(accept_each)
        session.rollback()
    workspace.database.close()
    return {
        "naive_next_page_ms": deep * 1e3,
        "naive_counts_ms": counted * 1e3,
        "naive_accept_all_s": looped / LOOPED * min(BULK, size),
    }


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started
