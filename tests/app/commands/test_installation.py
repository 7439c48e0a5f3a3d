"""`serve`, as a service manager or a container runs it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.commands import installation
from app.services.ports import serves_home
from app.settings import Settings
from tests.app.commands.running import run
from tests.e2e.conftest import ROOT, START_SECONDS, free_port


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/outfold/health", timeout=2):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def until(look: Callable[[], bool], seconds: float = START_SECONDS) -> bool:
    """Return whether something came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if look():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    settings = {"OUTFOLD_HOME": str(tmp_path), "OUTFOLD_DEMO": "false", "OUTFOLD_EMBEDDED_WORKER": "false"}
    command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, start_new_session=True)
    try:
        assert until(lambda: answers(port))
        yield process, port
    finally:
        if process.poll() is None or answers(port):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_server_ends_with_its_command(served: tuple[subprocess.Popen[bytes], int]) -> None:
    process, port = served
    process.terminate()
    process.wait(timeout=20)
    assert not answers(port)


def test_only_a_server_of_the_same_home_is_reused(served: tuple[subprocess.Popen[bytes], int], tmp_path: Path) -> None:
    _, port = served
    assert serves_home(port, Settings(home=tmp_path))
    assert not serves_home(port, Settings(home=tmp_path / "another"))
    assert not serves_home(free_port(), Settings(home=tmp_path))


def test_no_server_process_survives_kill_9_and_the_port_is_free(
    served: tuple[subprocess.Popen[bytes], int],
) -> None:
    process, port = served
    process.kill()
    process.wait()
    assert until(lambda: not answers(port))
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_used_port_is_refused_with_the_program_that_uses_it(served: tuple[subprocess.Popen[bytes], int]) -> None:
    _process, port = served
    told = run("serve", "--port", str(port), code=1).stderr
    assert told.startswith(f"error: port {port} is taken by Outfold ")
    assert "choose another port with --port" in told


def test_an_address_of_another_machine_is_refused() -> None:
    told = run("serve", "--address", "192.0.2.1", "--port", "0", code=1).stderr  # of RFC 5737, for examples only
    assert told == (
        "error: 192.0.2.1 is not an address of this machine; "
        "use 127.0.0.1, or 0.0.0.0 for every network, with --address\n"
    )


def test_the_address_is_opened_once_the_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(installation.webbrowser, "open", lambda address: bool(opened.append(address)) or True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert installation.open_when_served("http://localhost/review?round=1", server.getsockname()[1])
    assert opened == ["http://localhost/review?round=1"]


def test_no_address_is_opened_without_a_listening_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_SERVE_SECONDS", 0.0)
    monkeypatch.setattr(installation.webbrowser, "open", lambda _: pytest.fail("opened"))
    assert not installation.open_when_served("http://localhost/", 1)
