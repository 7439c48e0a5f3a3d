"""Writers of one process take turns in the order in which they came, and readers wait for nobody."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from sqlalchemy import text

from core.types import StorageError
from db import engine
from db.engine import Database
from db.fair_lock import FairLock
from db.faults import QueueTimeoutError

MANY = 12
SECONDS = 60.0


def until(looks_so: Callable[[], bool]) -> None:
    """Wait until what was asked for elsewhere has happened."""
    end = monotonic() + SECONDS
    nothing = Event()
    while not looks_so():
        assert monotonic() < end
        nothing.wait(0.001)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Return a database of one empty table."""
    made = Database(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    with made.write() as session:
        session.execute(text("CREATE TABLE came (name TEXT)"))
    return made


def write(database: Database, name: str) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO came VALUES (:name)"), {"name": name})


def written(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(text("SELECT name FROM came ORDER BY rowid")))


def test_writers_are_served_in_order_of_arrival(database: Database) -> None:
    names = [f"{place:02}" for place in range(MANY)]
    with ThreadPoolExecutor(MANY) as pool:
        asked: list[Future[None]] = []
        with database.write() as session:
            session.execute(text("INSERT INTO came VALUES ('first')"))
            for place, name in enumerate(names):
                asked.append(pool.submit(write, database, name))
                until(lambda place=place: database.writers.waiting == place + 1)  # type: ignore[misc]
            assert written(database) == []  # readers do not wait
        for one in asked:
            one.result(SECONDS)
    assert written(database) == ["first", *names]


def test_two_objects_over_one_database_share_one_queue(database: Database) -> None:
    other = Database(database.url)
    with ThreadPoolExecutor(1) as pool:
        with database.write():
            asked = pool.submit(write, other, "ada")
            until(lambda: database.writers.waiting == 1)
        asked.result(SECONDS)
    assert written(database) == ["ada"]
    other.close()


def test_a_nested_writer_is_refused_immediately_and_the_outer_one_can_continue(database: Database) -> None:
    with database.write() as session:
        with pytest.raises(RuntimeError, match="already"), database.write():
            pass
        session.execute(text("INSERT INTO came VALUES ('ada')"))
    write(database, "bob")
    assert written(database) == ["ada", "bob"]


def test_a_failed_writer_passes_its_turn_on(database: Database) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked: list[Future[None]] = []

        def fail() -> None:
            with database.write() as session:
                session.execute(text("INSERT INTO came VALUES ('ada')"))
                asked.append(pool.submit(write, database, "bob"))
                until(lambda: database.writers.waiting == 1)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        asked[0].result(SECONDS)
    assert written(database) == ["bob"]


def test_a_waiter_that_times_out_leaves_the_queue(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 50)
    with ThreadPoolExecutor(1) as pool, database.write():
        with pytest.raises(StorageError, match=r"rows\.sqlite: others of this process write for too long; wait"):
            pool.submit(write, database, "ada").result(SECONDS)
        assert database.writers.waiting == 0
    write(database, "bob")
    assert written(database) == ["bob"]


def test_coroutines_writing_in_their_own_threads_lose_nothing(database: Database) -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*(asyncio.to_thread(write, database, str(place)) for place in range(MANY)))

    with ThreadPoolExecutor(1) as pool:  # a browser test of the same process has a loop of its own in this thread
        pool.submit(asyncio.run, all_at_once()).result(SECONDS)
    assert sorted(written(database), key=int) == [str(place) for place in range(MANY)]


def test_a_turn_granted_at_the_moment_of_the_timeout_is_passed_on() -> None:
    """Waiters leave at random while turns are handed on: the lock is free in the end, and never held by two."""
    lock, inside = FairLock(), 0

    def take(place: int) -> bool:
        nonlocal inside
        try:
            with lock.held(0.0005 * (place % 4)):
                inside += 1
                assert inside == 1
                inside -= 1
        except QueueTimeoutError:
            return False
        return True

    with ThreadPoolExecutor(MANY) as pool:
        taken = list(pool.map(take, range(200 * MANY)))
    assert any(taken)
    assert lock.waiting == 0
    with lock.held(0):
        pass
