"""Audit the pinned requirements against published advisories: `make audit`, the end of `.ci/run`.

pip-audit asks osv.dev. A known vulnerability that is not in `ACCEPTED` ends it with exit code 1. Where the advisories
cannot be reached nothing is audited, which is said, and the exit code is 0: a network is no reason to refuse a change.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PINNED = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
URL = "https://api.osv.dev/v1/query"
ACCEPTED: dict[str, str] = {}  # advisories by id, each with the reason why it does not concern Outfold
SECONDS = 15  # to wait for an answer
_UNREACHABLE = re.compile(r"^requests\.exceptions\.(\w+)|vulnerability feed|(HTTPError): \d{3}", re.MULTILINE)
PASSED, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit, print the result, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default=URL, help="where to ask, by the protocol of OSV")
    parser.add_argument("files", type=Path, nargs="*", default=PINNED, help="requirements with pinned versions")
    chosen = parser.parse_args(arguments)
    done = subprocess.run(_command(chosen.url, chosen.files), capture_output=True, text=True, check=False)
    found = _read(done.stdout)
    if found is None:
        return _explain_failure(done.stderr)
    vulnerable = [one for one in found if one.get("vulns")]
    for one in vulnerable:
        for advisory in one["vulns"]:
            fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
            _print(f"{one['name']} {one['version']}: {advisory['id']}, fixed in {fixed}")
    skipped = [one for one in found if "skip_reason" in one]
    for one in skipped:
        _print(f"not audited: {one['name']} ({one['skip_reason']})")
    _print(f"audited {len(found) - len(skipped)} requirements, {len(vulnerable)} with known vulnerabilities")
    return FAILED if vulnerable else PASSED


def _command(url: str, files: Sequence[Path]) -> list[str]:
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--osv-url", url]
    command += ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    command += ["--timeout", str(SECONDS)]
    command += [part for name in ACCEPTED for part in ("--ignore-vuln", name)]
    return command + [part for file in files for part in ("--requirement", str(file))]


def _read(text: str) -> list[dict[str, Any]] | None:
    """Return the dependencies of a report, None without one."""
    try:
        found: list[dict[str, Any]] = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    return found


def _explain_failure(text: str) -> int:
    reason = _UNREACHABLE.search(text)
    if reason is None:
        sys.stderr.write(f"{text}\nerror: pip-audit failed\n")
        return FAILED
    _print(f"not audited: the advisories cannot be reached ({reason.group().rpartition('.')[2]})")
    return PASSED


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
