"""Programs needed only by tests: a browser, a PostgreSQL server, node; `tools/provide.py` installs them."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLAYWRIGHTS_OWN = "Playwright's own"
OLDEST_NODE = 22  # its test runner and modules as the tests use them
_ANSWER_SECONDS = 60.0  # a machine busy with tests starts a browser slowly
_DEBIAN = Path("/usr/lib/postgresql")
_LAUNCH = """
import sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    playwright.chromium.launch(executable_path=sys.argv[1] or None, args=["--no-sandbox"]).close()
"""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that tests need: its name, how it is found, and how to install it."""

    name: str
    find: Callable[[], str | None]
    cure: str


def find_browser() -> str | None:
    """Return the path of a browser of the system, else `PLAYWRIGHTS_OWN`; each is started as the tests start it.

    It is started because a command of that name may be a snap stub, or a library of browser or driver may be missing.
    """
    if importlib.util.find_spec("playwright") is None:
        return None
    for path in (*filter(None, map(shutil.which, BROWSERS)), ""):
        if _output_of([sys.executable, "-c", _LAUNCH, path]) is not None:
            return path or PLAYWRIGHTS_OWN
    return None


def find_postgresql() -> str | None:
    """Return the folder of the newest PostgreSQL server's programs."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parents[1].name))
    on_path = shutil.which("initdb")
    if found:
        return str(found[-1].parent)
    return str(Path(on_path).resolve().parent) if on_path else None


def find_node() -> str | None:
    """Return the path of node: the one installed with the packages, else the system's if it is new enough."""
    for path in (Path(sys.executable).parent / "node", shutil.which("node")):
        version = _output_of([str(path), "--version"]) if path is not None and Path(path).exists() else None
        if version is not None and version.startswith("v") and int(version[1:].partition(".")[0]) >= OLDEST_NODE:
            return str(path)
    return None


BROWSER = Program(
    "browser", find_browser, "install Chromium or Chrome, or run: .venv/bin/playwright install --with-deps chromium"
)
POSTGRESQL = Program(
    "PostgreSQL", find_postgresql, "install the PostgreSQL server (Debian: postgresql, Fedora: postgresql-server)"
)
NODE = Program("node", find_node, f"install node {OLDEST_NODE} or newer")


def _output_of(command: Sequence[str]) -> str | None:
    """Return the output of a command, None if it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
