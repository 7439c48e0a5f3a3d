"""A job's process gives way to the pages, as a process and as a session, and to nobody else's session."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRIORITIES = """
import os
from pathlib import Path
from app.worker.job_process import lower_priority
lower_priority(7)
group = Path("/proc/self/autogroup")
print(os.nice(0), group.read_text().split()[-1] if group.exists() else "none")
"""


@pytest.mark.parametrize("own_session", [True, False])
def test_a_job_gives_way_as_a_process_and_where_it_leads_one_as_a_session(*, own_session: bool) -> None:
    asked = [sys.executable, "-c", PRIORITIES]
    done = subprocess.run(asked, start_new_session=own_session, capture_output=True, text=True, check=True)
    process, session = done.stdout.split()
    assert int(process) == os.nice(0) + 7
    group = Path("/proc/self/autogroup")
    shared = group.read_text().split()[-1] if group.exists() else "none"
    assert session == ("7" if own_session and group.exists() else shared)
