import numpy as np
import pytest
from hypothesis import given, strategies as st

from core.data.drawing import draw_rows

shares = st.floats(0.01, 0.9)
seeds = st.integers(0, 2**31)


@given(st.lists(st.integers(0, 8), min_size=2, max_size=60).filter(lambda groups: len(set(groups)) > 1), shares, seeds)
def test_groups_stay_whole_and_neither_side_is_empty(groups: list[int], share: float, seed: int) -> None:
    numbers = np.array(groups)
    rows = draw_rows(numbers, share, seed)
    rest = np.setdiff1d(np.arange(len(numbers)), rows)
    assert len(rows)
    assert len(rest)
    assert not set(numbers[rows]) & set(numbers[rest])


@given(st.integers(20, 400), shares, seeds)
def test_single_rows_are_drawn_to_exactly_the_share(count: int, share: float, seed: int) -> None:
    rows = draw_rows(np.arange(count), share, seed)
    assert abs(len(rows) - share * count) <= 1
    np.testing.assert_array_equal(rows, draw_rows(np.arange(count), share, seed))


@given(st.integers(2, 60), st.integers(1, 9), shares, seeds, st.integers(0, 60))
def test_at_least_the_minimum_is_drawn_if_there_are_enough(
    count: int, size: int, share: float, seed: int, least: int
) -> None:
    groups = np.arange(count * size) // size
    rows = draw_rows(groups, share, seed, least)
    assert len(rows) >= min(least, (count - 1) * size) or len(rows) == len(draw_rows(groups, share, seed))
    assert len(rows) < count * size


def test_group_names_do_not_matter() -> None:
    groups = np.arange(50) // 5
    np.testing.assert_array_equal(draw_rows(groups, 0.3, 4), draw_rows(groups * 7 + 3, 0.3, 4))


def test_a_single_group_is_refused() -> None:
    with pytest.raises(ValueError, match="two groups or more"):
        draw_rows(np.zeros(9, np.int64), 0.2, 0)
