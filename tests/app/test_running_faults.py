"""Faults that begin while Outfold runs: a sentence on the page and from the routes, and work goes on after them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from app.routes import routes
from app.services import jobs
from app.services.app_context import AppContext, open_app
from app.services.workers import beat
from app.settings import Settings
from core.types import StorageError
from db.queries.workers import WorkerInfo
from tests.app.faults import fill, garbage, make_read_only, mount, small_disk

__all__ = ["postgres_server", "postgres_url"]
from tests.postgres import postgres_server, postgres_url

MAIN = Path(__file__).parents[2] / "app" / "main.py"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def opened_at(home: Path, url: str = "") -> AppContext:
    return open_app(Settings(home=home, database_url=url, demo=False, embedded_worker=False))


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[AppContext]:
    with small_disk(tmp_path / "disk") as disk:
        opened = opened_at(disk / "home")
        yield opened
        opened.database.close()


def write(app_context: AppContext, words: str = "round 1") -> None:
    beat(app_context, WorkerInfo("here:0", 1, words, "", NOW, NOW))


def health(app_context: AppContext) -> tuple[int, dict[str, str]]:
    answer = TestClient(Starlette(routes=routes(lambda: app_context))).get("/outfold/health")
    return answer.status_code, answer.json()


def page(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    shown = AppTest.from_file(str(MAIN), default_timeout=30).run()
    assert not shown.exception
    return shown


def test_a_full_disk_is_reported_and_work_continues_once_it_has_space(on_small_disk: AppContext) -> None:
    write(on_small_disk)
    filler = fill(on_small_disk.files.parents[1])
    with pytest.raises(StorageError, match="disk is full; free some space"):
        write(on_small_disk, "x" * 100_000)
    assert health(on_small_disk)[0] == 200, "what is stored can be read"
    filler.unlink()
    write(on_small_disk)


def test_a_disk_that_becomes_read_only_is_reported(on_small_disk: AppContext) -> None:
    write(on_small_disk)
    on_small_disk.database.close()
    disk = on_small_disk.files.parents[1]
    make_read_only(disk)
    with pytest.raises(StorageError, match=r"outfold\.sqlite: .*(read-only|cannot be opened)"):
        write(on_small_disk)
    mount(disk, "-o", "remount,rw")
    write(on_small_disk)


def test_a_database_damaged_at_run_time_is_reported_by_page_and_routes(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    app_context.database.close()
    garbage(app_context.settings.folder / "outfold.sqlite")
    status, said = health(app_context)
    assert status == 503
    assert "no SQLite database" in said["error"]
    assert "backup" in said["cure"]
    errors = [error.value for error in page(app_context, monkeypatch).error]
    assert len(errors) == 1
    assert "restore it from a backup" in errors[0]


def test_a_database_removed_at_run_time_is_reported(app_context: AppContext) -> None:
    app_context.database.close()
    (app_context.settings.folder / "outfold.sqlite").unlink()
    with pytest.raises(StorageError, match=r"tables are gone.*put the file back"):
        write(app_context)


def test_a_job_engine_damaged_at_run_time_is_reported(app_context: AppContext) -> None:
    garbage(app_context.settings.folder / "engine.sqlite")
    with pytest.raises(StorageError, match=r"engine\.sqlite: it is damaged"):
        jobs.is_active(app_context, "round-1")


def test_an_unreachable_server_is_reported_and_work_continues_once_it_is_back(
    tmp_path: Path, postgres_server: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = opened_at(tmp_path, postgres_url)
    write(opened)
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    name = make_url(postgres_url).database
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
    with pytest.raises(StorageError, match=r"then try again|does not answer|connection broke|takes no"):
        write(opened)
    assert health(opened)[0] == 503
    assert page(opened, monkeypatch).error
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    admin.dispose()
    write(opened)
    opened.database.close()
