"""Addresses that a server without login may listen at; the image and its composition as they are."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.addresses import host_name, is_loopback, is_wildcard
from tests.app.commands.test_installation import answers, until
from tests.e2e.conftest import ROOT, free_port

DOCKERFILE = (ROOT / "Dockerfile").read_text()
PORT = "8501"  # which the image serves at


def command_of(instruction: str) -> list[str]:
    """Return the program of an instruction of the Dockerfile, its last one."""
    found = re.findall(rf"^(?:HEALTHCHECK .*\n\s+)?{instruction} (\[.*\])", DOCKERFILE, re.MULTILINE)
    command: list[str] = json.loads(found[-1])
    assert command[0] == "python"
    return [sys.executable, *command[1:]]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def start(started: list[subprocess.Popen[str]], home: Path, *command: str, **more: str) -> subprocess.Popen[str]:
    environment = {"OUTFOLD_HOME": str(home), "OUTFOLD_DEMO": "false", "OUTFOLD_EMBEDDED_WORKER": "false", **more}
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    started.append(process)
    return process


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("[::1]", True), ("localhost", True),
        ("unix:///run/outfold.sock", True), ("0.0.0.0", False), ("::", False), ("", False), (None, False),
        ("192.168.1.5", False), ("labels.example.org", False), ("localhost.example.org", False),
    ],
)  # fmt: skip
def test_only_loopback_addresses_are_local(address: str | None, own: bool) -> None:  # noqa: FBT001
    assert is_loopback(address) == own
    assert is_wildcard(address) == (address in {"0.0.0.0", "::", "", None})


def test_host_names_are_formatted_as_browsers_send_them() -> None:
    assert [host_name(text) for text in (" Labels.Example.org. ", "2001:DB8:0::1", "[::1]")] == [
        "labels.example.org", "2001:db8::1", "::1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "app", "serve", "--address", "0.0.0.0", "--port"],
        ["-m", "streamlit", "run", "streamlit_app.py", "--server.address", "0.0.0.0", "--server.port"],
    ],
    ids=["serve", "streamlit"],
)
def test_another_address_without_login_is_refused_with_the_cures(
    command: list[str], tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    port = free_port()
    process = start(started, tmp_path / "home", sys.executable, *command, str(port))
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, told
    assert all(word in errors[0] for word in ("0.0.0.0", "no login", "127.0.0.1", "--insecure", "users add")), errors
    assert "Traceback" not in told


def test_the_command_of_the_container_image_serves_and_its_health_check_passes(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    port = free_port()
    start(started, tmp_path, *command_of("CMD"), "--port", str(port))
    assert until(lambda: answers(port)), started[0].communicate(timeout=1)
    check = [part.replace(f":{PORT}/", f":{port}/") for part in command_of(r"CMD(?= \[\"python\", \"-c\")")]
    assert str(port) in check[-1]
    assert subprocess.run(check, cwd=ROOT, timeout=30, check=False).returncode == 0
