"""The doctor: survives every fault that a start can meet, names it with a cure, changes nothing."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.services import doctor, people
from app.services.app_context import AppContext
from app.services.workers import beat
from app.settings import settings
from app.worker.slot import take_slot
from core.types import Role
from db.queries.workers import WorkerInfo
from tests.app.commands.running import run
from tests.app.faults import AT_START, OF_WORKER, Fault
from tests.e2e.conftest import free_port
from tools.fixtures.oidc_provider import running_provider


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look for no browser: it would be started each time."""
    monkeypatch.setattr(doctor, "BROWSER", replace(doctor.BROWSER, find=lambda: None))
    settings.cache_clear()
    yield
    settings.cache_clear()


def examined(code: int, port: int | None = None, address: str = "127.0.0.1") -> dict[str, dict[str, Any]]:
    told = run("doctor", "--json", "--port", str(port or free_port()), "--address", address, code=code).stdout
    return {check["name"]: check for check in json.loads(told)}


@pytest.mark.parametrize("fault", [*AT_START, *OF_WORKER], ids=str)
def test_every_start_fault_is_found_with_a_cure(fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        for name, value in fault.make(tmp_path, stack).items():
            monkeypatch.setenv(name, value)
        before = sorted(tmp_path.rglob("*"))
        found = examined(code=1)
        assert sorted(path for path in tmp_path.rglob("*") if path.suffix != ".sqlite-shm") == before
    faults = [check for check in found.values() if check["state"] == "fault"]
    assert faults
    assert all(check["cure"] for check in faults)
    assert "secret" not in json.dumps(found)
    assert {"Python", "torch", "device"} <= found.keys()


def test_a_sound_installation_has_no_fault(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFOLD_HOME", str(app_context.settings.home))
    found = examined(code=0)
    assert found["database"]["text"].endswith("whole")
    assert found["worker"]["state"] == "warning"
    assert found["browser (for tests)"]["state"] == "warning"
    assert "playwright install" in found["browser (for tests)"]["cure"]


def test_programs_of_the_tests_are_not_reported_missing_without_their_packages(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTFOLD_HOME", str(app_context.settings.home))
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _name: None)
    found = examined(code=0)
    programs = [line for name, line in found.items() if name.endswith("(for tests)")]
    assert {line["state"] for line in programs} == {"ok"}
    assert all(line["text"].startswith("not looked for") for line in programs)


def test_a_living_worker_is_named(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFOLD_HOME", str(app_context.settings.home))
    from app.services import workers
    from app.worker.slot import slot_name

    now = datetime.now(UTC)

    def beats(_seconds: float) -> None:
        at = datetime.now(UTC)
        beat(app_context, WorkerInfo(slot_name(app_context.settings), 7, "2 CPU cores", "round 3", now, at))

    with take_slot(app_context.settings):
        beats(0)
        monkeypatch.setattr(workers.time, "sleep", beats)
        text = examined(code=0)["worker"]["text"]
    assert text.startswith("alive: ")
    assert "round 3" in text


def test_a_mistyped_variable_is_a_warning(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFOLD_HOME", str(app_context.settings.home))
    monkeypatch.setenv("OUTFOLD_KEEP_ROUND", "5")
    check = examined(code=0)["settings"]
    assert check["state"] == "warning"
    assert "OUTFOLD_KEEP_ROUND" in check["text"]


def test_a_port_that_another_program_holds_is_a_fault(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFOLD_HOME", str(app_context.settings.home))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        check = examined(code=1, port=port)[f"port {port}"]
    assert check["state"] == "fault"
    assert "another program" in check["text"]
    assert "--port" in check["cure"]


def test_the_requirements_of_another_address_are_reported(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTFOLD_HOME", str(app_context.settings.home))
    monkeypatch.setenv("OUTFOLD_HOSTS", "labels.example.org")
    found = examined(code=0)
    assert "needs users, OpenID Connect or --insecure" in found["login"]["text"]
    assert found["hosts"]["text"] == "browsers may open it as 127.0.0.1, ::1, labels.example.org, localhost"
    found = examined(code=1, address="0.0.0.0")
    assert (found["login"]["state"], "users add" in found["login"]["cure"]) == ("fault", True)
    assert "by the addresses of this machine" in found["hosts"]["text"]
    monkeypatch.setenv("OUTFOLD_INSECURE", "true")
    settings.cache_clear()
    assert examined(code=0, address="0.0.0.0")["login"]["state"] == "warning"
    people.add_user(app_context, "ada", "correct horse battery", Role.ADMIN, by="root")
    assert examined(code=0, address="0.0.0.0")["login"]["text"].startswith("1 user;")


def test_the_provider_is_checked(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFOLD_HOME", str(app_context.settings.home))
    monkeypatch.setenv("OUTFOLD_OIDC_CLIENT_ID", "outfold")
    monkeypatch.setenv("OUTFOLD_OIDC_CLIENT_SECRET", "a secret of the tests")
    with running_provider() as provider:
        monkeypatch.setenv("OUTFOLD_OIDC_ISSUER", provider.issuer)
        settings.cache_clear()
        found = examined(code=0, address="0.0.0.0")
        assert found["login"]["text"].startswith(f"OpenID Connect by {provider.issuer}")
        assert found["provider"]["text"] == f"{provider.issuer} answers"
    monkeypatch.setenv("OUTFOLD_OIDC_ISSUER", "http://127.0.0.1:1")
    settings.cache_clear()
    found = examined(code=0)
    assert (found["provider"]["state"], bool(found["provider"]["cure"])) == ("warning", True)
    assert "a secret" not in json.dumps(found)


def test_the_shared_file_store_is_tested_and_left_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OUTFOLD_FILES_URL", f"file://{tmp_path}/bucket")
    found = examined(code=0)["shared files"]
    assert (found["state"], found["cure"]) == ("ok", "")
    assert "written, read and removed" in found["text"]
    assert not any(path.is_file() for path in (tmp_path / "bucket").rglob("*"))


def test_a_store_that_cannot_be_written_is_a_fault_with_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OUTFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OUTFOLD_FILES_URL", f"file://{tmp_path}/file/bucket")
    found = examined(code=1)["shared files"]
    assert found["state"] == "fault"
    assert found["cure"]
