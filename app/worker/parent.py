"""Processes of ours: what they are started with, and how they end with the one that started them, however it ended."""

import json
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from app.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]


def watch_parent(on_line: Callable[[str], None], on_end: Callable[[], None], grace_seconds: float = 0.0) -> None:
    """Read lines from the parent in a thread; at the end of file, which is the parent's end, stop this process.

    `on_end` is told first; `grace_seconds` later the process is killed with its whole group. Plain `os.read`: a thread
    that sits in `sys.stdin.read()` aborts the interpreter when the process ends by itself.
    """

    def watch() -> None:
        waiting = b""
        while data := os.read(0, 65536):
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                on_line(line.decode())
        on_end()
        time.sleep(grace_seconds)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(3)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def open_question() -> tuple[dict[str, Any], IO[str]]:
    """Return the one question that this child was started with, a line of JSON, and where its answers are written.

    What libraries print goes to standard error, so that it cannot look like an answer. See `app.services.asking`.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    watch_parent(asked.put, on_end=lambda: None)
    return json.loads(asked.get()), answers


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that give a child exactly these settings and this code, whatever its folder."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, **settings.as_environment(), "PYTHONPATH": path}
