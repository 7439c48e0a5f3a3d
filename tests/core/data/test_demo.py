from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.demo import (
    GROUND,
    HEIGHT,
    SCENES,
    TABLE,
    WIDTH,
    WRONG_MASKS,
    paint_scene,
    truth_folder,
    write_demo_scenes,
)
from core.data.planting import Planting
from tools.fixtures.scenes import read_planted


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "scenes"
    write_demo_scenes(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_images_and_masks_match_and_every_class_occurs(scenes: Path) -> None:
    names = [f"{number:04}.png" for number in range(SCENES)]
    assert sorted(path.name for path in (scenes / "images").iterdir()) == names
    assert sorted(path.name for path in (scenes / "labels").iterdir()) == names
    masks = np.stack([np.asarray(Image.open(scenes / "labels" / name)) for name in names])
    assert (masks.shape, masks.dtype) == ((SCENES, HEIGHT, WIDTH), np.uint8)
    assert np.unique(masks).tolist() == list(range(len(TABLE)))
    assert Image.open(scenes / "images" / names[0]).size == (WIDTH, HEIGHT)
    lines = (scenes / "classes.txt").read_text().splitlines()
    assert lines[0] == "background 32 38 46"
    assert [line.split()[0] for line in lines] == list(TABLE.names)


def test_the_planted_errors_have_the_documented_numbers_and_places(scenes: Path) -> None:
    planted = {scene.name: scene for scene in read_planted(scenes)}
    assert len(planted) == round(WRONG_MASKS * SCENES)
    counts = Counter(scene.kind for scene in planted.values())
    assert set(counts) == set(Planting)
    assert max(counts.values()) - min(counts.values()) <= 1
    for scene in planted.values():
        given = np.asarray(Image.open(scenes / "labels" / scene.name))
        inside = np.zeros(given.shape, dtype=np.uint8)
        scene.region.paint(inside, 1)
        np.testing.assert_array_equal(given != scene.true, inside == 1)
        assert scene.region.area >= 20, scene


def test_the_true_masks_are_stored_outside_the_dataset(scenes: Path) -> None:
    assert truth_folder(scenes).is_dir()
    assert scenes not in truth_folder(scenes).parents
    assert {path.suffix for path in scenes.rglob("*") if path.is_file()} == {".png", ".txt"}


def test_the_scenes_depend_only_on_the_seed_and_are_written_once(scenes: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write_demo_scenes(again)
    assert contents(again) == contents(scenes)
    assert contents(truth_folder(again)) == contents(truth_folder(scenes))
    (again / "images" / "0000.png").unlink()
    write_demo_scenes(again)
    assert not (again / "images" / "0000.png").exists()


BAR = np.zeros((8, 8))
BAR[:, 3:5] = 16


def paint(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return paint_scene(np.stack([BAR] * count), np.arange(1, count + 1), np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_every_digit_is_visible_and_covers_its_share_of_the_mask(seed: int) -> None:
    picture, mask = paint(2, seed)
    assert (picture.shape, picture.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((HEIGHT, WIDTH), np.uint8)
    areas = np.bincount(mask.ravel(), minlength=3) / mask.size
    assert areas[GROUND] > 0.7
    assert (areas[1:] > 0.015).all()
    assert (areas[1:] < 0.1).all()


@pytest.mark.parametrize("seed", range(5))
def test_digits_contrast_with_a_textured_background(seed: int) -> None:
    picture, mask = paint(1, seed)
    inside, outside = picture[mask == 1].astype(float), picture[mask == GROUND].astype(float)
    assert np.abs(inside.mean(0) - outside.mean(0)).max() > 25
    assert outside.std(0).max() > 3


def test_a_scene_depends_only_on_its_seed() -> None:
    for one, other in zip(paint(3, 7), paint(3, 7), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (paint(3, 7)[0] != paint(3, 8)[0]).any()


def test_digits_that_do_not_fit_are_left_out() -> None:
    _, mask = paint(60, 1)
    assert len(np.unique(mask)) - 1 < 20
