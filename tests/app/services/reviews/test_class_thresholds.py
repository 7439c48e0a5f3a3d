"""Accepting in bulk what nobody labelled, from each class's own threshold on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import routes
from app.services import reviews
from app.services.app_context import AppContext, open_app
from app.settings import Settings
from core.types import NO_LABEL, FindingFilter, FindingKind, Status
from db.models import FindingRow, RoundRow
from db.queries import projection
from db.queries.filters import is_counted
from db.queries.findings import count
from tools.fixtures.reviews import CLASSES, fill

UNLABELLED = FindingFilter(round_id=1, kinds=frozenset({FindingKind.UNLABELLED}))
PERCENTS = [100, 50, 72, 72, 90, 50, 81, 100, 66, 95]


def measured(app_context: AppContext, percents: list[int]) -> None:
    rows = [{"label": label, "percent": percent, "basis": "balanced", "precision": None, "seen": 0}
            for label, percent in enumerate(percents)]  # fmt: skip
    with app_context.database.write() as session:
        session.execute(update(RoundRow).values(metrics={"class_thresholds": rows, "proposed_threshold": 0.9}))


@pytest.fixture
def app_context(tmp_path: Path) -> Iterator[AppContext]:
    """Return an installation with a round of 400 findings, half of them of images without a label."""
    opened = open_app(Settings(home=tmp_path, demo=False, embedded_worker=False))
    fill(opened, 400, suspicious=1)
    with opened.database.write() as session:
        unlabelled = update(FindingRow).where(FindingRow.sample_id % 2 == 0)
        session.execute(unlabelled.values(kind=FindingKind.UNLABELLED, given=NO_LABEL))
        projection.count_again(session, 1)
    measured(opened, PERCENTS)
    yield opened
    opened.database.close()


def rows_of(app_context: AppContext) -> list[Any]:
    with app_context.database.read() as session:
        columns = (FindingRow.kind, FindingRow.pseudo, FindingRow.percent, FindingRow.status)
        return list(session.query(*columns).order_by(FindingRow.id))


def test_exactly_the_findings_above_their_class_threshold_are_accepted_and_undone(app_context: AppContext) -> None:
    before = rows_of(app_context)
    expected = [row.kind is FindingKind.UNLABELLED and row.percent >= PERCENTS[row.pseudo] for row in before]
    chosen = reviews.with_class_thresholds(app_context, UNLABELLED)
    assert is_counted(chosen), "counts come from the table of counts"
    seen = reviews.preview(app_context, chosen)
    assert seen.threshold is None
    assert seen.count == sum(expected) == sum(n for *_, n in seen.changes) > 20
    assert all(one.confidence * 100 >= PERCENTS[one.pseudo] - 1e-9 for one in seen.sample)
    saved = reviews.accept_all(app_context, chosen, by="ada", expected=seen.count)
    assert [row.status is Status.BULK for row in rows_of(app_context)] == expected
    accepted = reviews.view_round(app_context, 1).bulk_acts[0]
    assert (accepted.size, accepted.note["threshold"]) == (saved.size, None)
    assert accepted.note["filter"]["class_percents"] == PERCENTS
    with app_context.database.read() as session:
        bulk = FindingFilter(round_id=1, kinds=frozenset(), statuses=frozenset({Status.BULK}))
        assert count(session, bulk) == sum(expected)
    reviews.undo(app_context, 1, by="ada")
    assert rows_of(app_context) == before


def test_class_thresholds_narrow_a_filter_further(app_context: AppContext) -> None:
    every = reviews.preview(app_context, reviews.with_class_thresholds(app_context, UNLABELLED)).count
    narrow = FindingFilter(round_id=1, kinds=UNLABELLED.kinds, pseudo=3, split="train", path_contains="1")
    some = reviews.with_class_thresholds(app_context, narrow)
    assert not is_counted(some)
    assert 0 < reviews.preview(app_context, some).count < every


def test_suspicious_labels_and_rounds_without_thresholds_are_refused(app_context: AppContext) -> None:
    with pytest.raises(reviews.RefusedError, match="unlabelled images only"):
        reviews.with_class_thresholds(app_context, FindingFilter(round_id=1))
    with pytest.raises(reviews.NotFoundError):
        reviews.with_class_thresholds(app_context, FindingFilter(round_id=7, kinds=UNLABELLED.kinds))
    measured(app_context, PERCENTS[:-1])
    with pytest.raises(reviews.RefusedError, match="no thresholds by class"):
        reviews.with_class_thresholds(app_context, UNLABELLED)


def test_a_query_with_the_thresholds_of_a_thousand_classes_works(app_context: AppContext) -> None:
    percents = tuple(np.random.default_rng(0).integers(50, 101, 1000).tolist())
    assert len(percents) > CLASSES
    with app_context.database.read() as session:
        for path in ("", "1"):
            chosen = FindingFilter(round_id=1, kinds=frozenset(), class_percents=percents, path_contains=path)
            assert count(session, chosen) > 0


def test_class_thresholds_work_for_the_preview_and_the_act_over_http(app_context: AppContext) -> None:
    client = TestClient(Starlette(routes=routes(lambda: app_context)), cookies={"outfold_name": "ada"})
    client.headers.update({"X-Outfold": "1"})
    asked = {"round": "1", "show": "unlabelled", "status": "open", "by_class": "1"}
    shown = client.get("/outfold/rounds/1").json()["round"]["class_thresholds"]
    assert [one["percent"] for one in shown] == PERCENTS
    preview = client.get("/outfold/accept_all", params=asked).json()
    assert (preview["threshold"], preview["count"] > 20) == (None, True)
    body = {"client": "c", "seq": 1, "expected": preview["count"], **asked}
    assert client.post("/outfold/accept_all", json=body).json()["size"] == preview["count"]
    refused = client.get("/outfold/accept_all", params={**asked, "show": "suspicious"})
    assert refused.status_code == 400
    assert "unlabelled" in refused.json()["cure"]
