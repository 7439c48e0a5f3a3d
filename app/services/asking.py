"""One question to a child interpreter that may import what the web process must not, torch first of all.

The question is a line of JSON on the child's input, each answer one on its output. The child ends with the process
that asked, because its input ends then.
"""

import json
from contextlib import suppress
from threading import Timer
from typing import Any

from core.data.children import start


def answers_of(module: str, question: object, longest_seconds: float) -> list[dict[str, Any]]:
    """Return the answers of a module run as a program; fewer where it ended early or was killed for taking too long."""
    process = start(module, ())
    assert process.stdin is not None  # started with pipes
    assert process.stdout is not None
    latest = Timer(longest_seconds, process.kill)
    latest.start()
    try:
        with suppress(BrokenPipeError):  # it died at once; its answer is missing then
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()  # and not closed: that would end it
        return [json.loads(line) for line in process.stdout]
    finally:
        latest.cancel()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()
