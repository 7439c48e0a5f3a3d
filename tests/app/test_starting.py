"""Starts that fail: a sentence with its cure and exit code 1, for commands, worker and web app alike, no traceback."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app import lifespan
from app.services.app_context import app_context
from app.services.jobs import prepare_engine
from app.settings import Settings, settings
from db.faults import file_of
from tests.app.commands.running import run
from tests.app.faults import AT_START, OF_DATABASE, OF_HOME, OF_WORKER, Fault

ROOT = Path(__file__).parents[2]
Begin = Callable[[Fault], None]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Return a function that makes a fault and lets this process meet it."""
    with ExitStack() as stack:

        def begun(fault: Fault) -> None:
            for name, value in fault.make(tmp_path, stack).items():
                monkeypatch.setenv(name, value)
            settings.cache_clear()

        yield begun
    settings.cache_clear()
    app_context.cache_clear()


def assert_said(fault: Fault, told: str) -> None:
    """Check one error of one line with the fault's words and a cure, and no secret in it."""
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, told
    assert all(word in errors[0] for word in fault.says), errors[0]
    assert "; " in errors[0] or ": " in errors[0].removeprefix("error: ")
    assert "Traceback" not in told
    assert "secret" not in told


@pytest.mark.parametrize("command", ["datasets", "worker"])
@pytest.mark.parametrize("fault", AT_START, ids=str)
def test_commands_and_workers_report_start_faults(fault: Fault, command: str, begin: Begin) -> None:
    begin(fault)
    assert_said(fault, run(command, code=1).stderr)


@pytest.mark.parametrize("fault", AT_START, ids=str)
def test_the_web_app_reports_a_start_fault_and_exits(
    fault: Fault, begin: Begin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(lifespan.os, "_exit", leave)
    begin(fault)
    with pytest.raises(SystemExit, match="1"):
        lifespan.open_or_end()
    assert_said(fault, capsys.readouterr().err)


def test_the_web_app_shortens_pythons_thread_switch_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.getswitchinterval()
    monkeypatch.setenv("OUTFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OUTFOLD_DEMO", "false")
    settings.cache_clear()
    try:
        lifespan.open_or_end().database.close()
        assert sys.getswitchinterval() == pytest.approx(0.001)
    finally:
        sys.setswitchinterval(before)
        settings.cache_clear()
        app_context.cache_clear()


@pytest.mark.parametrize("fault", OF_WORKER, ids=str)
def test_a_worker_process_reports_faults_of_its_own_resources(fault: Fault, begin: Begin) -> None:
    begin(fault)
    ended = process("-m", "app", "worker")
    assert ended.returncode == 1
    assert_said(fault, ended.stderr)


@pytest.mark.parametrize(
    "command", [["-m", "app", "serve"], ["-m", "streamlit", "run", "streamlit_app.py"]], ids=" ".join
)
@pytest.mark.parametrize("fault", [OF_HOME[0], OF_DATABASE[1]], ids=str)
def test_a_server_process_reports_start_faults(fault: Fault, command: list[str], begin: Begin) -> None:
    begin(fault)
    port = ["--port", "0"] if "serve" in command else ["--server.port=0"]
    ended = process(*command, *port)
    assert ended.returncode == 1
    assert_said(fault, ended.stderr)


@pytest.mark.parametrize("name", ["a%20b", "a?b=c", "a#b", "a b", "%(here)s", "100%", "ü", "a;b:c"])
def test_a_home_can_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / name
    monkeypatch.setenv("OUTFOLD_HOME", str(home))
    settings.cache_clear()
    try:
        assert run("datasets").stdout == run("datasets").stdout
        chosen = settings()
        prepare_engine(chosen.dbos_url)
        assert file_of(chosen.dbos_url) == home.resolve() / "engine.sqlite"
        assert sorted(path.name for path in home.glob("*.sqlite")) == ["engine.sqlite", "outfold.sqlite"]
        assert list(tmp_path.iterdir()) == [home]
    finally:
        settings.cache_clear()


def test_a_home_can_start_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings(home=Path("~/labels")).home == tmp_path / "labels"


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_python_without_the_packages_gets_an_error_with_the_environment_to_use() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    bare = [sys.executable, "-S", "-m", "app", "doctor"]  # without site-packages, as a system's Python
    done = subprocess.run(bare, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {sys.executable} does not have the package ")
    assert "make install" in done.stderr
    assert ".venv/bin/activate" in done.stderr
    assert "Traceback" not in done.stderr
