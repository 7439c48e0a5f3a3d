"""A PostgreSQL server of the tests' own, gone when the session ends.

`OUTFOLD_TEST_DATABASE_URL` names another server instead, whose user may create databases.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.programs import POSTGRESQL, find_postgresql
from tests.needs import lack
from tools.fixtures.postgres import empty_database, running_postgres

VARIABLE = "OUTFOLD_TEST_DATABASE_URL"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Return the URL of a server; skip where there is none and none can be started."""
    named = os.environ.get(VARIABLE)
    if named:
        yield named
        return
    found = find_postgresql()
    if found is None:
        lack(POSTGRESQL)
    with running_postgres(Path(found)) as server:
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of either kind, outside of every home."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.sqlite'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Return the URL of an empty database."""
    with empty_database(postgres_server) as url:
        yield url
