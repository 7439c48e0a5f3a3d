import numpy as np
from hypothesis import given, strategies as st

from core.data.reading import Empty
from core.judge.image_checks import Duplicates, check_images, outliers
from core.judge.similarity import likeness, similarity
from core.types import IntArray


def columns(labels: str, splits: str, files: str) -> tuple[list[str], list[str], list[str]]:
    """Return columns of images, a character each; a blank stands for none."""
    return [one.strip() for one in labels], [one.strip() for one in splits], list(files)


def pairs(*some: tuple[int, int]) -> IntArray:
    return np.array(some, np.int64).reshape(-1, 2)


def test_copies_and_look_alikes_are_grouped_with_their_problems() -> None:
    given_columns = columns("aabba", "rrrtr", "11234")
    found = check_images(*given_columns, alike=pairs((2, 3)), empty=[None] * 5, isolated=None)
    same = Duplicates((0, 1), same_file=True, contradicting=False, leaking=False)
    alike = Duplicates((2, 3), same_file=False, contradicting=False, leaking=True)
    assert set(found.duplicates) == {same, alike}
    assert found.leaks == (alike,)
    assert found.outliers is None


def test_groups_whose_labels_contradict_each_other_come_first() -> None:
    found = check_images(*columns("aaaab ", "      ", "111223"), alike=pairs((4, 5)), empty=[None] * 6, isolated=None)
    assert [group.rows for group in found.duplicates] == [(3, 4, 5), (0, 1, 2)]
    assert [group.contradicting for group in found.duplicates] == [True, False]


def test_an_unlabelled_image_contradicts_no_label() -> None:
    found = check_images(*columns("a ", "  ", "11"), alike=pairs(), empty=[None] * 2, isolated=None)
    assert not found.duplicates[0].contradicting


def test_images_without_content_are_neither_look_alikes_nor_outliers() -> None:
    empty = [None] * 40
    empty[3] = Empty.BLACK
    given_columns = columns("a" * 40, " " * 40, [chr(64 + number) for number in range(40)])  # type: ignore[arg-type]
    found = check_images(*given_columns, alike=pairs((3, 9)), empty=empty, isolated=[3, 4])
    assert found.duplicates == ()
    assert found.outliers == (4,)
    assert found.empty == ((3, Empty.BLACK),)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30))
def test_every_copy_is_in_exactly_one_group(files: list[str]) -> None:
    count = len(files)
    found = check_images(
        *columns("a" * count, "r" * count, "".join(files)), alike=pairs(), empty=[None] * count, isolated=None
    )
    grouped = [row for group in found.duplicates for row in group.rows]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {row for row in range(count) if files.count(files[row]) > 1}


def test_images_far_from_all_others_come_first() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 12)) * 0.2 + np.repeat(rng.normal(size=(4, 12)) * 3, 100, axis=0)
    points[[17, 230]] = rng.normal(size=(2, 12)) * 3
    near = likeness(points, similarity(points).neighbours)
    assert set(outliers(near)[:2].tolist()) == {17, 230}


def test_three_similar_outliers_are_all_found() -> None:
    near = np.random.default_rng(0).normal(0.8, 0.01, size=(200, 6))
    near[[3, 4, 5]] = [0.99, 0.98, 0.5, 0.5, 0.5, 0.5]
    assert set(outliers(near)[:3].tolist()) == {3, 4, 5}


def test_few_images_and_equal_images_have_no_outliers() -> None:
    assert not len(outliers(np.full((10, 6), 0.5)))
    assert not len(outliers(np.full((100, 6), 0.5)))


def test_an_image_with_few_neighbours_is_judged_by_those_few() -> None:
    near = np.repeat(np.linspace(0.78, 0.82, 60)[:, None], 6, axis=1)
    near[5] = [0.1, *[np.nan] * 5]
    assert outliers(near).tolist() == [5]
