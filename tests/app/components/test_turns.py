"""Page scripts take turns, and one that runs for long keeps others waiting no longer than its turn."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest

from app.components.turns import Turns


def test_no_more_scripts_run_at_once_than_allowed() -> None:
    turns, lock = Turns(at_once=2, longest_seconds=60.0), Lock()
    running, most = 0, 0
    pair = Barrier(2)  # lets each pair end together, so that two do run at once

    def script(_: int) -> None:
        nonlocal running, most
        with turns.take():
            with lock:
                running += 1
                most = max(most, running)
            pair.wait(10)
            with lock:
                running -= 1

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(script, range(20)))
    assert most == 2


def test_a_script_that_fails_gives_its_turn_back() -> None:
    turns = Turns(at_once=1, longest_seconds=60.0)
    with pytest.raises(ValueError, match="fails"), turns.take():
        raise ValueError("fails")
    with turns.take():
        pass


def test_a_script_beyond_the_longest_turn_lets_others_begin() -> None:
    turns = Turns(at_once=1, longest_seconds=0.01)

    def script() -> str:
        with turns.take():
            return "done"

    with ThreadPoolExecutor(1) as pool, turns.take():
        assert pool.submit(script).result(10) == "done"
