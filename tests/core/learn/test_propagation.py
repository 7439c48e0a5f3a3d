import numpy as np
import pytest
import torch

from core.learn.propagation import choose, feature_space, fit_head, spread_labels, total_variation
from core.types import NO_LABEL, FloatArray, IntArray, RoundCancelledError


def crescents(count: int = 400, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """Return two interlocked half circles, which no line separates, in six dimensions, and the circle of each point."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % 2
    angle = rng.uniform(0, np.pi, count)
    x = np.where(label == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(label == 0, np.sin(angle), 0.5 - np.sin(angle))
    plane = np.stack((x, y), axis=1) + rng.normal(0, 0.05, (count, 2))
    waves = [np.cos(plane @ rng.normal(size=2) * 2 + phase) for phase in range(6)]
    return np.stack(waves, axis=1).astype(np.float16), label


def clusters(sizes: list[int], seed: int = 0) -> tuple[FloatArray, IntArray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    centres = rng.normal(0, 1.2, (len(sizes), 12))
    return (centres[labels] + rng.normal(size=(len(labels), 12))).astype(np.float16), labels


def shown(labels: IntArray, rows: list[int]) -> IntArray:
    given = np.full(len(labels), NO_LABEL, np.int64)
    given[rows] = labels[rows]
    return given


def some_of_each(labels: IntArray, count: int) -> list[int]:
    return [row for label in np.unique(labels) for row in np.flatnonzero(labels == label)[:count].tolist()]


def test_labels_spread_along_connecting_points() -> None:
    points, labels = crescents()
    spread = spread_labels(feature_space(points), shown(labels, some_of_each(labels, 6)), 2)
    assert (spread.argmax(axis=1) == labels).mean() > 0.9


def test_spread_labels_are_probabilities_and_given_labels_stay() -> None:
    points, labels = clusters([60, 60, 60])
    rows = some_of_each(labels, 2)
    spread = spread_labels(feature_space(points), shown(labels, rows), 3)
    np.testing.assert_allclose(spread.sum(axis=1), 1, atol=1e-4)
    assert spread.min() >= 0
    assert (spread[rows, labels[rows]] == 1).all()


def test_a_regression_on_spread_labels_beats_one_on_few_labels() -> None:
    gains = []
    for seed in range(5):
        points, labels = clusters([80] * 4, seed)
        space, given = feature_space(points), shown(labels, some_of_each(labels, 1))
        features = torch.from_numpy(points.astype(np.float32))
        few = np.eye(4, dtype=np.float32)[np.maximum(given, 0)] * (given != NO_LABEL)[:, None]
        right = [
            (fit_head(space, targets)(features).argmax(dim=1).numpy() == labels).mean()
            for targets in (few, spread_labels(space, given, 4))
        ]
        gains.append(right[1] - right[0])
    assert np.mean(gains) > 0.03


def test_renaming_classes_changes_nothing() -> None:
    points, labels = clusters([50, 50, 50])
    space, given = feature_space(points), shown(labels, some_of_each(labels, 2))
    order = np.array([2, 0, 1])
    renamed = np.where(given == NO_LABEL, NO_LABEL, order[np.maximum(given, 0)])
    np.testing.assert_allclose(spread_labels(space, renamed, 3)[:, order], spread_labels(space, given, 3), atol=1e-3)


def test_class_shares_of_the_labels_are_kept() -> None:
    """The mean of the probabilities is the classes' share of the labels."""
    points, labels = clusters([120, 40])
    rows = [*np.flatnonzero(labels == 0)[:9].tolist(), *np.flatnonzero(labels == 1)[:3].tolist()]
    spread = spread_labels(feature_space(points), shown(labels, rows), 2)
    assert spread.mean(axis=0)[0] == pytest.approx(0.75, abs=0.03)


def test_balanced_labels_do_not_balance_predictions_of_unbalanced_images() -> None:
    points, labels = clusters([300, 20, 20])
    space, given = feature_space(points), shown(labels, some_of_each(labels, 5))
    spread = spread_labels(space, given, 3)
    true = np.bincount(labels) / len(labels)
    found = spread.mean(axis=0)
    assert total_variation(found, true) < 0.2
    assert total_variation(found, np.full(3, 1 / 3)) > 0.3  # the shares of the labels
    assert (spread.argmax(axis=1) == labels).mean() > 0.9
    assert total_variation(true, true) == 0
    assert total_variation(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1


def test_a_class_without_labels_is_left_out() -> None:
    points, labels = clusters([50, 50, 50])
    spread = spread_labels(feature_space(points), shown(labels, some_of_each(labels[:100], 3)), 3)
    assert (spread.argmax(axis=1) != 2).all()


def test_spreading_without_labels_is_refused_and_stops_on_cancel() -> None:
    points, labels = clusters([20, 20])
    space = feature_space(points)
    with pytest.raises(ValueError, match="no image is labelled"):
        spread_labels(space, shown(labels, []), 2)
    with pytest.raises(RoundCancelledError):
        spread_labels(space, shown(labels, [0, 39]), 2, lambda: True)


def test_the_learner_that_is_better_on_held_out_labels_is_chosen() -> None:
    labels = np.arange(40) % 2
    right, wrong = np.eye(2)[labels], np.eye(2)[1 - labels]
    assert not choose(right, wrong, labels).spread
    chosen = choose(wrong, right, labels)
    assert chosen.spread
    assert (chosen.held_out, chosen.probe_right, chosen.spread_right) == (40, 0.0, 1.0)


def test_labels_are_spread_without_held_out_labels() -> None:
    chosen = choose(np.zeros((0, 2)), np.zeros((0, 2)), np.empty(0, np.int64))
    assert chosen.spread
    assert chosen.probe_right is None
