"""An installation whose digits have a finished round to review, made without training."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert, select

from app.services.workspace import Workspace, open_workspace
from app.settings import Settings
from core.config import RoundConfig
from core.types import FindingKind, RoundStatus
from db.models import DatasetRow, SampleRow
from db.queries import findings, rounds, snapshots
from db.queries.findings import NewFinding
from tests.app.services.reviewed import import_folder

CLASSES = 10
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def open_home(home: Path) -> Workspace:
    """Open an installation beside the server that works on it."""
    return open_workspace(Settings(home=home, demo=False, embedded_worker=False))


def prepare(home: Path, source: Path) -> int:
    """Import a class folder and add a round that doubts nine of ten labels; return the round's id."""
    opened = open_home(home)
    try:
        return add_round(opened, import_folder(opened, source))
    finally:
        opened.database.close()


def add_copy(workspace: Workspace, name: str, count: int | None = None) -> int:
    """Add a dataset with the first one's images (some of them) and a round over it; return the round's id."""
    copied = [column for column in SampleRow.__table__.columns if column.name not in ("id", "dataset_id")]
    with workspace.database.write() as session:
        first = session.scalars(select(DatasetRow).order_by(DatasetRow.id)).first()
        assert first
        dataset = DatasetRow(
            name=name, task=first.task, root=first.root, format=first.format, options=first.options,
            classes=first.classes, created_at=NOW,
        )  # fmt: skip
        session.add(dataset)
        session.flush()
        rows = session.execute(select(*copied).where(SampleRow.dataset_id == first.id).order_by(SampleRow.id))
        copies = [{**row, "dataset_id": dataset.id} for row in rows.mappings()]
        session.execute(insert(SampleRow), copies[:: max(1, len(copies) // count)][:count] if count else copies)
        dataset_id = dataset.id
    return add_round(workspace, dataset_id)


def add_round(workspace: Workspace, dataset_id: int) -> int:
    """Add a finished round: rank by rank less confident, five likeliest classes each, the given one second."""
    with workspace.database.write() as session:
        round_id = rounds.add_round(session, dataset_id, RoundConfig(folds=2).to_json(), "Ada", NOW)
        rounds.begin_round(session, round_id, "training", NOW)
        samples = snapshots.samples_for_round(session, dataset_id)
        rows = [_finding(rank, sample, len(samples)) for rank, sample in enumerate(samples)]
        findings.add_findings(session, round_id, rows)
        findings.open_findings(session, round_id)
        metrics = {"accuracy": 0.9}
        rounds.set_facts(session, round_id, {"metrics": metrics, "snapshot_hash": "00ff"})
        rounds.end_round(session, round_id, RoundStatus.DONE, "", NOW)
    return round_id


def _finding(rank: int, sample: snapshots.RoundSample, count: int) -> NewFinding:
    given = sample.label if sample.label is not None else -1
    pseudo = (given + 1 + rank % 3) % CLASSES
    confidence = 0.99 - 0.6 * rank / count
    others = [(pseudo + step) % CLASSES for step in range(1, CLASSES) if (pseudo + step) % CLASSES != given][:3]
    rest = 1 - confidence
    top = [[pseudo, confidence], [given, rest / 2], *([other, rest / 8] for other in others)]
    agrees = rank % 10 == 9
    return NewFinding(
        sample_id=sample.id, row=rank, rank=rank, kind=FindingKind.AGREEING if agrees else FindingKind.SUSPICIOUS,
        given=given, pseudo=given if agrees else pseudo, confidence=confidence, self_confidence=rest / 2,
        margin=0.5, fold=rank % 2, split=sample.split, top=top, similarity_rank=None,
    )  # fmt: skip
