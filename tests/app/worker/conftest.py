"""Fixtures of several tests of workers."""

import subprocess
from collections.abc import Iterator

import pytest


@pytest.fixture
def workers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Return a list for workers, which are killed in the end."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()
