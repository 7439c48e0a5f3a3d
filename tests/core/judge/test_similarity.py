from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from core.data.array_cache import prune
from core.judge import similarity as module
from core.judge.similarity import (
    COUNT,
    NEIGHBOURS,
    NONE,
    likeness,
    nearest_neighbours,
    neighbours_of,
    order_by_similarity,
    rows_around,
    similarity,
)
from core.types import FloatArray, IntArray


def brute_force(points: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the cosines of standardised points, (N, N), and who is nearest, (N, N - 1), nearest first."""
    exact = points.astype(np.float64)
    centred = (exact - exact.mean(axis=0)) / exact.std(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    cosines = centred @ centred.T
    np.fill_diagonal(cosines, -2)
    return cosines, np.argsort(-cosines, axis=1, kind="stable")[:, :-1]


def clustered(count: int, dimensions: int, seed: int = 0) -> tuple[FloatArray, IntArray]:
    rng = np.random.default_rng(seed)
    cluster = rng.permutation(np.repeat(np.arange(8), count // 8))
    points = 2 * rng.normal(size=(8, dimensions))[cluster] + rng.normal(size=(count, dimensions))
    return points.astype(np.float32), cluster


@given(st.integers(0, 120), st.integers(1, 12), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_ranks_are_a_permutation_and_no_image_is_its_own_neighbour(count: int, dimensions: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(count, dimensions)).round(1)
    found = similarity(points)
    assert sorted(found.ranks.tolist()) == list(range(count))
    assert found.neighbours.shape == (count, COUNT)
    for row, near in enumerate(found.neighbours.tolist()):
        others = [one for one in near if one != NONE]
        assert len(others) == len(set(others)) == max(0, min(COUNT, count - 1))
        assert row not in others


def test_equal_images_have_ranks_and_neighbours() -> None:
    for points in (np.ones((100, 4)), np.zeros((3, 4)), np.ones((1, 4))):
        found = similarity(points)
        assert sorted(found.ranks.tolist()) == list(range(len(points)))
        assert ((found.neighbours != NONE).sum(axis=1) == min(COUNT, len(points) - 1)).all()


@pytest.mark.parametrize("count", [8, 400, 2400])
def test_neighbours_equal_those_of_brute_force(count: int) -> None:
    points, _ = clustered(count, 40)
    cosines, nearest = brute_force(points)
    found = similarity(points).neighbours
    best = np.take_along_axis(cosines, nearest[:, :COUNT], axis=1)
    np.testing.assert_allclose(np.take_along_axis(cosines, found[:, : best.shape[1]], axis=1), best, atol=1e-6)


def test_neighbours_in_many_dimensions_nearly_always_equal_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(100, 600)) * np.exp(-np.arange(100) / 30)[:, None]
    points = (rng.normal(size=(1500, 100)) @ directions).astype(np.float16)  # a network's vary in few directions
    _, nearest = brute_force(points)
    found = similarity(points).neighbours
    shared = [len({*one} & {*other}) for one, other in zip(found.tolist(), nearest[:, :COUNT].tolist(), strict=True)]
    assert np.mean(shared) > 0.98 * COUNT


@pytest.mark.parametrize(("dimensions", "apart", "recall"), [(12, 1.0, 0.95), (64, 1.0, 0.95), (24, 0.0, 0.9)])
def test_nearly_all_neighbours_are_found_among_very_many_images(
    monkeypatch: pytest.MonkeyPatch, dimensions: int, apart: float, recall: float
) -> None:
    points, cluster = clustered(4000, dimensions)
    points -= (1 - apart) * np.stack([points[cluster == one].mean(axis=0) for one in range(8)])[cluster]
    _, nearest = brute_force(points)
    monkeypatch.setattr(module, "_EXHAUSTIVE", 1000)
    found = similarity(points)
    again = similarity(points)
    np.testing.assert_array_equal(found.neighbours, again.neighbours)
    np.testing.assert_array_equal(found.ranks, again.ranks)
    shared = [
        len({*one} & {*other})
        for one, other in zip(found.neighbours.tolist(), nearest[:, :COUNT].tolist(), strict=True)
    ]
    assert np.mean(shared) > recall * COUNT
    assert (found.neighbours != NONE).all()
    assert (found.neighbours != np.arange(4000)[:, None]).all()
    assert sorted(found.ranks.tolist()) == list(range(4000))


def test_equal_images_are_found_by_the_search_in_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXHAUSTIVE", 50)
    found = similarity(np.ones((300, 5)))
    assert sorted(found.ranks.tolist()) == list(range(300))
    assert (found.neighbours != NONE).all()


def test_the_chain_stays_within_clusters_with_a_limited_waiting_list(monkeypatch: pytest.MonkeyPatch) -> None:
    points, cluster = clustered(640, 16)
    monkeypatch.setattr(module, "_WAITING", 50)
    ranks = similarity(points).ranks
    assert sorted(ranks.tolist()) == list(range(640))
    assert (np.diff(cluster[np.argsort(ranks)]) != 0).sum() < 40


def test_an_image_and_its_copy_are_nearest_and_adjacent() -> None:
    points = np.random.default_rng(1).normal(size=(300, 24))
    points[200] = points[7]
    found = similarity(points)
    assert (found.neighbours[7, 0], found.neighbours[200, 0]) == (200, 7)
    assert abs(int(found.ranks[7] - found.ranks[200])) == 1


def test_images_of_a_cluster_are_adjacent() -> None:
    points, cluster = clustered(320, 16)
    along = cluster[np.argsort(similarity(points).ranks)]
    assert (np.diff(along) != 0).sum() < 20  # in a random order about 280 neighbours differ


def test_blocks_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _ = clustered(640, 12, seed=3)
    whole = similarity(points)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 640 * 4 * 50)
    monkeypatch.setattr(module, "_CHUNK", 64)
    parts = similarity(points)
    np.testing.assert_array_equal(whole.neighbours, parts.neighbours)
    np.testing.assert_array_equal(whole.ranks, parts.ranks)


def test_the_result_is_the_same_each_time() -> None:
    points = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float16)
    one, other = similarity(points), similarity(points)
    np.testing.assert_array_equal(one.ranks, other.ranks)
    np.testing.assert_array_equal(one.neighbours, other.neighbours)


def test_a_round_of_the_same_embeddings_searches_no_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points, _ = clustered(64, 8)
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    ranks = order_by_similarity(first, points, tmp_path / "cache")
    searched = []
    search = module.similarity
    monkeypatch.setattr(module, "similarity", lambda embeddings: searched.append(len(embeddings)) or search(embeddings))
    np.testing.assert_array_equal(order_by_similarity(second, points.copy(), tmp_path / "cache"), ranks)
    assert searched == []
    assert (first / NEIGHBOURS).read_bytes() == (second / NEIGHBOURS).read_bytes()
    changed = points.copy()
    changed[3, 0] += 1
    for embeddings in (changed, points[:-1], points.astype(np.float16)):
        kept = order_by_similarity(other, embeddings, tmp_path / "cache")
        np.testing.assert_array_equal(kept, search(embeddings).ranks)
    assert searched == [64, 63, 64]


def test_cached_neighbours_are_removed_with_the_cache_and_searched_again(tmp_path: Path) -> None:
    points, _ = clustered(64, 8)
    ranks = order_by_similarity(tmp_path / "first", points, tmp_path / "cache")
    assert prune(tmp_path / "cache", 0) > 0
    assert not list((tmp_path / "cache").glob("*.npy"))
    np.testing.assert_array_equal(order_by_similarity(tmp_path / "second", points, tmp_path / "cache"), ranks)


def test_neighbours_are_stored_and_read_row_by_row(tmp_path: Path) -> None:
    points, _ = clustered(64, 8)
    ranks = order_by_similarity(tmp_path, points)
    found = similarity(points)
    np.testing.assert_array_equal(ranks, found.ranks)
    assert neighbours_of(tmp_path, 5) == found.neighbours[5].tolist()
    assert neighbours_of(tmp_path / "another round", 5) == []
    order_by_similarity(tmp_path, points[:3])
    assert sorted(neighbours_of(tmp_path, 1)) == [0, 2]


def test_the_neighbours_of_one_image_are_found_alone(tmp_path: Path) -> None:
    points, _ = clustered(64, 8)
    np.save(tmp_path / "embeddings.npy", points)
    found = similarity(points).neighbours
    for row in (0, 5, len(points) - 1):
        assert nearest_neighbours(tmp_path / "embeddings.npy", row) == found[row].tolist()
    np.save(tmp_path / "few.npy", points[:3])
    assert sorted(nearest_neighbours(tmp_path / "few.npy", 1)) == [0, 2]


def test_likeness_is_the_cosine_to_each_neighbour() -> None:
    points, _ = clustered(96, 8)
    neighbours = similarity(points).neighbours
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    expected = np.einsum("nd,nkd->nk", units, units[neighbours])
    np.testing.assert_allclose(likeness(points, neighbours), expected, atol=1e-5)
    few = likeness(points[:2], similarity(points[:2]).neighbours)
    assert np.isfinite(few).sum() == 2


def test_images_that_are_odd_in_the_same_way_are_still_outliers() -> None:
    rng = np.random.default_rng(0)
    points = np.abs(rng.normal(size=(300, 32)) * 0.3 + 1)
    points[:3] = np.abs(rng.normal(size=(3, 32)))
    mean = np.nanmean(likeness(points, similarity(points).neighbours), axis=1)
    assert set(np.argsort(mean)[:3].tolist()) == {0, 1, 2}


def test_rows_around_follows_neighbours_in_both_directions_nearest_first(tmp_path: Path) -> None:
    neighbours = np.array([[1, 2], [0, 2], [1, 0], [2, NONE], [3, NONE], [NONE, NONE]], np.int32)
    np.save(tmp_path / NEIGHBOURS, neighbours)
    assert [rows_around(tmp_path, 0, steps).tolist() for steps in range(4)] == [[], [1, 2], [1, 2, 3], [1, 2, 3, 4]]
    assert rows_around(tmp_path, 5, 3).tolist() == []
    assert rows_around(tmp_path / "another round", 0, 3).tolist() == []


@given(st.integers(2, 60), st.integers(0, 9), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_rows_around_is_symmetric(count: int, seed: int, steps: int) -> None:
    points = np.random.default_rng(seed).normal(size=(count, 4))
    with TemporaryDirectory() as folder:
        order_by_similarity(Path(folder), points)
        around = [set(rows_around(Path(folder), row, steps).tolist()) for row in range(count)]
    for row, others in enumerate(around):
        assert row not in others
        assert all(row in around[other] for other in others)
