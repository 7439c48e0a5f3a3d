"""Health, readiness and metrics: open without detail, or for this machine and admins alone."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text, update
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from app.access import AccessMiddleware
from app.routes import routes
from app.services import people, reviews, workers
from app.services.app_context import RESTORING, AppContext, open_app
from app.services.programs import POSTGRESQL, find_postgresql
from app.services.reviews import ActKey, Choice
from app.settings import Settings
from core.types import FindingFilter, FindingKind, JobStatus, Role, Verdict
from db.models import FoldRunRow, RoundRow, ShardRunRow
from db.queries.workers import WorkerInfo
from tests.app.commands.test_installation import answers, until
from tests.needs import lack
from tools.fixtures.postgres import free_port, running_postgres
from tools.fixtures.reviews import fill

ROOT = Path(__file__).parents[3]
PASSWORD = "correct horse battery"
SUSPICIOUS = FindingFilter(round_id=1, kinds=frozenset({FindingKind.SUSPICIOUS}))
HERE, ELSEWHERE = ("127.0.0.1", 50_000), ("192.0.2.7", 50_000)


@pytest.fixture
def opened(app_context: AppContext) -> AppContext:
    fill(app_context, 8, suspicious=1)
    return app_context


def client_of(opened: AppContext, client: tuple[str, int] = HERE, name: str = "localhost") -> TestClient:
    """Return a client at an address, which asks for this name."""
    app = Starlette(
        routes=routes(lambda: opened),
        middleware=[Middleware(AccessMiddleware, served=lambda: "127.0.0.1", opened=lambda: opened)],
    )
    return TestClient(app, base_url=f"http://{name}", client=client, headers={"X-Outfold": "1"}, follow_redirects=False)


def values(client: TestClient) -> dict[tuple[str, ...], float]:
    """Return the values of all metrics by name and the values of their labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


def test_health_and_readiness_reveal_no_details(opened: AppContext) -> None:
    people.add_user(opened, "ada", PASSWORD, Role.ADMIN, by="root")
    stranger = client_of(opened, ELSEWHERE)
    assert (stranger.get("/healthz").json(), stranger.get("/readyz").json()) == ({"ok": True}, {"ready": True})
    for path in ("/healthz", "/readyz", "/metrics"):
        assert stranger.get(path).headers["cache-control"] == "no-store"
        assert stranger.get(path, headers={"Host": "evil.example"}).status_code == 421, "rebinding reaches nothing"


@pytest.mark.parametrize("fault", ["schema", "restoration"])
def test_a_server_that_cannot_serve_is_not_ready_and_logs_the_cause_only(
    opened: AppContext, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(opened)
    if fault == "schema":
        with opened.database.write() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    else:
        (opened.settings.folder / RESTORING).mkdir()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False})
    assert client.get("/healthz").status_code == 200
    assert str(opened.settings.folder) in caplog.text


@pytest.mark.slow
def test_the_app_is_healthy_but_not_ready_without_its_database_server(tmp_path: Path) -> None:
    found = find_postgresql()
    if found is None:
        lack(POSTGRESQL)
    with running_postgres(Path(found)) as server:
        url = server.url
        opened = open_app(Settings(home=tmp_path / "home", database_url=url, demo=False, embedded_worker=False))
        client = client_of(opened)
        assert client.get("/readyz").status_code == 200
        server.stop()
        assert (client.get("/readyz").status_code, client.get("/healthz").status_code) == (503, 200)
        opened.database.close()
        server.start()


def test_metrics_are_available_to_this_machine_and_to_admins(opened: AppContext) -> None:
    assert client_of(opened).get("/metrics").status_code == 200
    refused = client_of(opened, ELSEWHERE).get("/metrics")
    assert (refused.status_code, "this machine alone" in refused.text) == (403, True)
    for role in Role:
        people.add_user(opened, role.value, PASSWORD, Role.ADMIN, by="root")
    for role in Role:
        people.set_role(opened, role.value, role, by="root")
    assert client_of(opened).get("/metrics").status_code == 200, "a login changes nothing for this machine"
    assert client_of(opened, ELSEWHERE).get("/metrics").status_code == 401
    for role in Role:
        client = client_of(opened, ELSEWHERE)
        client.post("/outfold/login", data={"name": role.value, "password": PASSWORD})
        assert client.get("/metrics").status_code == (200 if role is Role.ADMIN else 403), role


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "192.0.2.7"},
        {"X-Forwarded-Proto": "https"},
        {"Forwarded": "for=192.0.2.7"},
        {"Via": "1.1 proxy"},
        {"X-Real-IP": "192.0.2.7"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_requests_through_a_local_proxy_do_not_count_as_local(opened: AppContext, headers: dict[str, str]) -> None:
    assert client_of(opened).get("/metrics", headers=headers).status_code == 403
    people.add_user(opened, "ada", PASSWORD, Role.ADMIN, by="root")
    assert client_of(opened).get("/metrics", headers=headers).status_code == 401


def test_a_proxy_without_headers_is_recognised_by_the_host_name(tmp_path: Path) -> None:
    served = open_app(Settings(home=tmp_path, hosts="labels.example.org", demo=False, embedded_worker=False))
    assert client_of(served, name="labels.example.org").get("/metrics").status_code == 403
    assert client_of(served, name="labels.example.org").get("/healthz").status_code == 200
    served.database.close()


def test_metrics_count_jobs_verdicts_queues_and_workers(opened: AppContext) -> None:
    client = client_of(opened)
    first, second, third, *_ = reviews.page(opened, SUSPICIOUS, limit=8).items
    before = values(client)
    assert before["outfold_jobs", "round", "done"] == 1
    assert before["outfold_queue_depth", "folds"] == 0
    assert ("outfold_verdicts_total", "verdict") not in before
    body = {"client": "tab", "round": 1, "op": "decide"}
    for seq, finding in enumerate((first, second), start=1):
        sent = body | {"seq": seq, "decisions": [{"finding": finding.id, "verdict": "keep"}]}
        assert client.post("/outfold/acts", json=sent, headers={"Cookie": "outfold_name=ada"}).status_code == 200
    reviews.decide(opened, [Choice(third.id, Verdict.ACCEPT)], by="ben", key=ActKey("other", 1))
    reviews.accept_all(opened, SUSPICIOUS, by="ben", expected=reviews.count(opened, SUSPICIOUS))
    now = datetime.now(UTC)
    workers.beat(opened, WorkerInfo("gpu-1:0", 1, "CPU", "", now, now))
    with opened.database.write() as session:
        session.execute(update(RoundRow).values(status=JobStatus.RUNNING))
        for fold, status in enumerate((JobStatus.DONE, JobStatus.QUEUED, JobStatus.QUEUED)):
            session.add(FoldRunRow(round_id=1, fold=fold, attempt=1, status=status))
        session.add(ShardRunRow(round_id=1, shard=0, attempt=0, status=JobStatus.QUEUED))
    after = values(client)
    assert after["outfold_verdicts_total", "verdict"] == 3
    assert after["outfold_verdicts_total", "accept_all"] == 5
    assert after["outfold_verdict_seconds_count",] - before["outfold_verdict_seconds_count",] == 2
    assert after["outfold_verdict_seconds_sum",] > before["outfold_verdict_seconds_sum",]
    assert after["outfold_queue_depth", "folds"] == 2
    assert after["outfold_queue_depth", "shards"] == 1
    assert after["outfold_queue_depth", "rounds"] == 0
    assert after["outfold_jobs", "round", "running"] == 1
    assert 0 <= after["outfold_worker_heartbeat_age_seconds", "gpu-1:0"] < 10
    assert values(client)["outfold_verdicts_total", "verdict"] == 3, "none is counted twice"
    reviews.undo(opened, 1, by="ben")
    assert values(client)["outfold_verdicts_total", "accept_all"] == 5, "a counter never goes back"


@contextmanager
def served(home: Path) -> Iterator[str]:
    """Serve an installation by the real command and yield its address."""
    port = free_port()
    environment = os.environ | {"OUTFOLD_HOME": str(home), "OUTFOLD_DEMO": "0", "OUTFOLD_EMBEDDED_WORKER": "0"}
    command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        assert until(lambda: answers(port))
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_the_server_answers_the_operation_routes_before_streamlits_pages(tmp_path: Path) -> None:
    with served(tmp_path / "home") as url:
        for path, told in (("/healthz", b'"ok":true'), ("/readyz", b'"ready":true'), ("/metrics", b"outfold_info{")):
            with urllib.request.urlopen(f"{url}{path}", timeout=10) as answer:
                assert told in answer.read(), path
