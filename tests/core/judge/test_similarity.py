import numpy as np

from core.judge.similarity import similarity_ranks


def test_ranks_are_a_permutation_also_of_equal_and_of_no_items() -> None:
    for points in (np.ones((100, 4)), np.zeros((3, 4)), np.random.default_rng(0).normal(size=(257, 8))):
        assert sorted(similarity_ranks(points).tolist()) == list(range(len(points)))


def test_like_lies_beside_like() -> None:
    rng = np.random.default_rng(0)
    cluster = rng.permutation(np.repeat(np.arange(8), 40))
    points = 5 * rng.normal(size=(8, 16))[cluster] + rng.normal(size=(320, 16))
    along = cluster[np.argsort(similarity_ranks(points))]
    assert (np.diff(along) != 0).sum() < 40  # in a random order about 280 neighbours differ


def test_many_dimensions_are_projected_and_like_stays_beside_like() -> None:
    rng = np.random.default_rng(0)
    cluster = rng.permutation(np.repeat(np.arange(8), 40))
    points = rng.normal(size=(8, 500))[cluster] + 0.2 * rng.normal(size=(320, 500))
    along = cluster[np.argsort(similarity_ranks(points))]
    assert (np.diff(along) != 0).sum() < 40


def test_the_order_is_the_same_each_time() -> None:
    points = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float16)
    np.testing.assert_array_equal(similarity_ranks(points), similarity_ranks(points))
