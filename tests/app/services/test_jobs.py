"""A job's lock between real processes."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.services.app_context import AppContext
from app.services.jobs import is_job_running, job_lock
from app.worker.children import child_environment
from core.types import RoundCancelledError

HOLD = """
import sys
from app.services.jobs import job_lock
from app.services.app_context import app_context
with job_lock(app_context(), "import", 7):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_holds(app_context: AppContext) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(app_context.settings),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_lock_is_held_until_the_block_ends_and_leaves_no_file(app_context: AppContext) -> None:
    assert not is_job_running(app_context, "import", 7)
    with job_lock(app_context, "import", 7):
        assert is_job_running(app_context, "import", 7)
        assert not is_job_running(app_context, "import", 8)
        assert not is_job_running(app_context, "export", 7)
    assert not is_job_running(app_context, "import", 7)
    assert list((app_context.files / "jobs").iterdir()) == []


def test_a_killed_process_releases_its_locks(app_context: AppContext) -> None:
    with another_process_holds(app_context) as process:
        assert is_job_running(app_context, "import", 7)
        process.kill()
        process.wait()
        assert not is_job_running(app_context, "import", 7)
    with job_lock(app_context, "import", 7):
        assert is_job_running(app_context, "import", 7)


def test_waiting_for_a_lock_can_be_stopped_and_succeeds_once_it_is_released(app_context: AppContext) -> None:
    with another_process_holds(app_context) as process:
        with pytest.raises(RoundCancelledError), job_lock(app_context, "import", 7, should_stop=lambda: True):
            pass
        taken = threading.Event()

        def wait() -> None:
            with job_lock(app_context, "import", 7):
                taken.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not taken.is_set()
        process.kill()
        waiting.join(30)
    assert taken.is_set()


def test_only_one_of_many_waiters_holds_the_lock(app_context: AppContext) -> None:
    inside, most, wished = [0], [0], 8

    def work() -> None:
        for _ in range(20):
            with job_lock(app_context, "export", 1, should_stop=lambda: False):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(wished)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1]
