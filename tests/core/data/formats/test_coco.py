import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.data.formats import coco
from core.data.formats.detect import detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.data.images import MaskError
from core.data.masks.items import MaskItem, Per
from core.data.masks.reading import read_mask
from core.data.masks.runs import encode_coco
from core.types import ClassTable, Cure, DatasetError
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


def test_the_published_coco_layout_is_read(tmp_path: Path) -> None:
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


def test_the_annotation_file_can_be_given_as_the_source(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/a.jpg", "images/b.jpg"])
    path = tmp_path / "annotations/instances.json"
    save(path, [])
    assert detect(path).format is SourceFormat.COCO
    assert set(Source(path, coco).samples) == {"images/a.jpg", "images/b.jpg"}


def test_an_annotation_file_in_each_split_folder_is_read(tmp_path: Path) -> None:
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


def test_a_category_named_background_fills_the_pixels_without_an_annotation(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.jpg", "b.jpg"])
    categories = [{"id": 0, "name": "cat"}, {"id": 1, "name": "Background"}]
    save(tmp_path / "c.json", [{"image_id": 7, "category_id": 0, "segmentation": LEFT}], categories=categories)
    source = Source(tmp_path, coco)
    assert source.table.names == ("cat", "Background")
    assert source.masks["a.jpg"][0].tolist() == [0, 0, 1, 1, 1]


def test_two_images_with_the_same_name_are_refused(tmp_path: Path) -> None:
    draw_all(tmp_path, ["x/a.jpg", "y/a.jpg", "b.jpg"])
    save(tmp_path / "c.json", [])
    source = Source(tmp_path, coco)
    assert list(source.samples) == ["b.jpg"]
    assert source.kinds["a.jpg"] == "unknown image"


def test_an_image_size_that_differs_from_the_file_is_reported(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.jpg", "b.jpg"])
    save(tmp_path / "c.json", [], images=[{"id": 7, "file_name": "a.jpg", "width": 10, "height": 8}])
    assert Source(tmp_path, coco).fault.kind == "wrong mask size"


def test_the_exported_file_has_the_fields_that_other_programs_expect(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 0, 1], [0, 255, 0, 255]], dtype=np.uint8)
    table = ClassTable(("ground", "cat"), ("#000000", "#0a141e"))
    write(tmp_path, coco, {"a.png": mask}, table, ["val"])
    values = json.loads((tmp_path / "annotations/instances_val.json").read_text())
    assert values["categories"][1] == {"id": 2, "name": "cat", "color": [10, 20, 30]}
    assert values["images"] == [{"id": 1, "file_name": "a.png", "width": 4, "height": 2}]
    assert (tmp_path / "images/val/a.png").is_file()
    *ground, cat, second = values["annotations"]
    assert (cat["category_id"], cat["area"], cat["bbox"], cat["iscrowd"]) == (2, 1, [1, 0, 1, 1], 0)
    assert (second["category_id"], second["bbox"]) == (2, [3, 0, 1, 1])
    assert [(one["area"], one["iscrowd"]) for one in ground] == [(2, 0), (2, 0)]
    pytest.importorskip("pycocotools.coco")
    from pycocotools.coco import COCO

    opened = COCO(str(tmp_path / "annotations/instances_val.json"))
    np.testing.assert_array_equal(opened.annToMask(cat) | opened.annToMask(second), mask == 1)


def test_an_annotation_can_hold_all_pieces_of_a_class(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 0, 1], [0, 255, 0, 255]], dtype=np.uint8)
    table = ClassTable(("ground", "cat"), ("#000000", "#0a141e"))
    item = MaskItem("a.png", "", tmp_path, 4, 2, lambda: mask)
    coco.write(tmp_path, [item], table, coco.place([item]), per=Per.CLASS)
    values = json.loads((tmp_path / "annotations/instances_default.json").read_text())
    assert [(one["category_id"], one["area"], one["iscrowd"]) for one in values["annotations"]] == [
        (1, 4, 0),
        (2, 2, 0),
    ]


def test_images_with_equal_names_are_distinguished_by_their_split(tmp_path: Path) -> None:
    drawn = {f"{at}/a.png": np.full((2, 3), at, dtype=np.uint8) for at in range(3)}
    table = ClassTable(("a", "b", "c"), ("#000000", "#0a141e", "#ffffff"))
    files = write(tmp_path, coco, drawn, table, ["one", "two", "3 / 4"])
    source = Source(tmp_path, coco)
    for file, mask in zip(files, drawn.values(), strict=True):
        assert_equal(source.masks[file], mask)
    assert [source.samples[file].split for file in files] == ["one", "two", "3 / 4"]


def test_an_image_with_an_entirely_ignored_mask_counts_as_labelled(tmp_path: Path) -> None:
    mask = np.full((2, 3), 255, dtype=np.uint8)
    write(tmp_path, coco, {"a.png": mask}, ClassTable(("a",), ("#000000",)))
    assert_equal(Source(tmp_path, coco).masks["images/default/a.png"], mask)


SQUARE = [[1, 1, 4, 1, 4, 3, 1, 3]]


def one(tmp_path: Path, *annotations: dict[str, Any], **more: Any) -> Path:
    draw_all(tmp_path, ["a.jpg", "b.jpg"])
    listed = [{"id": number, "image_id": 7, "category_id": 3, **each} for number, each in enumerate(annotations)]
    save(tmp_path / "annotations/instances.json", listed, **more)
    return tmp_path


def read(root: Path, **options: Any) -> Source:
    return Source(root, coco, ReadOptions(**options))


def test_a_polygon_without_area_is_left_out_and_counted(tmp_path: Path) -> None:
    source = read(one(tmp_path, {"segmentation": [*SQUARE, [5.5, 5.5]]}, {"segmentation": [[1, 2, 3, 2]]}))
    assert (source.masks["a.jpg"][1:3, 1:4] == 1).all()
    assert [warning.kind for warning in source.warnings.values()] == ["shape left out"]
    assert "2 polygons" not in str(source.warnings["a.jpg"])  # the point was a part of a shape that has an area


@pytest.mark.parametrize("drawn", [{"segmentation": []}, {"segmentation": None}, {}])
def test_a_box_without_a_shape_leaves_no_mask_or_is_ignored_or_skipped_as_chosen(
    tmp_path: Path, drawn: dict[str, Any]
) -> None:
    root = one(tmp_path, {"bbox": [1, 1, 3, 2], **drawn}, {"segmentation": [[0, 0, 1, 0, 1, 4, 0, 4]]})
    (question,) = coco.read(root, ReadOptions()).meaning.questions
    assert [f"{answer.option} {answer.value}" for answer in question.answers] == ["boxes ignore", "boxes skip"]
    assert not question.blocking
    assert read(root).fault.kind == "box without a shape"
    assert str(Cure.BOXES_IGNORE) in read(root).fault.cure
    assert read(root, boxes="ignore").masks["a.jpg"][1].tolist() == [1, 255, 255, 255, 0]
    assert read(root, boxes="skip").masks["a.jpg"][1].tolist() == [1, 0, 0, 0, 0]
    assert coco.read(root, ReadOptions(boxes="skip")).meaning.questions == ()


def test_a_flat_list_of_numbers_is_read_as_a_polygon(tmp_path: Path) -> None:
    assert (read(one(tmp_path, {"segmentation": SQUARE[0]})).masks["a.jpg"][1:3, 1:4] == 1).all()


def test_image_sizes_can_be_strings(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.jpg", "width": "5", "height": "4"}]
    assert (read(one(tmp_path, {"segmentation": SQUARE}, images=images)).masks["a.jpg"][1:3, 1:4] == 1).all()


def test_panoptic_annotations_are_refused_with_the_conversion_to_use(tmp_path: Path) -> None:
    root = one(tmp_path, {"segments_info": [{"id": 3}], "file_name": "a.png"})
    with pytest.raises(DatasetError, match=r"panoptic.*panoptic2semantic_segmentation"):
        coco.read(root, ReadOptions())


@pytest.mark.parametrize(
    "name", ["https://s3.example.org/b/a.jpg?X-Amz=1", "C:\\imgs\\a.jpg", "/data/upload/1/0a1b2c3d-a.jpg"]
)
def test_images_are_found_by_their_urls(tmp_path: Path, name: str) -> None:
    source = read(one(tmp_path, {"segmentation": SQUARE}, images=[{"id": 7, "file_name": name}]))
    assert list(source.masks) == ["a.jpg"]


@pytest.mark.parametrize("name", ["ignore", "void", "Unlabeled"])
def test_a_category_named_ignore_is_not_a_class(tmp_path: Path, name: str) -> None:
    categories = [{"id": 3, "name": "cat"}, {"id": 18, "name": name}]
    annotations = [{"segmentation": [[0, 0, 1, 0, 1, 4, 0, 4]]}, {"segmentation": SQUARE, "category_id": 18}]
    root = one(tmp_path, *annotations, categories=categories)
    source = read(root)
    assert source.table.names == ("background", "cat")
    assert source.masks["a.jpg"][1].tolist() == [1, 255, 255, 255, 0]
    assert source.kinds[name] == "category ignored"
    assert read(root, reading=1).table.names == ("background", "cat", name)


def test_shapes_on_an_image_with_exif_rotation_are_asked_about_and_rotated(tmp_path: Path) -> None:
    root = one(tmp_path, {"segmentation": [[0, 0, 2, 0, 2, 4, 0, 4]]})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(root / "a.jpg", exif=exif)
    (question,) = coco.read(root, ReadOptions()).meaning.blocking
    assert [f"{answer.option} {answer.value}" for answer in question.answers] == ["exif_masks turn", "exif_masks keep"]
    for options, wanted in ((ReadOptions(), None), (ReadOptions(exif_masks="turn"), [[1] * 4] * 2 + [[0] * 4] * 3)):
        listing = coco.read(root, options)
        sample = next(sample for sample in listing.samples if sample.name == "a.jpg")
        found = read_mask(sample.mask or {}, 4, 5, 3)
        if wanted is None:
            assert isinstance(found, MaskError)
            assert found.kind == "mask not turned"
        else:
            assert isinstance(found, tuple)
            assert found[0].tolist() == wanted


def test_empty_polygons_do_not_affect_the_other_shapes_of_the_image(tmp_path: Path) -> None:
    source = read(one(tmp_path, {"segmentation": [[], *SQUARE]}, {"segmentation": [[]]}))
    assert (source.masks["a.jpg"][1:3, 1:4] == 1).all()
    root = one(tmp_path, {"segmentation": SQUARE}, {"segmentation": [[]], "bbox": [0, 0, 1, 1]})
    (question,) = coco.read(root, ReadOptions()).meaning.questions
    assert [f"{answer.option} {answer.value}" for answer in question.answers] == ["boxes ignore", "boxes skip"]
    assert "a.jpg" not in Source(root, coco, ReadOptions(reading=1)).masks
