"""Programs that some tests need and a machine may lack: the tests are skipped and counted, in CI they fail."""

from typing import NoReturn

import pytest

from app.services.programs import Program
from tools.provide import is_ci

_REASON = "no {name}; {cure}"


def lack(program: Program) -> NoReturn:
    """Skip this test for want of a program; in continuous integration, fail."""
    reason = _REASON.format(name=program.name, cure=program.cure)
    if is_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def summary(skipped: list[pytest.TestReport], programs: tuple[Program, ...]) -> list[str]:
    """Return a line a program whose tests were not run, with their number."""
    reasons = [report.longrepr[2] if isinstance(report.longrepr, tuple) else "" for report in skipped]
    lines = []
    for program in programs:
        reason = _REASON.format(name=program.name, cure=program.cure)
        count = sum(text.endswith(reason) for text in reasons)
        if count:
            lines.append(f"{count} {program.name} {'test was' if count == 1 else 'tests were'} not run: {reason}")
    return lines
