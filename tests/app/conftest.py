"""Fixtures of the tests of the app."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.app_context import AppContext
from tools.fixtures.scenes import open_home, prepare


@pytest.fixture
def scenes(tmp_path: Path) -> Iterator[AppContext]:
    """Return an installation with six scenes as dataset 1 and their finished round 1: 12 findings."""
    prepare(tmp_path / "home", tmp_path / "scenes")
    opened = open_home(tmp_path / "home")
    yield opened
    opened.database.close()
