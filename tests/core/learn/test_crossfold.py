import time

import pytest

from core.learn.crossfold import Allowance


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_the_first_use_is_allowed_and_the_next_once_it_is_within_budget(clock: Clock) -> None:
    allowance = Allowance(0.1)
    assert allowance.is_left
    with allowance.spending():
        clock.now += 2
    assert not allowance.is_left
    clock.now += 17.9
    assert not allowance.is_left
    clock.now += 0.2
    assert allowance.is_left


def test_failed_work_also_uses_up_the_allowance(clock: Clock) -> None:
    allowance = Allowance(0.5)

    def fill_the_disk() -> None:
        with allowance.spending():
            clock.now += 1
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill_the_disk()
    assert not allowance.is_left


def test_a_share_of_one_allows_everything(clock: Clock) -> None:
    allowance = Allowance(1.0)
    for _ in range(5):
        with allowance.spending():
            clock.now += 3
        assert allowance.is_left
