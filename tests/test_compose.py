"""Services, ports and checks of compose.yaml; the checks run against real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import PREFIX, Settings
from tests.app.commands.test_installation import answers, until
from tests.e2e.conftest import ROOT, free_port

COMPOSED: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSED["services"]
OURS = ("web", "worker", "worker-gpu")
PORT = "8501"  # which the image serves at


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def environment_of(home: Path) -> dict[str, str]:
    return os.environ | {"OUTFOLD_HOME": str(home), "OUTFOLD_DEMO": "0", "OUTFOLD_EMBEDDED_WORKER": "0"}


def start(home: Path, *command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment_of(home), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def check_of(service: str, home: Path, port: int = 0) -> int:
    """Run a service's check as its container does, at another port; return the exit code."""
    kind, program, *arguments = SERVICES[service]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    command = [sys.executable, *(one.replace(f":{PORT}/", f":{port}/") for one in arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=environment_of(home), capture_output=True, timeout=60, check=False
    ).returncode


def test_compose_starts_web_worker_and_database_and_optional_gpu_worker_and_bucket() -> None:
    assert {name: service.get("profiles", []) for name, service in SERVICES.items()} == {
        "web": [], "worker": [], "worker-gpu": ["gpu"], "postgres": [], "objects": ["bucket"],
    }  # fmt: skip
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert SERVICES["worker"]["command"] == SERVICES["worker-gpu"]["command"] == ["python", "-m", "app", "worker"]


def test_only_the_pages_are_published_and_only_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": [f"127.0.0.1:{PORT}:{PORT}"]}
    assert not any("network_mode" in service or "expose" in service for service in SERVICES.values())
    for name in ("postgres", "objects"):
        assert SERVICES[name]["networks"] == ["database"], "it reaches nothing outside"
    assert COMPOSED["networks"]["database"] == {"internal": True}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_and_restarts(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check.get("disable") is None
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    seconds = {field: int(check[field].removesuffix("s")) for field in ("interval", "timeout")}
    assert 0 < seconds["timeout"] < seconds["interval"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", OURS)
def test_own_services_wait_for_the_database_and_have_few_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert not service.get("privileged", False)
    assert "home:/data" in service["volumes"], "one home for all"
    assert all(volume.startswith("home:") or volume.endswith(":ro") for volume in service["volumes"])


@pytest.mark.parametrize("name", OURS)
def test_own_services_use_existing_settings_and_share_one_database(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        if variable.startswith("AWS_"):  # the bucket's own
            continue
        assert variable.removeprefix(PREFIX).lower() in Settings.model_fields
        written = "password" if "POSTGRES_PASSWORD" in value else ""
        monkeypatch.setenv(variable, value.replace(value[value.find("${") : value.find("}") + 1] or "\0", written))
    chosen = Settings()
    assert chosen.files_url == "", "the home has the files, unless .env names a bucket"
    assert chosen.database_url == chosen.engine_url == "postgresql+psycopg://outfold:password@postgres/outfold"
    assert not chosen.embedded_worker


def test_the_password_of_the_database_is_not_in_the_file() -> None:
    text = json.dumps(SERVICES)
    assert text.count("${POSTGRES_PASSWORD:?") == 2 * len(OURS) + 1, "without it nothing starts"
    assert SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")


@pytest.mark.slow
def test_the_health_check_of_the_web_service_passes_while_it_serves(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    port = free_port()
    assert check_of("web", tmp_path, port) != 0
    started.append(start(tmp_path, "-m", "app", "serve", "--port", str(port)))
    assert until(lambda: answers(port))
    assert check_of("web", tmp_path, port) == 0


@pytest.mark.slow
def test_the_health_check_of_a_worker_passes_while_its_heart_beats(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    worker = SERVICES["worker"]
    assert SERVICES["worker-gpu"]["healthcheck"] == worker["healthcheck"]
    started.append(start(tmp_path, *worker["command"][1:]))
    assert until(lambda: check_of("worker", tmp_path) == 0)
    os.killpg(started[0].pid, signal.SIGKILL)
    started.pop().wait()
    assert check_of("worker", tmp_path) == 1
