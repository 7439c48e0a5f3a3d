"""Roles of images by masks, tags, splits and lists."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.config import CrossTrainingSettings
from core.data.masks.store import MaskStore
from core.recipes.cross_training.roles import Parts, image_tags, parts_of
from core.recipes.data import RecipeData, given_mask
from core.types import IGNORE, DatasetError, RoundError
from tests.core.scenes import Scenes, drawn

COUNT = 12
SPLITS = ["train"] * 8 + ["val"] * 2 + ["test"] * 2


@pytest.fixture
def scenes(tmp_path: Path) -> Scenes:
    """Return scenes of which rows 0 to 3 and those that judge have masks, and rows 4, 5 and 11 have tags."""
    made = drawn(tmp_path / "scenes", COUNT)
    masks = made.snapshot.masks
    labels = [name if row < 4 or row >= 8 else "" for row, name in enumerate(masks.labels)]
    tags = np.zeros((COUNT, 4), np.bool_)
    tags[[4, 5, 11], :2] = True
    tags[0, 0] = True
    return replace(made, snapshot=replace(made.snapshot, masks=replace(masks, labels=labels), tags=tags))


def chosen(scenes: Scenes, evaluation: tuple[str, ...] = (), **settings: Any) -> Parts:
    wanted = CrossTrainingSettings(**settings)
    protected = np.isin(SPLITS, evaluation)
    return parts_of(replace(scenes.snapshot, protected=protected), SPLITS, wanted, MaskStore(scenes.store))


def rows(parts: Parts) -> tuple[list[int], ...]:
    data = parts.data
    return tuple(part.tolist() for part in (data.labelled, data.unlabelled, data.validation, data.test))


def test_images_with_masks_are_trained_on_tagged_ones_pseudo_labelled_and_splits_evaluate(scenes: Scenes) -> None:
    parts = chosen(scenes)
    assert rows(parts) == ([0, 1, 2, 3], [4, 5], [8, 9], [10, 11])
    assert parts.tags[4].tolist() == [True, True, False, False]


def test_evaluation_splits_are_never_trained_on_and_are_the_test_set(scenes: Scenes) -> None:
    assert rows(chosen(scenes, ("val",)))[2:] == ([], [8, 9, 10, 11])
    assert rows(chosen(scenes, ("val",), test_split=""))[2:] == ([], [8, 9])
    with pytest.raises(DatasetError, match="no image outside the test"):
        chosen(scenes, ("train",), test_split="", validation_split="val,test")


def test_look_alikes_of_an_evaluation_split_have_no_role(scenes: Scenes) -> None:
    protected = np.isin(SPLITS, ["test"])
    protected[[1, 4]] = True  # in the training split
    alike = replace(scenes.snapshot, protected=protected)
    parts = parts_of(alike, SPLITS, CrossTrainingSettings(), MaskStore(scenes.store))
    assert rows(parts) == ([0, 2, 3], [5], [8, 9], [10, 11])


def test_an_unfinished_mask_is_not_used_for_evaluation(scenes: Scenes) -> None:
    assert rows(chosen(begun(scenes, 9, 10)))[2:] == ([8], [11])


def test_groups_of_evaluation_images_are_neither_trained_on_nor_pseudo_labelled(scenes: Scenes) -> None:
    groups = [""] * COUNT
    groups[0] = groups[4] = groups[8] = "day"  # a mask and tags beside what is chosen by
    groups[1] = groups[9] = groups[10] = "night"  # a mask and a judge of the other kind beside the test
    grouped = replace(scenes, snapshot=replace(scenes.snapshot, groups=groups))
    assert rows(chosen(grouped)) == ([2, 3], [5], [8], [10, 11])


def test_splits_without_an_evaluation_role_are_trained_on(scenes: Scenes) -> None:
    assert rows(chosen(scenes, validation_split="", test_split="test")) == ([0, 1, 2, 3, 8, 9], [4, 5], [], [10, 11])
    assert rows(chosen(scenes, validation_split="", test_split="val, test"))[3] == [8, 9, 10, 11]


def test_masks_beyond_the_first_are_hidden_and_used_as_tags(scenes: Scenes) -> None:
    parts = chosen(scenes, labelled_first=2)
    assert rows(parts)[:2] == ([0, 1], [2, 3, 4, 5])
    assert parts.tags[2].all()  # sky, road, disc and box, as its mask shows
    assert parts.tags[4].sum() == 2
    with pytest.raises(DatasetError, match="4 images have a mask, the first 9"):
        chosen(scenes, labelled_first=9)


def begun(scenes: Scenes, *which: int, settled: bool = False) -> Scenes:
    """Return the scenes with these rows, which came bare, painted in the upper half alone; the rest may be settled."""
    store, masks = MaskStore(scenes.store), scenes.snapshot.masks
    bare = np.array([name == "" or row in which for row, name in enumerate(masks.labels)])
    labels, judged = list(masks.labels), list(masks.settled)
    for row in which:
        mask = scenes.true[row].copy()
        mask[len(mask) // 2 :] = IGNORE
        labels[row] = store.put(mask)
        judged[row] = store.put((mask == IGNORE).astype(np.uint8)) if settled else ""
    masks = replace(masks, labels=labels, settled=judged, bare=bare)
    return replace(scenes, snapshot=replace(scenes.snapshot, masks=masks))


def test_an_unfinished_mask_is_completed_and_gives_no_tags(scenes: Scenes) -> None:
    parts = chosen(begun(scenes, 5, 6))  # one with tags, one without
    assert rows(parts)[:2] == ([0, 1, 2, 3], [4, 5])
    assert parts.begun.tolist() == [5]
    assert parts.tags[5].sum() == 2
    few = chosen(begun(scenes, 5, 6), labelled_first=2)
    assert rows(few)[:2] == ([0, 1], [2, 3, 4, 5])
    assert few.begun.tolist() == [5]


def test_a_mask_with_settled_unlabelled_pixels_counts_as_finished(scenes: Scenes) -> None:
    parts = chosen(begun(scenes, 5, settled=True))
    assert rows(parts)[:2] == ([0, 1, 2, 3, 5], [4])
    assert not len(parts.begun)


def test_image_lists_are_read_whole_or_up_to_a_number(scenes: Scenes, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("3\n/JPEGImages/1.png /Seg/1.png\n0\n".replace("/JPEGImages/", "scenes/"))
    (tmp_path / "test.txt").write_text("8\n")
    parts = chosen(scenes, labelled_list=str(tmp_path / "train.txt"), test_list=str(tmp_path / "test.txt"))
    assert rows(parts) == ([0, 1, 3], [2, 4, 5, 10, 11], [9], [8])
    first = chosen(scenes, labelled_list=str(tmp_path / "train.txt"), labelled_first=1)
    assert rows(first)[0] == [3]
    with pytest.raises(DatasetError, match="names 3 images, the first 9"):
        chosen(scenes, labelled_list=str(tmp_path / "train.txt"), labelled_first=9)
    (tmp_path / "twice.txt").write_text("1\n")
    with pytest.raises(DatasetError, match="two roles"):
        chosen(scenes, labelled_list=str(tmp_path / "train.txt"), test_list=str(tmp_path / "twice.txt"))


def test_a_dataset_without_tags_or_masks_is_refused(scenes: Scenes) -> None:
    bare = replace(scenes, snapshot=replace(scenes.snapshot, tags=None))
    with pytest.raises(DatasetError, match="no image without a mask has tags; tag some on the Tags page"):
        chosen(bare)
    masks = replace(scenes.snapshot.masks, labels=[""] * COUNT)
    with pytest.raises(DatasetError, match="has a finished mask; paint or import"):
        chosen(replace(scenes, snapshot=replace(scenes.snapshot, masks=masks)))


def test_roles_are_stored_with_the_round(scenes: Scenes, tmp_path: Path) -> None:
    parts = chosen(begun(scenes, 1, 5))
    folder = tmp_path / "round"
    folder.mkdir()
    scenes.snapshot.save(folder)
    parts.save(folder)
    assert rows(Parts.load(folder)) == rows(parts)
    np.testing.assert_array_equal(Parts.load(folder).tags, parts.tags)
    assert Parts.load(folder).begun.tolist() == [5]
    with pytest.raises(RoundError, match="start the round again"):
        Parts.load(tmp_path)


def parts(scenes: Scenes) -> RecipeData:
    rows = np.arange(6)
    return RecipeData(snapshot=scenes.snapshot, labelled=rows[:2], unlabelled=rows[2:4], test=rows[4:5])


def test_tags_are_derived_from_the_masks_of_all_images_with_a_role(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    tags = image_tags(parts(scenes), MaskStore(scenes.store), None, None)
    for row in range(5):
        given = given_mask(scenes.snapshot, MaskStore(scenes.store), row)
        assert np.flatnonzero(tags[row]).tolist() == [label for label in range(4) if (given == label).any()]
    assert not tags[3, 2]  # its disc is called a box
    assert not tags[5].any()


def test_unlabelled_images_have_their_given_tags_and_always_the_background(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    given = np.zeros((6, 4), np.bool_)
    given[:, 3] = True
    tags = image_tags(parts(scenes), MaskStore(scenes.store), given, 0)
    assert tags[2:4].tolist() == [[True, False, False, True]] * 2
    assert tags[0].all()
    with pytest.raises(DatasetError, match=r"2\.png has no tags \(2 such images\)"):
        image_tags(parts(scenes), MaskStore(scenes.store), np.zeros((6, 4), np.bool_), None)


def test_an_unreadable_mask_is_reported_with_its_image(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    store = MaskStore(scenes.store)
    store.path(scenes.snapshot.masks.labels[1]).unlink()
    with pytest.raises(DatasetError, match=r"1\.png: the mask .* cannot be read"):
        image_tags(parts(scenes), store, None, None)
