"""Several masks per image: one file for each object or class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.formats import mask_pairs
from core.data.formats.detect import detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.types import DatasetError
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source


def put(path: Path, *columns: int, value: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((4, 5), np.uint8)
    mask[:, columns] = value
    Image.fromarray(mask).save(path)


def test_a_folder_per_image_with_a_mask_per_object_is_read(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number in range(3):
        draw_all(root, [f"stage1_train/id{number}/images/id{number}.png"])
        for at in range(2):
            put(root / f"stage1_train/id{number}/masks/h{number}{at}.png", 2 * at)
    assert detect(root).format is SourceFormat.MASK_PAIRS
    source = Source(root, mask_pairs)
    assert source.table.names == ("background", "object")
    assert len(source.masks) == 3
    assert all(mask[0].tolist() == [1, 0, 1, 0, 0] for mask in source.masks.values())
    assert list(source.kinds.values()) == ["several masks per image"]


@pytest.mark.parametrize("value", [1, 255])
def test_a_folder_per_class_is_read(tmp_path: Path, value: int) -> None:
    draw_all(tmp_path, ["images/1.jpg", "images/2.jpg", "images/3.jpg"])
    for number in (1, 2):
        put(tmp_path / f"masks/dog/{number}.png", 1, 2, value=value)
        put(tmp_path / f"masks/cat/{number}.png", 0, 1, value=value)
    assert detect(tmp_path).format is SourceFormat.MASK_PAIRS
    source = Source(tmp_path, mask_pairs)
    assert source.table.names == ("background", "cat", "dog")
    assert all(mask[0].tolist() == [1, 2, 2, 0, 0] for mask in source.masks.values())  # dog is the later one
    assert source.kinds == {"masks": "several masks per image", "images/3.jpg": "missing mask"}
    assert "background, cat, dog" in source.problems.kept[0].message


def test_label_studio_brushes_as_png_are_read(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.jpg", "images/2.jpg"])
    for number in (1, 2):
        put(tmp_path / f"masks/task-{number}-annotation-{number}-by-1-tag-cat-0.png", 0)
        put(tmp_path / f"masks/task-{number}-annotation-{number}-by-1-tag-big dog-0.png", 4)
    source = Source(tmp_path, mask_pairs)
    assert source.table.names == ("background", "big dog", "cat")
    assert [mask[0].tolist() for mask in source.masks.values()] == [[2, 0, 0, 0, 1]] * 2
    assert "brushes by task" in [problem.kind for problem in source.problems.kept]


def test_brushes_that_name_no_image_are_refused_with_the_export_to_use(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/a.jpg"])
    put(tmp_path / "masks/task-7-annotation-7-by-1-tag-cat-0.png", 0)
    with pytest.raises(DatasetError, match="export as JSON"):
        mask_pairs.read(tmp_path, ReadOptions())


def test_a_file_with_several_values_is_not_the_mask_of_one_class(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.jpg", "images/2.jpg"])
    for number in (1, 2):
        put(tmp_path / f"masks/cat/{number}.png", 0)
        put(tmp_path / f"masks/dog/{number}.png", 4)
    Image.fromarray(np.array([[0, 1, 2, 3, 4]] * 4, np.uint8)).save(tmp_path / "masks/cat/2.png")
    source = Source(tmp_path, mask_pairs)
    assert source.fault.kind == "several values"
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "masks/cat/2.png")
    assert Source(tmp_path, mask_pairs).fault.kind == "wrong mask size"


def test_ordinary_image_mask_pairs_below_splits_are_not_classes(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/train/1.jpg"])
    put(tmp_path / "masks/train/1.png", 0, value=1)
    assert Source(tmp_path, mask_pairs).table.names == ("0", "1")


@pytest.mark.parametrize("border", [2, 255])
def test_ids_in_a_single_folder_below_the_masks_are_ordinary_masks(tmp_path: Path, border: int) -> None:
    draw_all(tmp_path, ["images/1.jpg", "images/2.jpg"])
    (tmp_path / "masks/gt").mkdir(parents=True)
    (tmp_path / "classes.txt").write_text("ground\ncat\ndog\n")
    for number in (1, 2):
        values = np.array([[0, 1, 2, border, border]] * 4, np.uint8)
        Image.fromarray(values).save(tmp_path / f"masks/gt/{number}.png")
    assert "masks/gt has masks for the images of images" in mask_pairs.recognise(tmp_path)
    source = Source(tmp_path, mask_pairs)
    assert source.table.names == ("ground", "cat", "dog")
    assert [mask[0].tolist() for mask in source.masks.values()] == [[0, 1, 2, border, border]] * 2


def test_smoothed_edges_in_a_single_folder_stay_one_class(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.jpg", "images/2.jpg"])
    (tmp_path / "masks/cat").mkdir(parents=True)
    for number in (1, 2):
        values = np.array([[0, 9, 140, 255, 255]] * 4, np.uint8)
        Image.fromarray(values).save(tmp_path / f"masks/cat/{number}.png")
    source = Source(tmp_path, mask_pairs)
    assert source.table.names == ("background", "cat")
    assert [mask[0].tolist() for mask in source.masks.values()] == [[0, 0, 1, 1, 1]] * 2


def test_ids_with_255_in_folders_of_classes_are_refused(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.jpg", "images/2.jpg"])
    for name in ("cat", "dog"):
        for number in (1, 2):
            put(tmp_path / f"masks/{name}/{number}.png", 0)
    Image.fromarray(np.array([[0, 1, 1, 2, 255]] * 4, np.uint8)).save(tmp_path / "masks/cat/2.png")
    assert Source(tmp_path, mask_pairs).fault.kind == "several values"


def test_numbered_masks_beside_their_image_are_united(tmp_path: Path) -> None:
    draw_all(tmp_path, ["benign (1).png", "benign (2).png", "benign (3).png"])
    put(tmp_path / "benign (1)_mask.png", 0)
    put(tmp_path / "benign (1)_mask_1.png", 2)
    put(tmp_path / "benign (1)_mask_2.png", 4)
    put(tmp_path / "benign (2)_mask.png", 3)
    assert detect(tmp_path).format is SourceFormat.MASK_PAIRS
    source = Source(tmp_path, mask_pairs)
    assert source.table.names == ("background", "object")
    assert {name: mask[0].tolist() for name, mask in source.masks.items()} == {
        "benign (1).png": [1, 0, 1, 0, 1],
        "benign (2).png": [0, 0, 0, 1, 0],
    }
    assert source.kinds == {".": "several masks per image", "benign (3).png": "missing mask"}


@pytest.mark.parametrize("addition", ["_mask_{}", "_mask{}", "-masks-{}", "_seg{}"])
def test_numbered_masks_in_their_own_folder_are_united(tmp_path: Path, addition: str) -> None:
    draw_all(tmp_path, ["images/a.jpg", "images/b.jpg"])
    for at in range(2):
        put(tmp_path / f"masks/a{addition.format(at)}.png", 3 * at)
    put(tmp_path / f"masks/b{addition.format(0)}.png", 1)
    source = Source(tmp_path, mask_pairs)
    assert {name: mask[0].tolist() for name, mask in source.masks.items()} == {
        "images/a.jpg": [1, 0, 0, 1, 0],
        "images/b.jpg": [0, 1, 0, 0, 0],
    }


def test_one_mask_an_image_with_a_number_in_its_name_is_an_ordinary_pair(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/a.jpg", "images/b.jpg"])
    for name, value in (("a", 1), ("b", 2)):
        put(tmp_path / f"masks/{name}_seg0.png", 1, value=value)
    source = Source(tmp_path, mask_pairs)
    assert "several masks per image" not in source.kinds.values()
    assert sorted(int(mask.max()) for mask in source.masks.values()) == [1, 2]
