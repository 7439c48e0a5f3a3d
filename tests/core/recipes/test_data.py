from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data.snapshot import Snapshot, SnapshotMasks
from core.recipes.data import RecipeData, read_list, rows_of
from core.types import NO_LABEL, DatasetError
from tools.fixtures.labels import balanced_draw


def snapshot(labels: list[int], *, masks: bool = False) -> Snapshot:
    count = len(labels)
    names = ["" if label == NO_LABEL else f"{row:032x}" for row, label in enumerate(labels)]
    return Snapshot(
        sample_ids=np.arange(count) + 1,
        paths=[f"/voc/JPEGImages/2007_{row:06}.jpg" for row in range(count)],
        labels=np.array(labels, np.int32),
        groups=[""] * count,
        content_hashes=[str(row) for row in range(count)],
        classes=["a", "b"],
        masks=SnapshotMasks(names, [""] * count, np.full((count, 2), 8, np.int32)) if masks else None,
    )


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize("masks", [False, True])
def test_each_sample_has_one_role_and_evaluation_samples_have_labels(*, masks: bool) -> None:
    six = snapshot([0, 1, NO_LABEL, 0, 1, NO_LABEL], masks=masks)
    data = RecipeData(snapshot=six, labelled=rows(0, 1), unlabelled=rows(2, 3), validation=rows(4))
    assert data.test.tolist() == []
    with pytest.raises(DatasetError, match=r"2007_000001.jpg has two roles"):
        RecipeData(snapshot=six, labelled=rows(0, 1), unlabelled=rows(2, 1))
    with pytest.raises(DatasetError, match=r"2007_000005.jpg has no label and is one of the test images \(1 such\)"):
        RecipeData(snapshot=six, labelled=rows(0), unlabelled=rows(), test=rows(1, 5))
    with pytest.raises(DatasetError, match="row 6 is outside of the 6"):
        RecipeData(snapshot=six, labelled=rows(0), unlabelled=rows(6))
    with pytest.raises(DatasetError, match="no image is labelled"):
        RecipeData(snapshot=six, labelled=rows(), unlabelled=rows(1))


@pytest.mark.parametrize("part", ["labelled", "unlabelled", "validation"])
def test_no_recipe_trains_on_protected_images_but_they_can_be_its_test_set(part: str) -> None:
    four = snapshot([0, 1, 0, 1])
    protected = replace(four, groups=["", "", "g", "g"], protected=np.array([False, False, True, False]))
    parts = {"labelled": rows(0), "unlabelled": rows(1), "test": rows(2, 3)}
    RecipeData(snapshot=protected, **parts)
    taught = {**parts, "test": rows(), part: rows(3) if part != "labelled" else rows(0, 3)}
    with pytest.raises(
        DatasetError, match=r"2007_000003.jpg is excluded from training, as part of the evaluation split"
    ):
        RecipeData(snapshot=protected, **taught)


def test_the_same_number_is_drawn_from_each_class_determined_by_the_seed() -> None:
    labels = np.array([0] * 30 + [1] * 20 + [NO_LABEL] * 9)
    drawn = balanced_draw(labels, 7, seed=1)
    assert np.bincount(labels[drawn]).tolist() == [7, 7]
    assert len(set(drawn.tolist())) == 14
    np.testing.assert_array_equal(drawn, balanced_draw(labels, 7, seed=1))
    assert drawn.tolist() != balanced_draw(labels, 7, seed=2).tolist()
    with pytest.raises(DatasetError, match="class 1 has 20 samples, 21 are to be drawn"):
        balanced_draw(labels, 21, seed=0)


@pytest.mark.parametrize(
    "text",
    [
        "2007_000003\n2007_000001\n2007_000000\n",
        "JPEGImages/2007_000003.jpg SegmentationClass/2007_000003.png\n\n2007_000001.jpg\r\n 2007_000000\t1\n",
    ],
)
def test_vocs_image_lists_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "labeled.txt").write_text(text)
    four = snapshot([0, 1, 0, 1])
    assert rows_of(four, read_list(tmp_path / "labeled.txt")).tolist() == [3, 1, 0]
    assert rows_of(four, read_list(tmp_path / "labeled.txt", first=2)).tolist() == [3, 1]
    with pytest.raises(DatasetError, match=r"names 3 images, the first 4"):
        read_list(tmp_path / "labeled.txt", first=4)


def test_a_list_that_does_not_match_is_refused_with_the_names(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not a list that can be read"):
        read_list(tmp_path / "none.txt")
    with pytest.raises(DatasetError, match=r"1 of 2 listed images .* 2007_000009"):
        rows_of(snapshot([0, 1]), ["2007_000001", "2007_000009"])
    with pytest.raises(DatasetError, match="1 of 1"):
        rows_of(snapshot([0, 1]), ["Other/2007_000001.jpg"])
    twins = snapshot([0, 1])
    twins.paths[1] = "/voc/other/2007_000000.jpg"
    with pytest.raises(DatasetError, match="name its folder"):
        rows_of(twins, ["2007_000000"])
