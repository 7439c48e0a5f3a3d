"""A store of files that speaks S3, of the tests' own, gone when the session ends."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from tools.fixtures.object_store import ObjectStore, running_object_store


@pytest.fixture(scope="session")
def object_store_server() -> Iterator[ObjectStore]:
    """Return a running store; its processes' variables are not set."""
    with running_object_store() as server:
        yield server


@pytest.fixture
def bucket(object_store_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """Return a store with an empty prefix, which this process and those that it starts reach."""
    for name, value in object_store_server.variables.items():
        monkeypatch.setenv(name, value)
    return replace(object_store_server, url=f"{object_store_server.url}/{uuid4().hex[:8]}")
