import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.data.contents import Empty
from core.judge.image_checks import Duplicates, ImageColumns, check_images
from core.types import IntArray


def columns(labels: str, splits: str, files: str) -> ImageColumns:
    """Return columns of images, a character each; a blank stands for none."""
    return ImageColumns([one.strip() for one in labels], [one.strip() for one in splits], list(files))


def pairs(*some: tuple[int, int]) -> IntArray:
    return np.array(some, np.int64).reshape(-1, 2)


def test_copies_and_look_alikes_are_grouped_with_what_is_wrong_with_them() -> None:
    given_columns = columns("aabba", "rrrtr", "11234")
    found = check_images(given_columns, pairs((2, 3)), [None] * 5, None)
    same = Duplicates((0, 1), same_file=True, contradicting=False, leaking=False)
    alike = Duplicates((2, 3), same_file=False, contradicting=False, leaking=True)
    assert set(found.duplicates) == {same, alike}
    assert found.leaks == (alike,)
    assert found.outliers is None


def test_groups_whose_labels_contradict_each_other_come_first() -> None:
    found = check_images(columns("aaaab ", "      ", "111223"), pairs((4, 5)), [None] * 6, None)
    assert [group.rows for group in found.duplicates] == [(3, 4, 5), (0, 1, 2)]
    assert [group.contradicting for group in found.duplicates] == [True, False]


def test_an_image_without_label_contradicts_none() -> None:
    found = check_images(columns("a ", "  ", "11"), pairs(), [None] * 2, None)
    assert not found.duplicates[0].contradicting


def test_images_without_content_are_no_look_alikes_and_no_outliers() -> None:
    empty = [None] * 40
    empty[3] = Empty.BLACK
    given_columns = columns("a" * 40, " " * 40, [chr(64 + number) for number in range(40)])  # type: ignore[arg-type]
    found = check_images(given_columns, pairs((3, 9)), empty, [3, 4])
    assert found.duplicates == ()
    assert found.outliers == (4,)
    assert found.empty == ((3, Empty.BLACK),)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30))
def test_every_copy_stands_in_exactly_one_group(files: list[str]) -> None:
    count = len(files)
    found = check_images(columns("a" * count, "r" * count, "".join(files)), pairs(), [None] * count, None)
    grouped = [row for group in found.duplicates for row in group.rows]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {row for row in range(count) if files.count(files[row]) > 1}
