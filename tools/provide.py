"""Find the programs that the tests need, or install them: `python -m tools.provide`, a part of `make test`.

A browser that is there is taken; else Playwright's own is downloaded; else, where this user is root, the
distribution's package manager is asked. What is missing then is named with a cure, and pytest skips the tests that
need it and counts them. Continuous integration (CI=true) must skip nothing: there a missing program ends the run.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence

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


def main() -> int:
    """Provide every program; return the exit code."""
    missing = [program for program in (BROWSER, POSTGRESQL, NODE) if not provide(program)]
    return 1 if missing and is_ci() else 0


def is_ci() -> bool:
    """Return whether this is continuous integration, where no test may be skipped."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def provide(program: Program) -> bool:
    """Find a program or install it; say how it went."""
    ways: list[tuple[str, Callable[[], bool]]] = [("the distribution's package", lambda: from_distribution(program))]
    if program is BROWSER:
        ways.insert(0, ("Playwright's download", from_playwright))
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
    if not ran([*PLAYWRIGHT, "--version"]) and not from_distribution(NODE):  # its driver is a node
        return False
    if not ran([*PLAYWRIGHT, "install", "chromium"]):
        return False
    return os.geteuid() != 0 or ran([*PLAYWRIGHT, "install-deps", "chromium"])


def from_distribution(program: Program) -> bool:
    """Install a program's packages where this user is root and a package manager is known."""
    manager = next(filter(shutil.which, INSTALL), None)
    if manager is None or os.geteuid() != 0:
        say("not possible: needs root and one of " + ", ".join(INSTALL))
        return False
    *before, install = INSTALL[manager]
    return all(ran(command) for command in (*before, [*install, *PACKAGES[program.name][manager]]))


def ran(command: Sequence[str]) -> bool:
    """Run a command; where it fails, print its error."""
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
