from pathlib import Path

import numpy as np
import pytest

from core.data.formats import cvat
from core.data.formats.detect import detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.types import DatasetError
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source

LEFT = '<polygon label="road" points="0,0;2,0;2,4;0,4" z_order="0"/>'
META = "<meta><task><labels><label><name>road</name></label><label><name>sky</name></label></labels></task></meta>"


def save(root: Path, *images: str, meta: str = META) -> Path:
    """Write a file of images of 5 x 4 pixels, called 0.png, 1.png, ..., each with what is said of it."""
    draw_all(root, [f"images/{number}.png" for number in range(len(images))])
    tags = (
        f'<image id="{number}" name="{number}.png" width="5" height="4">{inside}</image>'
        for number, inside in enumerate(images)
    )
    text = f"<annotations><version>1.1</version>{meta}{''.join(tags)}</annotations>"
    (root / "annotations.xml").write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{text}', encoding="utf-8")
    return root


def test_polygons_masks_and_ellipses_are_painted_in_their_order(tmp_path: Path) -> None:
    painted = '<mask label="sky" rle="1, 2, 1, 2" left="1" top="0" width="3" height="2" z_order="1"/>'
    ellipse = '<ellipse label="car" cx="2.5" cy="2" rx="2.5" ry="2" z_order="-1"/>'
    save(tmp_path, painted + LEFT, ellipse, "")
    assert detect(tmp_path).format is SourceFormat.CVAT
    source = Source(tmp_path, cvat)
    assert source.table.names == ("background", "car", "road", "sky")
    assert source.masks["images/0.png"].tolist() == [
        [2, 2, 3, 3, 0],
        [2, 2, 3, 3, 0],
        [2, 2, 0, 0, 0],
        [2, 2, 0, 0, 0],
    ]
    assert source.masks["images/1.png"][1].tolist() == [1, 1, 1, 1, 1]
    assert source.samples["images/2.png"].mask is None
    assert source.kinds == {"annotations.xml": "nothing drawn"}


def test_tags_without_shapes_are_read_as_image_labels(tmp_path: Path) -> None:
    save(
        tmp_path,
        '<tag label="cat"/>',
        '<tag label="dog"/><tag label="cat"/>',
        "",
        '<tag label="cat"/><tag label="cat"/>',
    )
    listing = cvat.read(tmp_path, ReadOptions())
    assert listing.table is None
    assert [sample.label for sample in listing.samples] == ["cat", None, None, "cat"]
    assert [(each.kind, each.path) for each in listing.problems.kept] == [("several labels", "images/1.png")]


def test_tags_beside_shapes_and_shapes_without_an_area_are_counted(tmp_path: Path) -> None:
    save(
        tmp_path, f'{LEFT}<tag label="cat"/><points label="road" points="1,1"/><polyline label="sky" points="0,0;1,1"/>'
    )
    kinds = Source(tmp_path, cvat).kinds
    assert kinds == {"annotations.xml": "tags beside masks", "points": "not a mask", "polyline": "not a mask"}


@pytest.mark.parametrize(("boxes", "row"), [("", None), ("ignore", [2, 2, 255, 255, 0]), ("skip", [2, 2, 0, 0, 0])])
def test_boxes_are_asked_about_as_in_coco(tmp_path: Path, boxes: str, row: list[int] | None) -> None:
    save(tmp_path, '<polygon label="sky" points="0,0;2,0;2,4;0,4"/><box label="road" xtl="2" ytl="0" xbr="4" ybr="4"/>')
    listing = cvat.read(tmp_path, ReadOptions(boxes=boxes))
    source = Source(tmp_path, cvat, ReadOptions(boxes=boxes))
    if row is None:
        assert [question.kind for question in listing.meaning.questions] == ["boxes without a shape"]
        assert source.fault.kind == "box without a shape"
    else:
        assert source.masks["images/0.png"][0].tolist() == row


def test_a_rotated_box_is_rotated_about_its_centre() -> None:
    corners = cvat._box({"xtl": "0", "ytl": "1", "xbr": "4", "ybr": "3", "rotation": "90"})
    np.testing.assert_allclose(corners, [3, 0, 3, 4, 1, 4, 1, 0], atol=1e-9)


@pytest.mark.parametrize(
    "shape",
    [
        '<mask label="sky" rle="1, 99" left="1" top="0" width="3" height="2"/>',
        '<mask label="sky" rle="1, 2" left="4" top="0" width="3" height="2"/>',
        '<mask label="sky" rle="a" left="0" top="0" width="3" height="2"/>',
        '<mask label="sky" rle="1" left="0"/>',
        '<polygon label="sky" points="0,0;nan,1;3,3"/>',
        '<polygon label="sky" points="0;1"/>',
        '<polygon points="0,0;1,0;1,1"/>',
        '<ellipse label="sky" cx="1" cy="1"/>',
    ],
)
def test_a_damaged_shape_leaves_only_its_own_image_without_a_mask(tmp_path: Path, shape: str) -> None:
    source = Source(save(tmp_path, LEFT + shape, LEFT), cvat)
    assert list(source.masks) == ["images/1.png"]
    assert source.fault.cure


def test_a_polygon_with_two_corners_is_left_out_and_counted(tmp_path: Path) -> None:
    source = Source(save(tmp_path, LEFT + '<polygon label="sky" points="3,0;4,0"/>'), cvat)
    assert source.masks["images/0.png"][0].tolist() == [1, 1, 0, 0, 0]
    assert [warning.kind for warning in source.warnings.values()] == ["shape left out"]


def test_pixels_of_a_label_named_void_are_ignored(tmp_path: Path) -> None:
    source = Source(save(tmp_path, '<polygon label="void" points="0,0;2,0;2,4;0,4"/>'), cvat)
    assert source.table.names == ("background", "road", "sky")
    assert source.masks["images/0.png"][0].tolist() == [255, 255, 0, 0, 0]


def test_missing_images_are_reported_and_subsets_become_splits(tmp_path: Path) -> None:
    save(tmp_path, LEFT, LEFT)
    text = (tmp_path / "annotations.xml").read_text()
    text = text.replace('name="0.png"', 'name="0.png" subset="Validation"').replace('name="1.png"', 'name="gone.png"')
    (tmp_path / "annotations.xml").write_text(text)
    source = Source(tmp_path, cvat)
    assert {name: sample.split for name, sample in source.samples.items()} == {"images/0.png": "val"}
    assert source.kinds == {"gone.png": "unknown image", ".": "not in the annotations"}


def test_a_file_for_each_split_gives_its_images_the_split_of_its_name(tmp_path: Path) -> None:
    save(tmp_path, LEFT)
    (tmp_path / "annotations.xml").rename(tmp_path / "train.xml")
    text = (tmp_path / "train.xml").read_text()
    draw_all(tmp_path, ["images/7.png"])
    (tmp_path / "test.xml").write_text(text.replace('name="0.png"', 'name="7.png"').replace('"road"', '"car"'))
    source = Source(tmp_path, cvat)
    assert {name: sample.split for name, sample in source.samples.items()} == {
        "images/0.png": "train",
        "images/7.png": "test",
    }
    assert source.table.names == ("background", "car", "road", "sky")
    assert source.masks["images/7.png"][0].tolist() == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations><meta/><image name="&b;"/></annotations>', "document type"),
        ("<annotations><meta></meta><image ", "broken XML"),
        ('<?xml version="1.0" encoding="foo"?><annotations><meta></meta></annotations>', "broken XML"),
        ('<annotations><meta></meta><track id="0" label="car"/></annotations>', "tracks of a video"),
    ],
)
def test_an_unreadable_file_is_refused_with_a_cure(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "annotations.xml").write_text(text)
    draw_all(tmp_path, ["1.png"])
    with pytest.raises(DatasetError, match=match):
        cvat.read(tmp_path, ReadOptions())


def test_the_annotation_file_can_be_given_as_the_source(tmp_path: Path) -> None:
    save(tmp_path, LEFT)
    listing = cvat.read(tmp_path / "annotations.xml", ReadOptions())
    assert [sample.name for sample in listing.samples] == ["images/0.png"]
    assert detect(tmp_path / "annotations.xml").format is SourceFormat.CVAT


def test_a_file_for_each_split_as_written_by_datumaro_is_read(tmp_path: Path) -> None:
    for split in ("train", "val"):
        draw_all(tmp_path, [f"images/{split}_1.jpg"])
        tag = f'<image id="0" name="{split}_1.jpg"><tag label="{split}s class"/></image>'
        (tmp_path / f"{split}.xml").write_text(f"<annotations><meta/>{tag}</annotations>")
    assert detect(tmp_path).format is SourceFormat.CVAT
    found = {sample.name: (sample.label, sample.split) for sample in cvat.read(tmp_path, ReadOptions()).samples}
    assert found == {
        "images/train_1.jpg": ("trains class", "train"),
        "images/val_1.jpg": ("vals class", "val"),
    }


@pytest.mark.parametrize("order", ["--1", "1.5", "9" * 5000, "\u00b2"])
def test_shapes_without_a_numeric_order_keep_the_order_of_the_file(tmp_path: Path, order: str) -> None:
    shape = f'<polygon label="sky" points="1,0;5,0;5,4;1,4" z_order="{order}"/>'
    source = Source(save(tmp_path, LEFT + shape), cvat)
    assert source.masks["images/0.png"][0].tolist() == [1, 2, 2, 2, 2]


@pytest.mark.parametrize("width", ["0", "9" * 5000, "-5", ""])
def test_an_impossible_image_size_leaves_only_its_own_image_without_a_mask(tmp_path: Path, width: str) -> None:
    ellipse = '<ellipse label="sky" cx="1" cy="1" rx="1" ry="1"/>'
    save(tmp_path, ellipse, LEFT)
    file = tmp_path / "annotations.xml"
    file.write_text(file.read_text().replace('width="5"', f'width="{width}"', 1))
    assert list(Source(tmp_path, cvat).masks) == ["images/1.png"]


@pytest.mark.parametrize(
    "text",
    [
        "<project><annotations></annotations><meta></meta></project>",
        "<!-- <annotations><meta> --><report><meta></meta></report>",
    ],
)
def test_other_xml_beside_class_folders_is_not_taken_for_cvat(tmp_path: Path, text: str) -> None:
    draw_all(tmp_path, ["cat/1.png", "dog/1.png"])
    (tmp_path / "pom.xml").write_text(text)
    assert detect(tmp_path).format is SourceFormat.IMAGEFOLDER
