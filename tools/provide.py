"""Find the programs that the tests need, or install them: `python -m tools.provide`, a part of `make test`.

A browser that is there is taken; else Playwright's own is downloaded; else, where this user is root, the
distribution's package manager is asked. The checkers of JavaScript come from npm, in the versions that
`tests/js/package-lock.json` pins. What is missing then is named with a cure, and pytest skips the tests that need
it and counts them. Continuous integration (CI=true) must skip nothing: there a missing program ends the run.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from app.services.programs import BROWSER, NODE, POSTGRESQL, Program

PACKAGES = {
    "browser": {
        "apt-get": ["chromium", "fonts-dejavu-core", "libatomic1"],
        "dnf": ["chromium", "dejavu-sans-fonts", "libatomic"],
        "apk": ["chromium", "font-dejavu", "libatomic"],
    },
    "PostgreSQL": {"apt-get": ["postgresql"], "dnf": ["postgresql-server"], "apk": ["postgresql"]},
    # node itself came with the packages; a small system lacks the one library that it needs
    "node": {"apt-get": ["libatomic1"], "dnf": ["libatomic"], "apk": ["libatomic"]},
}
INSTALL = {
    "apt-get": [["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends"]],
    "dnf": [["dnf", "install", "-y"]],
    "apk": [["apk", "add", "--no-cache"]],
}
PLAYWRIGHT = [sys.executable, "-m", "playwright"]
JAVASCRIPT = Path(__file__).parents[1] / "tests" / "js"


def find_checkers() -> str | None:
    """Return the folder of the JavaScript type checker and linter if it has the pinned versions."""
    folder = JAVASCRIPT / "node_modules"
    pinned = json.loads((JAVASCRIPT / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    installed = {name: _version(folder / name / "package.json") for name in pinned}
    return str(folder) if installed == pinned else None


def _version(package: Path) -> str | None:
    if not package.is_file():
        return None
    version: str = json.loads(package.read_text(encoding="utf-8"))["version"]
    return version


CHECKERS = Program("JavaScript checker", find_checkers, "run: npm ci --prefix tests/js")


def main() -> int:
    """Provide every program; return the exit code."""
    missing = [program for program in (BROWSER, POSTGRESQL, NODE, CHECKERS) if not provide(program)]
    return 1 if missing and is_ci() else 0


def is_ci() -> bool:
    """Return whether this is continuous integration, where no test may be skipped."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def provide(program: Program) -> bool:
    """Find a program or install it, and report the result."""
    ways: list[tuple[str, Callable[[], bool]]] = [("the distribution's package", lambda: from_distribution(program))]
    if program is BROWSER:
        ways.insert(0, ("Playwright's download", from_playwright))
    elif program is CHECKERS:
        ways = [("npm", from_npm)]
    found = program.find()
    for name, install in ways:
        if found is not None:
            break
        say(f"no {program.name} yet, trying {name}")
        found = program.find() if install() else None
    if found is None:
        say(f"no {program.name}: tests that need it are not run; {program.cure}")
        return False
    say(f"{program.name}: {found}")
    return True


def from_playwright() -> bool:
    """Download Playwright's Chromium, for root with the system's libraries that it needs."""
    if not run_command([*PLAYWRIGHT, "--version"]) and not from_distribution(NODE):  # its driver is a node
        return False
    if not run_command([*PLAYWRIGHT, "install", "chromium"]):
        return False
    return os.geteuid() != 0 or run_command([*PLAYWRIGHT, "install-deps", "chromium"])


def from_npm() -> bool:
    """Install the pinned checkers by the npm that came with node's package, else by the system's."""
    own = Path(sys.executable).parent / "npm"
    npm = str(own) if own.exists() else shutil.which("npm")
    if npm is None:
        say("not possible: needs npm")
        return False
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries", "1"]
    return run_command([npm, "ci", "--prefix", str(JAVASCRIPT), *options])


def from_distribution(program: Program) -> bool:
    """Install a program's packages where this user is root and a package manager is known."""
    manager = next(filter(shutil.which, INSTALL), None)
    if manager is None or os.geteuid() != 0:
        say("not possible: needs root and one of " + ", ".join(INSTALL))
        return False
    *before, install = INSTALL[manager]
    return all(run_command(command) for command in (*before, [*install, *PACKAGES[program.name][manager]]))


def run_command(command: Sequence[str]) -> bool:
    """Run a command; print its error if it fails."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no reason given"]
        reason = next((line for line in lines if "error" in line.lower()), lines[-1])
        say(f"{' '.join(command[:4])} failed: {reason.strip()}")
    return done.returncode == 0


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
