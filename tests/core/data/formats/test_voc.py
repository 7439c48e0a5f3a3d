from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.formats import voc
from core.data.formats.detect import detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.types import ClassTable, DatasetError
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source, write

ROW = [0, 15, 255, 20, 0]


def make(root: Path, lists: dict[str, str]) -> Path:
    base = root / "VOCdevkit/VOC2012"
    draw_all(base, [f"JPEGImages/2007_00000{number}.jpg" for number in range(5)])
    draw_all(base, ["SegmentationObject/2007_000000.png"])
    (base / "SegmentationClass").mkdir()
    for number in range(3):
        Image.fromarray(np.array([ROW] * 4, np.uint8)).save(base / f"SegmentationClass/2007_00000{number}.png")
    (base / "ImageSets/Segmentation").mkdir(parents=True)
    for name, lines in lists.items():
        (base / f"ImageSets/Segmentation/{name}.txt").write_text(lines)
    return root


def splits(source: Source) -> dict[str, str]:
    return {Path(name).stem[-1]: sample.split for name, sample in source.samples.items()}


def test_the_published_voc_layout_is_read(tmp_path: Path) -> None:
    root = make(tmp_path, {"train": "2007_000000\n", "val": "2007_000001\n", "trainval": "2007_000000\n2007_000001\n"})
    assert detect(root).format is SourceFormat.VOC
    source = Source(root, voc)
    assert splits(source) == {"0": "train", "1": "val", "2": ""}  # the last has a mask but is in no list
    assert source.table.names[15] == "person"
    assert source.table.colours[15] == "#c08080"
    assert len(source.table) == 21
    assert all(mask[0].tolist() == ROW for mask in source.masks.values())
    assert source.kinds == {}


def test_lists_of_path_pairs_are_read(tmp_path: Path) -> None:
    lines = "".join(f"JPEGImages/2007_00000{n}.jpg SegmentationClass/2007_00000{n}.png\n" for n in range(3))
    source = Source(make(tmp_path, {"train_aug": lines}), voc)
    assert splits(source) == {"0": "train", "1": "train", "2": "train"}


def test_a_listed_image_without_a_mask_is_unlabelled(tmp_path: Path) -> None:
    source = Source(make(tmp_path, {"test": "2007_000004\n"}), voc)
    assert splits(source)["4"] == "test"
    assert list(source.kinds.values()) == ["missing mask"]


def test_without_lists_every_image_is_read(tmp_path: Path) -> None:
    source = Source(make(tmp_path, {}), voc)
    assert len(source.samples) == 5
    assert sorted(source.kinds.values()) == ["missing mask"] * 2


def test_ids_beyond_vocs_classes_are_numbered_classes(tmp_path: Path) -> None:
    root = make(tmp_path, {})
    mask = root / "VOCdevkit/VOC2012/SegmentationClass/2007_000000.png"
    Image.fromarray(np.full((4, 5), 40, np.uint8)).save(mask)
    assert Source(root, voc).table.names[-1] == "40"


def test_a_labelmap_can_declare_other_classes(tmp_path: Path) -> None:
    root = make(tmp_path, {})
    (root / "VOCdevkit/VOC2012/labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\n" + "".join(f"thing {number}:{number},0,0::\n" for number in range(30))
    )
    assert Source(root, voc).table.names[20] == "thing 20"


def test_images_in_split_folders_get_their_masks_and_splits(tmp_path: Path) -> None:
    draw_all(tmp_path, ["JPEGImages/cam1/f0.jpg", "JPEGImages/cam2/f0.jpg"])
    for camera, value in (("cam1", 1), ("cam2", 2)):
        (tmp_path / "SegmentationClass" / camera).mkdir(parents=True)
        Image.fromarray(np.full((4, 5), value, np.uint8)).save(tmp_path / "SegmentationClass" / camera / "f0.png")
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text("cam1/f0\n")
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("JPEGImages/cam2/f0.jpg SegmentationClass/cam2/f0.png\n")
    source = Source(tmp_path, voc)
    assert {name: sample.split for name, sample in source.samples.items()} == {
        "JPEGImages/cam1/f0.jpg": "train",
        "JPEGImages/cam2/f0.jpg": "val",
    }
    assert [int(mask[0, 0]) for mask in source.masks.values()] == [1, 2]
    assert source.kinds == {}


def test_masks_without_images_are_refused_with_the_expected_folder(tmp_path: Path) -> None:
    draw_all(tmp_path, ["SegmentationClass/f0.png", "SegmentationObject/f0.png"])
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nCat:1,1,1::\n")
    assert detect(tmp_path).format is SourceFormat.VOC
    with pytest.raises(DatasetError, match=r"put the images into .*JPEGImages"):
        voc.read(tmp_path, ReadOptions())


def test_exported_masks_include_the_colour_list_that_other_programs_read(tmp_path: Path) -> None:
    table = ClassTable(("ground", "a:b", "#x", "ignored"), ("#000000", "#0a141e", "#ff0000", "#00ff00"))
    write(tmp_path, voc, {"a.png": np.array([[0, 1, 2, 3, 255]], np.uint8)}, table)
    assert (tmp_path / "labelmap.txt").read_text().splitlines() == [
        "# label:color_rgb:parts:actions",
        "ground:0,0,0::",
        "a%3Ab:10,20,30::",
        "%23x:255,0,0::",
        "ignored:0,255,0::",
        "ignored2:224,224,192::",
    ]
    assert Source(tmp_path, voc).table == table
