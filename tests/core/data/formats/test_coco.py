import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.data.formats import coco
from core.data.formats.detect import detect
from core.data.formats.source import SourceFormat
from core.data.masks.runs import encode_coco
from core.types import ClassTable
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source, assert_equal, write

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "cat", "color": [1, 2, 3]}]
LEFT = [[0, 0, 2, 0, 2, 4, 0, 4]]


def rle(inside: NDArray[np.bool_]) -> dict[str, Any]:
    return encode_coco(inside)


def save(path: Path, annotations: list[dict[str, Any]], **more: Any) -> None:
    images = [{"id": 7, "file_name": "a.jpg", "width": 5, "height": 4}, {"id": 9, "file_name": "b.jpg"}]
    values = {"images": images, "categories": CATEGORIES, **more}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**values, "annotations": annotations}))


def test_a_folder_as_it_is_published(tmp_path: Path) -> None:
    draw_all(tmp_path, ["train2017/a.jpg", "train2017/b.jpg", "val2017/a.jpg", "val2017/b.jpg"])
    dog = {"image_id": 7, "category_id": 18, "segmentation": LEFT, "iscrowd": 0}
    row = np.zeros((4, 5), dtype=bool)
    row[1] = True
    crowd = {
        "image_id": 7,
        "category_id": 3,
        "segmentation": {"size": [4, 5], "counts": [1, 1, 3, 1, 14]},
        "iscrowd": 1,
    }
    save(tmp_path / "annotations/instances_train2017.json", [dog, crowd])
    save(tmp_path / "annotations/instances_val2017.json", [{**dog, "segmentation": rle(row)}])
    (tmp_path / "annotations/captions_train2017.json").write_text('{"images": [], "annotations": []}')
    assert detect(tmp_path).format is SourceFormat.COCO
    source = Source(tmp_path, coco)
    assert source.table.names == ("background", "cat", "dog")
    assert source.table.colours[:2] == ("#000000", "#010203")
    assert {name: sample.split for name, sample in source.samples.items()} == {
        "train2017/a.jpg": "train",
        "train2017/b.jpg": "train",
        "val2017/a.jpg": "val",
        "val2017/b.jpg": "val",
    }
    mask = source.masks["train2017/a.jpg"]
    assert mask.tolist() == [[2, 2, 0, 0, 0], [1, 1, 0, 0, 0], [2, 2, 0, 0, 0], [2, 2, 0, 0, 0]]  # the crowd is later
    assert (source.masks["train2017/b.jpg"] == 0).all()
    assert (source.masks["val2017/a.jpg"][1] == 2).all()
    assert source.kinds == {}


def test_the_file_itself_may_be_named(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/a.jpg", "images/b.jpg"])
    path = tmp_path / "annotations/instances.json"
    save(path, [])
    assert detect(path).format is SourceFormat.COCO
    assert set(Source(path, coco).samples) == {"images/a.jpg", "images/b.jpg"}


def test_a_file_in_each_splits_folder(tmp_path: Path) -> None:
    draw_all(tmp_path, [f"{split}/{name}.jpg" for split in ("train", "valid") for name in "ab"])
    for split in ("train", "valid"):
        save(tmp_path / split / "_annotations.coco.json", [])
    source = Source(tmp_path, coco)
    assert {name: sample.split for name, sample in source.samples.items()} == {
        "train/a.jpg": "train",
        "train/b.jpg": "train",
        "valid/a.jpg": "val",
        "valid/b.jpg": "val",
    }


def test_a_category_called_background_is_what_no_annotation_covers(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.jpg", "b.jpg"])
    categories = [{"id": 0, "name": "cat"}, {"id": 1, "name": "Background"}]
    save(tmp_path / "c.json", [{"image_id": 7, "category_id": 0, "segmentation": LEFT}], categories=categories)
    source = Source(tmp_path, coco)
    assert source.table.names == ("cat", "Background")
    assert source.masks["a.jpg"][0].tolist() == [0, 0, 1, 1, 1]


def test_two_images_of_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    draw_all(tmp_path, ["x/a.jpg", "y/a.jpg", "b.jpg"])
    save(tmp_path / "c.json", [])
    source = Source(tmp_path, coco)
    assert list(source.samples) == ["b.jpg"]
    assert source.kinds["a.jpg"] == "unknown image"


def test_the_size_in_the_file_must_be_the_images(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.jpg", "b.jpg"])
    save(tmp_path / "c.json", [], images=[{"id": 7, "file_name": "a.jpg", "width": 10, "height": 8}])
    assert Source(tmp_path, coco).fault.kind == "wrong mask size"


def test_what_is_written_is_what_other_programs_expect(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 0, 1], [0, 255, 0, 255]], dtype=np.uint8)
    table = ClassTable(("ground", "cat"), ("#000000", "#0a141e"))
    write(tmp_path, coco, {"a.png": mask}, table, ["val"])
    values = json.loads((tmp_path / "annotations/instances_val.json").read_text())
    assert values["categories"][1] == {"id": 2, "name": "cat", "color": [10, 20, 30]}
    assert values["images"] == [{"id": 1, "file_name": "val/a.png", "width": 4, "height": 2}]
    ground, cat = values["annotations"]
    assert (cat["category_id"], cat["area"], cat["bbox"], cat["iscrowd"]) == (2, 2, [1, 0, 3, 1], 1)
    assert (ground["area"], ground["iscrowd"]) == (4, 1)
    pytest.importorskip("pycocotools.coco")
    from pycocotools.coco import COCO

    opened = COCO(str(tmp_path / "annotations/instances_val.json"))
    np.testing.assert_array_equal(opened.annToMask(cat), mask == 1)


def test_an_image_whose_mask_is_all_ignored_is_labelled_all_the_same(tmp_path: Path) -> None:
    mask = np.full((2, 3), 255, dtype=np.uint8)
    write(tmp_path, coco, {"a.png": mask}, ClassTable(("a",), ("#000000",)))
    assert_equal(Source(tmp_path, coco).masks["images/a.png"], mask)
