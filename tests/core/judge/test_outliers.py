import numpy as np

from core.judge.outliers import outliers
from core.judge.similarity import likeness, similarity


def test_images_far_from_all_others_come_first() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 12)) * 0.2 + np.repeat(rng.normal(size=(4, 12)) * 3, 100, axis=0)
    points[[17, 230]] = rng.normal(size=(2, 12)) * 3
    near = likeness(points, similarity(points).neighbours)
    assert set(outliers(near)[:2].tolist()) == {17, 230}


def test_three_odd_images_of_a_kind_do_not_hide_one_another() -> None:
    near = np.random.default_rng(0).normal(0.8, 0.01, size=(200, 6))
    near[[3, 4, 5]] = [0.99, 0.98, 0.5, 0.5, 0.5, 0.5]
    assert set(outliers(near)[:3].tolist()) == {3, 4, 5}


def test_few_images_and_equal_images_have_no_outliers() -> None:
    assert not len(outliers(np.full((10, 6), 0.5)))
    assert not len(outliers(np.full((100, 6), 0.5)))


def test_an_image_with_few_neighbours_is_judged_by_those_it_has() -> None:
    near = np.repeat(np.linspace(0.78, 0.82, 60)[:, None], 6, axis=1)
    near[5] = [0.1, *[np.nan] * 5]
    assert outliers(near).tolist() == [5]
