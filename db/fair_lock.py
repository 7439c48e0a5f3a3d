"""Lock whose waiters get it in the order in which they came.

SQLite's own waiters poll with growing pauses, so that a new one overtakes who has waited longest. Here the holder hands
the lock on to the first waiter; no other thread can take it in between.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, get_ident

from db.faults import QueueTimeoutError


class FairLock:
    """First come, first served, among the threads of one process; not reentrant."""

    def __init__(self) -> None:
        """Start free."""
        self._guard = Lock()
        self._queue: deque[_Turn] = deque()
        self._holder: int | None = None  # the thread's identifier

    @property
    def waiting(self) -> int:
        """Return the number of threads that wait."""
        return len(self._queue)

    @contextmanager
    def held(self, timeout_seconds: float) -> Iterator[None]:
        """Hold the lock for the block; a thread that waits blocks, so coroutines must hold it in a thread of their own.

        Raises:
            QueueTimeoutError: the turn did not come in time.
            RuntimeError: this thread holds it already, and would wait for itself.
        """
        self._acquire(timeout_seconds)
        try:
            yield
        finally:
            self._hand_on()

    def _acquire(self, timeout_seconds: float) -> None:
        with self._guard:
            if self._holder == get_ident():
                raise RuntimeError("this thread holds the lock already")
            if self._holder is None:
                self._holder = get_ident()
                return
            turn = _Turn()
            self._queue.append(turn)
        try:
            has_come = turn.came.acquire(timeout=timeout_seconds)
        except BaseException:  # Ctrl+C
            if not self._leave(turn):
                self._hand_on()
            raise
        if not has_come and self._leave(turn):
            raise QueueTimeoutError(f"no turn within {timeout_seconds:.0f} s")

    def _leave(self, turn: "_Turn") -> bool:
        """Leave the queue; False if the turn has come meanwhile."""
        with self._guard:
            if turn not in self._queue:
                return False
            self._queue.remove(turn)
            return True

    def _hand_on(self) -> None:
        with self._guard:
            self._holder = None
            if self._queue:
                turn = self._queue.popleft()
                self._holder = turn.thread
                turn.came.release()


class _Turn:
    """Place of a thread in the queue; `came` can be acquired once its turn has come."""

    def __init__(self) -> None:
        self.thread = get_ident()
        self.came = Lock()
        self.came.acquire()
