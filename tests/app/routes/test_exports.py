"""Exports through the browser: a zip of what is small and finished, a reason for everything else."""

import io
import zipfile
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import routes
from app.services import exports
from app.services.exports import ExportRequest
from app.services.workspace import Workspace
from tests.app.services.reviewed import digits, digits_home  # noqa: F401 fixtures


@pytest.fixture
def client(digits: Workspace) -> Iterator[TestClient]:  # noqa: F811
    with TestClient(Starlette(routes=routes(lambda: digits))) as opened:
        yield opened


def test_a_finished_export_is_fetched_as_one_file(client: TestClient, digits: Workspace) -> None:  # noqa: F811
    done = exports.run_export(digits, exports.add_export(digits, ExportRequest(dataset_id=1)).id)
    answer = client.get(f"/outfold/exports/{done.id}.zip")
    assert answer.status_code == 200
    assert "digits-imagefolder" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sum(name.endswith(".png") for name in archive.namelist()) == 300


def test_what_cannot_be_fetched_says_why(client: TestClient, digits: Workspace) -> None:  # noqa: F811
    waiting = exports.add_export(digits, ExportRequest(dataset_id=1))
    for export_id in (waiting.id, 999):
        answer = client.get(f"/outfold/exports/{export_id}.zip")
        assert answer.status_code == 404
        assert set(answer.json()) == {"error", "cure"}
