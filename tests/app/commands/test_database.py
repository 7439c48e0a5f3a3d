"""`database copy`: counts and hashes are printed, wrong URLs and running workers are refused."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.services import workers
from app.services.app_context import AppContext
from app.settings import settings
from app.worker.slot import slot_name, take_slot
from db.copying import hash_tables
from db.queries.workers import WorkerInfo
from tests.app.commands.running import run, run_json
from tools.fixtures.reviews import fill

pytest_plugins = ["tests.postgres"]


@pytest.fixture
def url(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an installation's database with three images, the settings being that installation's."""
    monkeypatch.setenv("OUTFOLD_HOME", str(app_context.settings.folder))
    settings.cache_clear()
    fill(app_context, 3)
    return app_context.database.url


def test_the_counts_and_hashes_of_each_table_are_printed(url: str, postgres_url: str, tmp_path: Path) -> None:
    told = run("database", "copy", url, postgres_url).stdout
    hashes = {one.table: one for one in hash_tables(url)}
    lines = {line.split()[0]: line.split()[1:] for line in told.splitlines() if line.split()[0] in hashes}
    assert lines == {name: [str(one.rows), one.hash[:16]] for name, one in hashes.items()}
    assert "counts and hashes are equal" in told
    back = run_json("database", "copy", postgres_url, f"sqlite:///{tmp_path / 'back.sqlite'}")
    assert {one["table"]: one["hash"] for one in back} == {name: one.hash for name, one in hashes.items()}


def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    for wrong, cause in (
        ("mysql+none://ada:s3cret@db/x", "its driver is not installed"),
        ("var/outfold.sqlite", "it is no SQLAlchemy URL"),
        ("sqlite://", "a database in memory"),
    ):
        told = run("database", "copy", url, wrong, code=1).stderr
        assert cause in told
        assert "s3cret" not in told


def test_an_unreachable_server_is_named_without_its_password(url: str) -> None:
    told = run("database", "copy", url, "postgresql+psycopg://ada:s3cret@127.0.0.1:9/x", code=1).stderr
    assert "does not answer" in told
    assert "s3cret" not in told


def test_copying_is_refused_while_a_worker_runs_but_not_after_it_died(
    app_context: AppContext, url: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    slot = slot_name(app_context.settings)
    target = f"sqlite:///{tmp_path / 'target.sqlite'}"
    with take_slot(app_context.settings):
        workers.beat(app_context, WorkerInfo(slot, os.getpid(), "CPU", "", now, now))
        workers.worker_state(app_context)
        workers.beat(app_context, WorkerInfo(slot, os.getpid(), "CPU", "", now, datetime.now(UTC)))
        told = run("database", "copy", url, target, code=1).stderr
        assert f"worker {slot} writes there" in told
        assert "stop Outfold and its workers" in told
    assert not (tmp_path / "target.sqlite").exists()
    run("database", "copy", url, target)
