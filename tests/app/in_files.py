"""Rounds of tests whose agreeing findings are in a file, as those of a large round are."""

from collections.abc import Sequence

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.worker import finding_writer
from core.types import Finding, FindingFilter, Order, Task
from db.agreeing_file import FILES, writing
from db.loading import NewFinding
from db.models import FindingRow, RoundRow
from db.queries import agreeing, findings

add_rows = findings.add_findings


def add_findings(session: Session, round_id: int, rows: Sequence[NewFinding]) -> None:
    """Store findings as `db.queries.findings.add_findings` does, those that agree in the round's file."""
    session.flush()
    if findings.first_id_of(session, round_id) is not None:  # the worker has begun its file
        add_rows(session, round_id, rows)
        return
    first_id = findings.reserve_block(session, round_id, 1 + max((row.rank for row in rows), default=0))
    _store(session, round_id, first_id, rows)


def _store(session: Session, round_id: int, first_id: int, rows: Sequence[NewFinding]) -> None:
    folder = session.info[FILES].folder_of(round_id)
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder, first_id) as writer:
        add_rows(session, round_id, list(writer.pass_on(rows)))
    findings.keep_in_file(session, round_id, writer.count)
    agreeing.make_rows(session, agreeing.concerned_samples(session, round_id))


def from_now_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every round that is stored keep agreeing findings in its file, whether a worker or a test stores it."""
    monkeypatch.setattr(findings, "add_findings", add_findings)
    monkeypatch.setitem(finding_writer.LEAST_IMAGES, Task.CLASSIFICATION, 1)


def move_into_file(app_context: AppContext, round_id: int) -> None:
    """Put the agreeing findings of a round without decisions into its file; every finding keeps its id."""
    with app_context.database.write() as session:
        stored = session.scalars(select(FindingRow).where(FindingRow.round_id == round_id)).all()
        rows = [NewFinding(**{name: getattr(one, name) for name in NewFinding._fields}) for one in stored]
        [first_id] = {one.id - one.rank for one in stored}
        session.expunge_all()
        session.execute(delete(FindingRow).where(FindingRow.round_id == round_id))
        block = {"first_finding_id": first_id, "reserved_ids": len(rows)}
        session.execute(update(RoundRow).where(RoundRow.id == round_id).values(**block))
        _store(session, round_id, first_id, rows)
        findings.open_findings(session, round_id)


def without_row(session: Session) -> list[Finding]:
    """Return the findings of all rounds that have no row, as pages show them."""
    found: list[Finding] = []
    for round_id in session.scalars(select(RoundRow.id).where(RoundRow.findings_in_file > 0)).all():
        rows = set(session.scalars(select(FindingRow.id).where(FindingRow.round_id == round_id)))
        chosen = FindingFilter(round_id=round_id, kinds=frozenset(), statuses=frozenset())
        shown = findings.findings_page(session, chosen, Order.SUSPICION, None, 10_000)
        found += [one for one in shown if one.id not in rows]
    return found
