"""Priority of a job's process below that of the pages, as a process and as a session of its own."""

import os
import subprocess
import sys
import threading

import pytest

from app.services.app_context import AppContext
from app.worker import job_process
from core.types import KilledError

PRIORITIES = """
import os
from pathlib import Path
from app.worker.job_process import lower_priority

def session_priority():
    # Without the file, or with an empty one (a control group of its own, as in containers), a session has no priority.
    group = Path("/proc/self/autogroup")
    return (group.read_text().split() if group.exists() else [])[-1:]

before = session_priority()
lower_priority(7)
print(os.nice(0), *before, *session_priority())
"""


@pytest.mark.parametrize("own_session", [True, False])
def test_a_job_has_a_lower_priority_as_a_process_and_as_a_session_leader(*, own_session: bool) -> None:
    asked = [sys.executable, "-c", PRIORITIES]
    done = subprocess.run(asked, start_new_session=own_session, capture_output=True, text=True, check=True)
    process, *session = done.stdout.split()
    assert int(process) == min(os.nice(0) + 7, 19)
    if session:
        before, after = session
        assert after == ("7" if own_session else before)


def test_a_killed_training_process_counts_as_a_killed_job(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_one(_app_context: AppContext, _should_stop: object) -> None:
        raise KilledError.of_training()

    monkeypatch.setattr(job_process, "COMMANDS", {"fold": lose_one})
    answer = job_process.run_command(app_context, {"command": "fold", "arguments": {}}, threading.Event())
    assert answer.killed
    assert not answer.stopped
    assert "memory ran out" in (answer.error or "")
