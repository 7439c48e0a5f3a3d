"""`serve`, as a service manager or a container runs it."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.e2e.conftest import ROOT, START_SECONDS, free_port


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/outfold/health", timeout=2):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def test_the_server_ends_with_the_command_that_is_told_to_end(tmp_path: Path) -> None:
    port = free_port()
    settings = {"OUTFOLD_HOME": str(tmp_path), "OUTFOLD_DEMO": "false", "OUTFOLD_EMBEDDED_WORKER": "false"}
    command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    served = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(url) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert answers(url)
        served.terminate()
        served.wait(timeout=20)
        assert not answers(url)
    finally:
        if answers(url):
            os.killpg(served.pid, signal.SIGKILL)
