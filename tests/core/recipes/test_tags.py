from pathlib import Path

import numpy as np
import pytest

from core.data.masks.store import MaskStore
from core.recipes.data import RecipeData
from core.recipes.tags import given_mask, image_tags
from core.types import DatasetError
from tests.core.scenes import Scenes, drawn


def parts(scenes: Scenes) -> RecipeData:
    rows = np.arange(6)
    return RecipeData(snapshot=scenes.snapshot, labelled=rows[:2], unlabelled=rows[2:4], test=rows[4:5])


def test_tags_are_read_off_masks_of_whoever_plays_a_part(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    tags = image_tags(parts(scenes), MaskStore(scenes.store), None, None)
    for row in range(5):
        given = given_mask(scenes.snapshot, MaskStore(scenes.store), row)
        assert np.flatnonzero(tags[row]).tolist() == [label for label in range(4) if (given == label).any()]
    assert not tags[3, 2]  # its disc is called a box
    assert not tags[5].any()


def test_given_tags_stand_for_the_unlabelled_and_the_background_is_always_there(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    given = np.zeros((6, 4), np.bool_)
    given[:, 3] = True
    tags = image_tags(parts(scenes), MaskStore(scenes.store), given, 0)
    assert tags[2:4].tolist() == [[True, False, False, True]] * 2
    assert tags[0].all()
    with pytest.raises(DatasetError, match=r"2\.png has no tags \(2 such images\)"):
        image_tags(parts(scenes), MaskStore(scenes.store), np.zeros((6, 4), np.bool_), None)


def test_a_mask_that_cannot_be_read_names_its_image(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    store = MaskStore(scenes.store)
    store.path(scenes.snapshot.masks.labels[1]).unlink()
    with pytest.raises(DatasetError, match=r"1\.png: the mask .* cannot be read"):
        image_tags(parts(scenes), store, None, None)
