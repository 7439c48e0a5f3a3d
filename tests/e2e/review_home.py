"""The review page in a real browser, on an installation whose digits have a finished round, made without training."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page
from sqlalchemy import func, insert, select

from app.services.app_context import AppContext
from core.config import RoundConfig
from core.types import FindingKind, JobStatus, Status
from db.loading import NewFinding
from db.models import ChangesetRow, DatasetRow, DecisionRow, FindingRow, SampleRow
from db.queries import findings, rounds, snapshots
from tests.app.services.reviewed import import_folder
from tests.e2e.conftest import Server, open_home, serve, sign_in

DRAWN = """async () => {
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  await new Promise((done) => setTimeout(done));
}"""
SAVED = ".status[data-unsaved='0'][data-state='saved']"
READY = ".outfold[data-ready='true']"
PATIENCE_MS = 60_000
CLASSES = 10
FIRST_ROUND = 1
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@dataclass
class Review:
    """A browser on the review page of a round of its own."""

    page: Page
    app_context: AppContext
    url: str
    round_id: int

    def open(self, query: str = "") -> None:
        self.page.goto(f"{self.url}/review?round={self.round_id}{query}")
        self.page.wait_for_selector(READY, timeout=PATIENCE_MS)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def drawn(self) -> None:
        """Wait until the details are drawn, which come a frame after the card."""
        self.page.evaluate(DRAWN)

    def saved(self) -> None:
        self.page.wait_for_selector(SAVED, timeout=PATIENCE_MS)

    def focused(self) -> int:
        return int(self.page.locator(".card.focus").get_attribute("data-id") or 0)

    def badges(self) -> list[str]:
        return [text for text in self.page.locator(".card .badge:visible").all_inner_texts() if text]

    def stored(self) -> list[tuple[int, Status, int | None]]:
        """Return the findings that are not open as the database has them, most suspicious first."""
        with self.app_context.database.read() as session:
            rows = session.scalars(
                select(FindingRow)
                .where(FindingRow.round_id == self.round_id, FindingRow.status != Status.OPEN)
                .order_by(FindingRow.rank)
            )
            return [(row.id, row.status, row.label) for row in rows]

    def statuses(self) -> list[Status]:
        return [status for _, status, _ in self.stored()]

    def decisions(self) -> int:
        with self.app_context.database.read() as session:
            query = select(func.count()).select_from(DecisionRow).join(ChangesetRow)
            return session.scalar(query.where(ChangesetRow.round_id == self.round_id)) or 0


def prepare(home: Path, source: Path) -> int:
    """Import a class folder and add a round that doubts nine of ten labels; return the round's id.

    The installation is made once beside each source and copied.
    """
    made = source.with_name(f"{source.name}-home")
    if not made.exists():
        opened = open_home(made)
        add_round(opened, import_folder(opened, source))
        opened.database.close()
    shutil.copytree(made, home)
    return FIRST_ROUND


@contextmanager
def serve_reviewed(home: Path, source: Path) -> Iterator[tuple[Server, AppContext]]:
    """Serve a home that was made by `prepare`, without a worker."""
    prepare(home, source)
    with serve(home) as served:
        yield served


@contextmanager
def reviewing(home: Path, source: Path, page: Page) -> Iterator[tuple[Server, Review]]:
    """Serve the same, sign in, and open the review of its round."""
    with serve_reviewed(home, source) as (server, app_context):
        sign_in(page.context, server.url)
        review = Review(page, app_context, server.url, FIRST_ROUND)
        review.open()
        yield server, review


def add_copy(app_context: AppContext, name: str, count: int | None = None) -> int:
    """Add a dataset with the first one's images (some of them) and a round over it; return the round's id."""
    copied = [column for column in SampleRow.__table__.columns if column.name not in ("id", "dataset_id")]
    with app_context.database.write() as session:
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
    return add_round(app_context, dataset_id)


def add_round(app_context: AppContext, dataset_id: int) -> int:
    """Add a finished round: rank by rank less confident, five likeliest classes each, the given one second."""
    with app_context.database.write() as session:
        round_id = rounds.add_round(session, dataset_id, RoundConfig(folds=2).to_json(), "Ada", NOW)
        rounds.begin_round(session, round_id, "training", NOW)
        samples = snapshots.samples_of(session, dataset_id)
        rows = [_finding(rank, sample, len(samples)) for rank, sample in enumerate(samples)]
        findings.add_findings(session, round_id, rows)
        findings.open_findings(session, round_id)
        metrics = {"accuracy": 0.9}
        rounds.set_facts(session, round_id, {"metrics": metrics, "snapshot_hash": "00ff"})
        rounds.end_round(session, round_id, JobStatus.DONE, "", NOW)
    return round_id


def _finding(rank: int, sample: snapshots.Sample, count: int) -> NewFinding:
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
