"""Findings: written once by a round, read by id or by sample.

Give rows in the order of their rank: the queue then lies on disk in the order in which it is read.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, insert, select
from sqlalchemy.orm import Session

from core.types import Finding, FindingFilter, FindingKind, RoundStatus
from db.models import AnnotatorRow, DecisionRow, FindingCountRow, FindingRow, RoundRow, SampleRow
from db.queries.filters import matching
from db.queries.projection import count_again, project

CHUNK = 5_000  # rows handed to the driver at once
_OF_REGION = 5  # columns at the end of a row: x, y, width, height, area


class NewFinding(NamedTuple):
    """One finding as a round makes it; plain Python numbers, `rank` counts from 0 and is unique in the round.

    `x` to `region` belong to a region of a mask: the box around it and its size in pixels, and `Region.to_bytes`.
    """

    sample_id: int
    row: int
    rank: int
    kind: FindingKind
    given: int
    pseudo: int
    confidence: float
    self_confidence: float
    margin: float
    fold: int
    split: str
    top: list[list[float]]
    similarity_rank: int | None
    x: int | None = None
    y: int | None = None
    width: int | None = None
    height: int | None = None
    area: int | None = None
    region: bytes | None = None
    contradicting: int | None = None  # networks that contradict the given label, where the round has several


def add_findings(session: Session, round_id: int, rows: Iterable[NewFinding]) -> None:
    """Store findings of a round that is not shown yet; call `open_findings` after the last of them."""
    table = FindingRow.__table__
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        values = [{"round_id": round_id, "percent": percent_of(row.confidence), **row._asdict()} for row in chunk]
        session.execute(insert(table), values)  # type: ignore[arg-type]


def percent_of(confidence: float) -> int:
    """Return the whole percents in a confidence; 0.29 has 29 although 100 * 0.29 is a little less."""
    return int(100 * confidence + 1e-9)


def open_findings(session: Session, round_id: int) -> None:
    """Give the round's findings the verdicts that people passed in older rounds, and count them all.

    A region is of its own round: nobody can have judged it before.
    """
    judged = select(FindingRow.id).where(
        FindingRow.round_id == round_id,
        FindingRow.area.is_(None),
        FindingRow.sample_id.in_(select(DecisionRow.sample_id)),
    )
    project(session, judged)
    count_again(session, round_id)


def last_stored(session: Session, round_id: int) -> int | None:
    """Return the id of the finding of a round that was stored last, None while there is none."""
    last = select(FindingRow.id).where(FindingRow.round_id == round_id).order_by(FindingRow.rank.desc()).limit(1)
    return session.scalar(last)


def remove_findings(session: Session, round_id: int) -> None:
    """Forget the findings of a round that was never shown, so that they can be stored again."""
    session.execute(delete(FindingCountRow).where(FindingCountRow.round_id == round_id))
    session.execute(delete(FindingRow).where(FindingRow.round_id == round_id))


def findings_by_ids(session: Session, ids: Sequence[int]) -> list[Finding]:
    """Return these findings in the order asked for; unknown ids are left out."""
    rows = session.execute(_with_sample().where(FindingRow.id.in_(ids))).all()
    found = {row.id: _finding(row) for row in rows}
    return [found[one] for one in ids if one in found]


def rows_of_findings(session: Session, chosen: FindingFilter) -> dict[int, int]:
    """Return the ids of the findings that a filter holds by their rows of the snapshot; a row has one finding."""
    found = session.execute(select(FindingRow.row, FindingRow.id).where(*matching(chosen)))
    return {one.row: one.id for one in found}


def findings_of_sample(session: Session, finding: Finding) -> list[Finding]:
    """Return what every finished round said of a finding's sample, oldest first; a region was found once."""
    if finding.area is not None:
        return [finding]
    finished = FindingRow.round_id.in_(select(RoundRow.id).where(RoundRow.status == RoundStatus.DONE))
    chosen = _with_sample().where(FindingRow.sample_id == finding.sample_id, finished)
    rows = session.execute(chosen.order_by(FindingRow.round_id)).all()
    return [_finding(row) for row in rows]


def findings_of_samples(session: Session, round_id: int, sample_ids: Sequence[int]) -> list[Finding]:
    """Return a round's findings of these samples, each one's class, in the order asked for."""
    chosen = _with_sample().where(FindingRow.sample_id.in_(sample_ids), FindingRow.round_id == round_id)
    rows = session.execute(chosen.where(FindingRow.area.is_(None))).all()
    found = {row.sample_id: _finding(row) for row in rows}
    return [found[one] for one in sample_ids if one in found]


class JudgedLabel(NamedTuple):
    """What a round says of the label of one image."""

    name: str
    given: int
    pseudo: int
    self_confidence: float


def labels_of_round(session: Session, round_id: int) -> list[JudgedLabel]:
    """Return what a round says of each label, in the order of the images' names."""
    finding = FindingRow
    chosen = (
        select(SampleRow.name, finding.given, finding.pseudo, finding.self_confidence)
        .join(SampleRow, SampleRow.id == finding.sample_id)
        .where(finding.round_id == round_id, finding.kind != FindingKind.UNLABELLED)
        .order_by(SampleRow.name)
    )
    return [JudgedLabel(*row) for row in session.execute(chosen)]


def _finding(row: Sequence[Any]) -> Finding:
    box, area = tuple(row[-_OF_REGION:-1]), row[-1]
    values: list[Any] = [*row[:-_OF_REGION], None if area is None else box, area]
    return Finding(*values)


def _with_sample() -> Select[*tuple[Any, ...]]:
    finding = FindingRow
    return (
        select(
            finding.id, finding.round_id, finding.sample_id, finding.row, finding.rank, finding.kind,
            finding.given, finding.pseudo, finding.confidence, finding.self_confidence, finding.fold, finding.split,
            finding.top, finding.similarity_rank, finding.contradicting, finding.status, finding.label,
            AnnotatorRow.name.label("annotator"),
            SampleRow.name, SampleRow.path, SampleRow.content_hash, SampleRow.width, SampleRow.height,
            finding.x, finding.y, finding.width, finding.height, finding.area,
        )
        .join(SampleRow, SampleRow.id == finding.sample_id)
        .outerjoin(AnnotatorRow, AnnotatorRow.id == finding.annotator_id)
    )  # fmt: skip
