import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.judge.balanced_thresholds import balanced_thresholds, taken


def counted(classes: np.ndarray, levels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (classes, levels), 1)
    return counts


def test_by_hand() -> None:
    counts = np.array(
        [
            [0, 2, 2, 4, 2],  # half of ten: four have .75 and would be six with those above
            [0, 5, 0, 0, 0],  # all alike: taken whole
            [0, 0, 0, 0, 0],  # never predicted
            [1, 1, 0, 0, 2],  # half of four
        ]
    )
    np.testing.assert_allclose(balanced_thresholds(counts, 0.5), [1.0, 0.25, 2.0, 0.5])
    np.testing.assert_array_equal(taken(counts, balanced_thresholds(counts, 0.5)), [2, 5, 0, 2])
    np.testing.assert_allclose(balanced_thresholds(counts, 0.5, 0.5), [1.0, 0.5, 2.0, 0.5])
    np.testing.assert_array_equal(taken(counts, balanced_thresholds(counts, 0.5, 0.5)), [2, 0, 0, 2])
    np.testing.assert_array_equal(taken(counts, balanced_thresholds(counts, 1.0)), [10, 5, 0, 4])


def test_a_rare_class_the_network_is_never_sure_of_is_not_starved() -> None:
    """One threshold that takes half of all takes nothing of it; a threshold for each class takes half of it too."""
    rng = np.random.default_rng(0)
    levels = np.concatenate([rng.integers(800, 1000, 9_900), rng.integers(300, 600, 100)])
    counts = counted(np.repeat([0, 1], [9_900, 100]), levels, (2, 1_001))
    one = balanced_thresholds(counts.sum(axis=0)[None], 0.5)
    assert taken(counts, np.repeat(one, 2))[1] == 0
    shares = taken(counts, balanced_thresholds(counts, 0.5)) / counts.sum(axis=1)
    np.testing.assert_allclose(shares, 0.5, atol=0.02)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.05, 1.0),
    least=st.sampled_from([0.0, 0.3, 0.9]),
    size=st.tuples(st.integers(1, 6), st.sampled_from([2, 11, 256])),
)
def test_what_holds_for_any_counts(seed: int, share: float, least: float, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, size) * (rng.random(size) < 0.4)
    total = counts.sum(axis=1)
    thresholds = balanced_thresholds(counts, share, least)
    chosen = taken(counts, thresholds)
    levels = np.arange(size[1]) / (size[1] - 1)
    surest = np.where(total > 0, levels[size[1] - 1 - (counts[:, ::-1] > 0).argmax(axis=1)], 0)
    at_surest = np.take_along_axis(counts, np.rint(surest * (size[1] - 1)).astype(int)[:, None], axis=1)[:, 0]
    assert (thresholds >= least - 1e-9).all()
    assert (chosen <= np.maximum(share * total + 1e-9, at_surest)).all()
    reachable = (total > 0) & (surest >= least)
    assert (chosen[reachable] > 0).all()
    assert (chosen[~reachable] == 0).all()
    more = taken(counts, balanced_thresholds(counts, min(1.0, share + 0.2), least))
    assert (more >= chosen).all()
    order = rng.permutation(size[0])
    np.testing.assert_allclose(balanced_thresholds(counts[order], share, least), thresholds[order])


def test_everything_sure_enough_is_taken_by_the_whole_share() -> None:
    counts = np.ones((3, 11), np.int64)
    assert taken(counts, balanced_thresholds(counts, 1.0, 0.5)).tolist() == [6, 6, 6]
    assert balanced_thresholds(counts, 1.0)[0] == pytest.approx(0.0)
