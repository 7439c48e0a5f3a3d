"""Programs for the tests: found, installed, or the tests that need them are skipped and counted; in CI nothing is."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.services.programs import BROWSER, NODE, POSTGRESQL, Program, find_browser, find_node
from tools import provide

ROOT = Path(__file__).parents[2]
SUITE = """
import pytest
from app.services.programs import BROWSER, POSTGRESQL
from tests.needs import lack

@pytest.fixture(scope="session")
def browser():
    lack(BROWSER)

@pytest.mark.parametrize("number", range(3))
def test_of_a_page(number, browser): ...

def test_of_a_server(): lack(POSTGRESQL)

def test_of_neither(): ...
"""
HOOK = "from tests.conftest import pytest_terminal_summary"


class Machine:
    """A machine that lacks a program until one of these commands installs it; it remembers what was run."""

    def __init__(self, *works: str) -> None:
        self.works = works
        self.ran: list[str] = []
        self.has = False

    def run(self, command: Sequence[str]) -> bool:
        told = " ".join(command).removeprefix(f"{sys.executable} -m ")
        self.ran.append(told)
        self.has = self.has or any(told.startswith(each) and {"install", "add"} & set(command) for each in self.works)
        return any(told.startswith(each) for each in self.works)

    def find(self) -> str | None:
        return "/usr/bin/it" if self.has else None


def machine(monkeypatch: pytest.MonkeyPatch, *works: str, user: int = 0, manager: str | None = "apt-get") -> Machine:
    made = Machine(*works)
    monkeypatch.setattr(provide, "run_command", made.run)
    monkeypatch.setattr(provide.os, "geteuid", lambda: user)
    monkeypatch.setattr(provide.shutil, "which", lambda name: f"/usr/bin/{name}" if name == manager else None)
    monkeypatch.setattr(provide, "BROWSER", replace(BROWSER, find=made.find))
    return made


def provided(made: Machine, program: Program = BROWSER) -> bool:
    wanted = provide.BROWSER if program is BROWSER else replace(program, find=made.find)
    return provide.provide(wanted)


def test_an_installed_browser_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made = machine(monkeypatch)
    made.has = True
    assert provided(made)
    assert made.ran == []


def test_playwrights_browser_is_preferred_and_root_also_gets_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    made = machine(monkeypatch, "playwright --version", "playwright install")
    assert provided(made)
    assert made.ran == ["playwright --version", "playwright install chromium", "playwright install-deps chromium"]


def test_an_ordinary_user_gets_only_playwrights_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    made = machine(monkeypatch, "playwright --version", "playwright install", user=1000)
    assert provided(made)
    assert made.ran == ["playwright --version", "playwright install chromium"]


@pytest.mark.parametrize("manager", ["apt-get", "dnf", "apk"])
def test_root_falls_back_to_the_package_of_the_distribution(monkeypatch: pytest.MonkeyPatch, manager: str) -> None:
    install = " ".join(provide.INSTALL[manager][-1])
    made = machine(monkeypatch, "playwright --version", "apt-get update", install, manager=manager)
    assert provided(made)
    assert made.ran[-1].startswith(f"{install} chromium")
    assert provided(machine(monkeypatch, "apt-get update", install, manager=manager), POSTGRESQL)


def test_javascript_checkers_are_installed_from_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = machine(monkeypatch, "/usr/bin/npm ci", manager="npm")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert provide.from_npm()
    assert [told.partition(" --prefix")[0] for told in made.ran] == ["/usr/bin/npm ci"]


@pytest.mark.parametrize(("installed", "found"), [("5.9.3", True), ("5.9.2", False), (None, False)])
def test_checkers_of_another_version_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str | None, *, found: bool
) -> None:
    monkeypatch.setattr(provide, "JAVASCRIPT", tmp_path)
    (tmp_path / "package.json").write_text('{"devDependencies": {"typescript": "5.9.3"}}')
    if installed is not None:
        (tmp_path / "node_modules" / "typescript").mkdir(parents=True)
        (tmp_path / "node_modules" / "typescript" / "package.json").write_text(f'{{"version": "{installed}"}}')
    assert (provide.find_checkers() is not None) is found


def test_the_lock_file_names_no_registry_host() -> None:
    assert '"resolved"' not in (provide.JAVASCRIPT / "package-lock.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(("user", "manager"), [(1000, "apt-get"), (0, None)])
def test_an_unavailable_program_is_named_with_a_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], user: int, manager: str | None
) -> None:
    made = machine(monkeypatch, "playwright --version", user=user, manager=manager)
    assert not provided(made)
    assert BROWSER.cure in capsys.readouterr().out
    assert not any("apt-get" in told for told in made.ran)


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_a_missing_program_fails_only_in_ci(monkeypatch: pytest.MonkeyPatch, ci: str, code: int) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(provide, "provide", lambda program: program is not NODE)
    assert provide.main() == code


def suite(folder: Path, monkeypatch: pytest.MonkeyPatch, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "conftest.py").write_text(HOOK)
    monkeypatch.setenv("CI", ci)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", "/dev/null"]
    return subprocess.run(
        [*command, f"--rootdir={folder}", folder], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_tests_of_a_missing_program_are_skipped_counted_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = suite(tmp_path, monkeypatch, ci="")
    assert done.returncode == 0, done.stdout
    assert f"3 browser tests were not run: no browser; {BROWSER.cure}" in done.stdout
    assert f"1 PostgreSQL test was not run: no PostgreSQL; {POSTGRESQL.cure}" in done.stdout
    assert "1 passed, 4 skipped" in done.stdout


@pytest.mark.slow
def test_tests_of_a_missing_program_fail_in_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = suite(tmp_path, monkeypatch, ci="true")
    assert done.returncode == 1
    assert "skipped" not in done.stdout


def test_a_browser_that_does_not_start_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = tmp_path / "chromium"
    stub.write_text("#!/bin/sh\necho 'install the snap' >&2\nexit 1\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "none"))
    assert find_browser() is None


def test_an_old_node_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.20.4\n")
    old.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_node() is None


@pytest.mark.parametrize(("torch", "said"), [("", "3.4 GB"), ("cpu", "0.5 GB")])
def test_make_run_announces_its_downloads_before_the_first_installation(tmp_path: Path, torch: str, said: str) -> None:
    command = ["sh", str(ROOT / "tools" / "announce.sh"), str(tmp_path), torch]
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if sys.platform == "linux":
        assert said in first
    driver = any(map(Path.exists, map(Path, ("/proc/driver/nvidia/version", "/dev/dxg"))))
    assert ("TORCH=cpu" in first) == (not torch and not driver and sys.platform == "linux")
    (tmp_path / "installed").touch()
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "GB" not in again
    assert "up to date" in again
