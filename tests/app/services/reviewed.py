"""A dataset with a finished round and findings, without training: what tests of exports and commands start from.

Every third digit was given a wrong label (the next class); the round suggests the right one.
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.settings import Settings
from core.config import RoundConfig
from core.types import NO_LABEL, FindingKind, JobStatus
from db.loading import NewFinding
from db.models import FindingRow
from db.queries import findings, rounds, snapshots
from db.queries.projection import count_again
from tests.app.in_files import move_into_file

CLASSES = 10
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def digits_home(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Path:
    """Return the home of an installation with the digits and a round; to be copied, not used."""
    home = tmp_path_factory.mktemp("digits") / "home"
    opened = open_app(Settings(home=home, demo=False, embedded_worker=False))
    add_round(opened, import_folder(opened, digits_folder))
    opened.database.close()
    return home


@pytest.fixture
def digits(request: pytest.FixtureRequest, digits_home: Path, tmp_path: Path) -> Iterator[AppContext]:
    """Return an installation with the digits as dataset 1 and its finished round 1."""
    shutil.copytree(digits_home, tmp_path / "home")
    opened = open_app(Settings(home=tmp_path / "home", demo=False, embedded_worker=False))
    if "kept" in request.fixturenames and request.getfixturevalue("kept") == "file":
        move_into_file(opened, 1)
    yield opened
    opened.database.close()


def make_unlabelled(app_context: AppContext) -> int:
    """Take their given label from about half of the suspicious digits and return of how many."""
    with app_context.database.write() as session:
        half = update(FindingRow).where(FindingRow.id % 2 == 0, FindingRow.kind == FindingKind.SUSPICIOUS)
        found = session.execute(half.values(kind=FindingKind.UNLABELLED, given=NO_LABEL).returning(FindingRow.id))
        changed = len(found.all())
        count_again(session, 1)
    return changed


def import_folder(app_context: AppContext, source: Path, name: str = "digits") -> int:
    """Import a folder and return the dataset's id."""
    done = imports.run_import(
        app_context, imports.add_import(app_context, ImportRequest(name=name, source=str(source)))
    )
    assert done.dataset_id is not None, done.message
    return done.dataset_id


def add_round(app_context: AppContext, dataset_id: int, wrong_every: int = 3) -> int:
    """Add a finished round with findings for every sample and return its id."""
    with app_context.database.write() as session:
        round_id = rounds.add_round(session, dataset_id, RoundConfig(folds=2).to_json(), "Ada", NOW)
        rounds.begin_round(session, round_id, "training", NOW)
        samples = snapshots.samples_of(session, dataset_id)
        confidences = np.linspace(0.99, 0.3, len(samples))
        rows = []
        for rank, (sample, confidence) in enumerate(zip(samples, confidences, strict=True)):
            given = sample.label if sample.label is not None else -1
            is_wrong = rank % wrong_every == 0
            pseudo = (given - 1) % CLASSES if is_wrong else given
            rows.append(
                NewFinding(
                    sample_id=sample.id, row=rank, rank=rank,
                    kind=FindingKind.SUSPICIOUS if is_wrong else FindingKind.AGREEING,
                    given=given, pseudo=pseudo, confidence=float(confidence),
                    self_confidence=1 - float(confidence), margin=0.5, fold=rank % 2, split=sample.split,
                    top=[[pseudo, float(confidence)]], similarity_rank=None,
                )
            )  # fmt: skip
        findings.add_findings(session, round_id, rows)
        findings.open_findings(session, round_id)
        rounds.set_facts(session, round_id, {"metrics": {"accuracy": 0.9}, "snapshot_hash": "00ff"})
        rounds.end_round(session, round_id, JobStatus.DONE, "", NOW)
    return round_id
