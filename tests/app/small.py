"""A dataset of nothing but rows, and rounds that ended without training: for tests of services and pages."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.services.app_context import AppContext
from core.config import RoundConfig
from core.types import FindingKind, JobStatus, Task
from db.loading import NewFinding
from db.models import DatasetRow, SampleRow
from db.queries import findings, rounds

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
METRICS: dict[str, Any] = {
    "accuracy": 0.9,
    "accuracy_per_fold": [0.8, 1.0],
    "confusion": [[9, 1], [1, 9]],
    "calibration": [{"lower": 0.9, "upper": 1.0, "mean_confidence": 0.95, "accuracy": 0.9, "count": 20}],
    "per_class": [
        {"class": 0, "name": "cat", "count": 10, "estimated_errors": 1, "worst_pair": {"pseudo": 1, "count": 1},
         "agreement": 0.9},
        {"class": 1, "name": "dog", "count": 10, "estimated_errors": 0, "worst_pair": None, "agreement": 0.9},
    ],
    "estimated_errors": 1,
    "proposed_threshold": 0.8,
}  # fmt: skip


def add_dataset(
    app_context: AppContext, labels: Sequence[int | None], classes: Sequence[str] = ("cat", "dog"), name: str = "pets"
) -> int:
    """Store a dataset of grey 28 x 28 images that do not exist."""
    with app_context.database.write() as session:
        dataset = DatasetRow(
            name=name, task=Task.CLASSIFICATION, root="/nowhere", format="imagefolder", classes=list(classes),
            options={}, created_at=NOW,
        )  # fmt: skip
        session.add(dataset)
        session.flush()
        session.add_all(
            SampleRow(
                dataset_id=dataset.id, path=f"/nowhere/{position}.png", name=f"{position}.png", label=label,
                content_hash=f"{position:032x}", width=28, height=28, bytes=100, grey=True, imported_at=NOW,
            )
            for position, label in enumerate(labels)
        )  # fmt: skip
        return dataset.id


def add_done_round(app_context: AppContext, dataset_id: int, config: RoundConfig | None = None) -> int:
    """Store a finished round whose two findings contradict the given label of the first two samples."""
    with app_context.database.write() as session:
        config = config or RoundConfig(folds=2)
        round_id = rounds.add_round(session, dataset_id, config.to_json(), "ada", NOW)
        rounds.begin_round(session, round_id, "training", NOW)
        rows = [
            NewFinding(
                sample_id=sample, row=sample - 1, rank=sample - 1, kind=FindingKind.SUSPICIOUS, given=0, pseudo=1,
                confidence=0.9, self_confidence=0.1, margin=0.1, fold=0, split="", top=[[1, 0.9], [0, 0.1]],
                similarity_rank=None,
            )
            for sample in (1, 2)
        ]  # fmt: skip
        findings.add_findings(session, round_id, rows)
        findings.open_findings(session, round_id)
        rounds.set_facts(session, round_id, {"metrics": METRICS, "versions": {"torch": "2"}, "snapshot_hash": "00ff"})
        rounds.end_round(session, round_id, JobStatus.DONE, "", NOW)
        return round_id
