"""Turns of page scripts: few of them run at once, so that a verdict's answer never competes with twenty.

Scripts share two things with the routes that answer verdicts: the processors and Python's lock. Twenty pages opened in
the same second take as long one after the other as side by side, but side by side each answer waits for all of them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

AT_ONCE = 2
LONGEST_SECONDS = 2.0  # afterwards a script goes on, and no longer keeps others from beginning


class Turns:
    """Number of scripts that may run at once; those that have run for long no longer count."""

    def __init__(self, at_once: int = AT_ONCE, longest_seconds: float = LONGEST_SECONDS) -> None:
        """Begin with none running."""
        self._at_once = at_once
        self._longest = longest_seconds
        self._ends: dict[object, float] = {}  # of those running: when they no longer count
        self._changed = Condition()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a turn, and keep it while the block runs."""
        script = object()
        with self._changed:
            while len(counted := [end for end in self._ends.values() if end > time.monotonic()]) >= self._at_once:
                self._changed.wait(min(counted) - time.monotonic())
            self._ends[script] = time.monotonic() + self._longest
        try:
            yield
        finally:
            with self._changed:
                del self._ends[script]
                self._changed.notify()


page_turns = Turns()
