"""Time budget for work beside the training: checkpoints, and interim measurements of the network.

An epoch of few images takes a fraction of a second, a checkpoint of a large network as long or longer. So what stands
beside the training is done when it has become affordable, and not once an epoch whatever it costs.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Allowance:
    """Allows work as long as all of it took no more than a share of the time since the beginning; the first always."""

    def __init__(self, share: float) -> None:
        """Begin now, with nothing spent; `share` of 1 allows everything."""
        self._share = share
        self._began = time.monotonic()
        self._spent = 0.0

    @property
    def is_left(self) -> bool:
        """Return whether the budget allows more work now."""
        return self._spent <= self._share * (time.monotonic() - self._began)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count the time of what is done inside."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._spent += time.monotonic() - begun
