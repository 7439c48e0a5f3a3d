from pathlib import Path

import pytest

from core.data.formats import unlabelled
from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions
from core.types import Cure, DatasetError
from tests.core.data.formats.drawn import draw_all


@pytest.mark.parametrize(
    ("name", "text", "way"),
    [
        (
            "annotations.xml",
            "<?xml version='1.0'?>\n<annotations><image name='1.jpg'/></annotations>",
            str(Cure.FORMAT_CVAT),
        ),
        ("1.xml", "<annotation><object/></annotation>", "masks"),
        ("annotations/default.json", '{"dm_format_version": "1.0", "items": []}', "as COCO or VOC"),
        ("labels.json", '{"annotations": []}', "COCO instances"),
    ],
)
def test_unsupported_annotations_are_named_with_a_cure(tmp_path: Path, name: str, text: str, way: str) -> None:
    draw_all(tmp_path, ["1.jpg"])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    listing = unlabelled.read(tmp_path, ReadOptions())
    assert [sample.label for sample in listing.samples] == [None]
    (problem,) = [problem for problem in listing.problems.kept if problem.kind == "annotations not read"]
    assert problem.path == name
    assert way in problem.cure


@pytest.mark.parametrize(
    ("name", "text", "images", "said"),
    [
        (
            "Annotations/train/1.xml",
            "<annotation><source><sourceAnnotation/></source><object><segm><mask>1_mask_0.png</mask></segm></object>",
            ["Images/train/1.png", "Masks/train/1_mask_0.png"],
            "LabelMe's XML.*label_me",
        ),
        (
            "annotations/train-annotations-object-segmentation.csv",
            "MaskPath,ImageID,LabelName\n",
            ["images/train/1.png", "masks/train/1_cat.png"],
            "Open Images.*open_images",
        ),
        (
            "obj.data",
            "classes = 1\nnames = data/obj.names\n",
            ["obj_train_data/1.png", "obj_val_data/2.png"],
            "Darknet",
        ),
    ],
)
def test_masks_and_boxes_of_unsupported_formats_are_neither_images_nor_classes(
    tmp_path: Path, name: str, text: str, images: list[str], said: str
) -> None:
    draw_all(tmp_path, images)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=f"{said}.*{Cure.FORMAT_UNLABELLED}"):
        detect(tmp_path)
    assert len(list(unlabelled.read(tmp_path, ReadOptions()).samples)) == len(images)


def test_mask_folders_that_match_no_image_are_named(tmp_path: Path) -> None:
    names = ["images/1.jpg", "masks/1_1.png", "masks/1_2.png"]
    draw_all(tmp_path, names)
    found = detect(tmp_path)
    listing = FORMATS[found.format].read(tmp_path, ReadOptions())
    assert len(list(listing.samples)) == len(names)
    (problem,) = listing.problems.kept
    assert (problem.kind, problem.path) == ("masks read as photos?", "masks")
