"""Fixtures of the tests of the app."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.app_context import AppContext
from tests.app import in_files
from tools.fixtures.scenes import open_home, prepare


@pytest.fixture(params=["rows", "file"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test twice: agreeing findings are rows as in small rounds, or in a file as in large ones."""
    way: str = request.param
    if way == "file":
        in_files.from_now_on(monkeypatch)
    return way


@pytest.fixture
def scenes(tmp_path: Path) -> Iterator[AppContext]:
    """Return an installation with six scenes as dataset 1 and their finished round 1: 12 findings."""
    prepare(tmp_path / "home", tmp_path / "scenes")
    opened = open_home(tmp_path / "home")
    yield opened
    opened.database.close()
