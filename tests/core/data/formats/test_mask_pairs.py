import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.formats import mask_pairs
from core.data.formats.detect import detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.data.masks.items import MaskItem, Per
from core.types import ClassTable, DatasetError, IntArray
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source, write

IDS = np.array([[0, 1, 2, 3, 255]] * 4, dtype=np.uint8)


def put(path: Path, pixels: IntArray = IDS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG")


@pytest.mark.parametrize(
    ("image", "mask", "split"),
    [
        ("img_001.jpg", "img_001_mask.png", ""),
        ("train/1.jpg", "train/1_gt.png", "train"),
        ("1_sat.jpg", "1_mask.png", ""),
        ("images/1.jpg", "masks/1.jpg.png", ""),
        ("images/gr\u00f6\u00dfe.jpg", "masks/gro\u0308\u00dfe.png", ""),
        ("images/IMG_1.JPG", "masks/img_1.png", ""),
        ("images/img_0.jpg", "masks/img_0_seg0.png", ""),
        ("images/1.jpg", "masks/1_segmentation.png", ""),
        ("img_dir/train/1.jpg", "ann_dir/train/1.png", "train"),
        ("train/1.jpg", "train_masks/1_mask.gif", "train"),
        ("validation/1.jpg", "validation_annotations/1.png", "val"),
        ("images/1.png", "labels/1.png", ""),
        ("Images/1.jpg", "Masks/1.png", ""),
        ("images/train/1.png", "labels/train/1.png", "train"),
        ("train/images/1.png", "train/masks/1_mask.png", "train"),
        ("wrapped/twice/images/deep/1.png", "wrapped/twice/annotations/deep/1.png", ""),
        ("imgs/validation/1.bmp", "gt/validation/1.bmp", "val"),
    ],
)
def test_common_folder_layouts_are_read(tmp_path: Path, image: str, mask: str, split: str) -> None:
    draw_all(tmp_path, [image])
    put(tmp_path / mask)
    assert detect(tmp_path).format is SourceFormat.MASK_PAIRS
    source = Source(tmp_path, mask_pairs)
    assert {name: sample.split for name, sample in source.samples.items()} == {image: split}
    assert source.masks[image][0].tolist() == [0, 1, 2, 3, 255]
    assert source.kinds == {}


def test_unnamed_classes_are_numbered(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png", "images/2.png"])
    put(tmp_path / "labels/1.png")
    put(tmp_path / "labels/2.png", np.full((4, 5), 6, np.uint8))
    assert Source(tmp_path, mask_pairs).table.names == ("0", "1", "2", "3", "4", "5", "6")


def test_more_than_255_classes_make_16_bit_masks(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png"])
    put(tmp_path / "labels/1.png", np.array([[0, 255, 299, 65_535, 1]] * 4, dtype=np.uint16))
    source = Source(tmp_path, mask_pairs)
    assert len(source.table) == 300
    assert source.masks["images/1.png"][0].tolist() == [0, 255, 299, 65_535, 1]


def test_class_names_and_the_ignored_id_can_be_given_as_options(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png"])
    put(tmp_path / "labels/1.png")
    source = Source(tmp_path, mask_pairs, ReadOptions(class_names="ground, cat, dog", ignore_id=3))
    assert source.table.names == ("ground", "cat", "dog")
    assert source.masks["images/1.png"][0].tolist() == [0, 1, 2, 255, 255]
    many = ",".join(f"class {number}" for number in range(250))
    assert len(Source(tmp_path, mask_pairs, ReadOptions(class_names=many)).table) == 250
    names = tmp_path / "names.txt"
    names.write_text("ground\ncat\ndog\nvoid\n")
    assert Source(tmp_path, mask_pairs, ReadOptions(class_names=str(names))).masks.keys() == source.masks.keys()


def test_an_ignored_id_below_the_classes_keeps_their_ids(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png"])
    put(tmp_path / "labels/1.png")
    source = Source(tmp_path, mask_pairs, ReadOptions(ignore_id=0))
    assert source.masks["images/1.png"][0].tolist() == [255, 1, 2, 3, 255]


def test_masks_of_0_and_255_have_two_classes(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png"])
    put(tmp_path / "masks/1.png", np.array([[0, 255, 0, 0, 0]] * 4, dtype=np.uint8))
    source = Source(tmp_path, mask_pairs)
    assert source.table.names == ("background", "object")
    assert source.masks["images/1.png"][0].tolist() == [0, 1, 0, 0, 0]
    assert source.kinds == {"masks": "only 0 and 255"}
    source = Source(tmp_path, mask_pairs, ReadOptions(ignore_id=255))
    assert source.masks["images/1.png"][0].tolist() == [0, 255, 0, 0, 0]


def test_classes_have_the_colours_of_the_palette(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png"])
    image = Image.fromarray(IDS)
    image.putpalette([value for number in range(256) for value in (number, 7, 9)])
    (tmp_path / "labels").mkdir()
    image.save(tmp_path / "labels/1.png")
    source = Source(tmp_path, mask_pairs)
    assert source.table.colours == ("#000709", "#010709", "#020709", "#030709")


def test_a_colour_file_beside_or_among_the_masks_is_read(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png"])
    put(tmp_path / "labels/1.png", np.array([[(9, 9, 8), (7, 7, 6)] + [(0, 0, 0)] * 3] * 4, dtype=np.uint8))
    (tmp_path / "labels/labelmap.txt").write_text("cat:9,9,8::\ndog:7,7,6::\nvoid:0,0,0::\n")
    assert Source(tmp_path, mask_pairs).masks["images/1.png"][0].tolist() == [0, 1, 255, 255, 255]


def test_images_in_an_unlabelled_folder_are_read_as_unlabelled(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png", "unlabelled/2.png"])
    put(tmp_path / "labels/1.png")
    source = Source(tmp_path, mask_pairs)
    assert source.samples["unlabelled/2.png"].mask is None
    assert source.kinds == {}


def test_images_outside_the_layout_and_second_masks_are_reported(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png", "preview/1.png", "test/1.png"])
    put(tmp_path / "labels/1.bmp")
    put(tmp_path / "labels/1.png")
    (tmp_path / "readme.md").touch()
    assert Source(tmp_path, mask_pairs).kinds == {
        "preview": "outside the pairs",
        "test": "outside the pairs",
        "labels/1.png": "two masks",
    }


def test_a_mask_belongs_to_the_image_with_the_longest_matching_name(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/a.png", "images/a_mask.png"])
    put(tmp_path / "labels/a_mask.png")
    source = Source(tmp_path, mask_pairs)
    assert list(source.masks) == ["images/a_mask.png"]


def test_a_mask_behind_a_link_that_leaves_the_folder_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    draw_all(root, ["images/1.png", "images/2.png"])
    put(root / "labels/1.png")
    put(tmp_path / "secret.png")
    (root / "labels/2.png").symlink_to(tmp_path / "secret.png")
    source = Source(root, mask_pairs)
    assert list(source.masks) == ["images/1.png"]
    assert source.kinds["labels/2.png"] == "link leaves the folder"


def test_images_without_any_mask_are_not_image_mask_pairs(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png", "images/2.png"])
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/1.txt").write_text("0 0.5 0.5 0.1 0.1")
    assert detect(tmp_path).format is SourceFormat.UNLABELLED
    with pytest.raises(DatasetError, match="labels"):
        mask_pairs.read(tmp_path / "images", ReadOptions())


def test_a_mask_whose_name_fits_two_images_is_matched_to_neither(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/a.png", "images/A.png", "images/b.png"])
    put(tmp_path / "masks/a_mask.png")
    put(tmp_path / "masks/b.png")
    source = Source(tmp_path, mask_pairs)
    assert list(source.masks) == ["images/b.png"]
    assert source.kinds["masks/a_mask.png"] == "mask without image"


def test_images_in_two_sizes_are_not_image_mask_pairs(tmp_path: Path) -> None:
    draw_all(tmp_path, ["1.jpg", "1_l.jpg", "2.jpg", "2_l.jpg"])
    assert detect(tmp_path).format is SourceFormat.UNLABELLED


def test_a_few_masks_beside_many_images_do_not_make_a_mask_dataset(tmp_path: Path) -> None:
    draw_all(tmp_path, [*(f"{number}.jpg" for number in range(9)), "1_mask.jpg"])
    assert detect(tmp_path).format is SourceFormat.UNLABELLED


def test_kittis_folders_are_read_with_their_ids(tmp_path: Path) -> None:
    for split in ("train", "test"):
        draw_all(tmp_path, [f"{split}/image_2/1.png", f"{split}/semantic_rgb/1.png", f"{split}/instance/1.png"])
        put(tmp_path / f"{split}/semantic/1.png")
    (tmp_path / "label_colors.txt").write_text("0 0 0 background\n128 64 128 road\n250 170 30 traffic light\n")
    assert detect(tmp_path).format is SourceFormat.MASK_PAIRS
    source = Source(tmp_path, mask_pairs)
    assert source.table.names == ("background", "road", "traffic light")
    assert {name: sample.split for name, sample in source.samples.items()} == {
        "train/image_2/1.png": "train",
        "test/image_2/1.png": "test",
    }
    assert source.kinds == {}


def test_exported_masks_are_in_the_layout_that_datumaro_reads(tmp_path: Path) -> None:
    table = ClassTable(("road", "traffic light"), ("#804080", "#faaa1e"))
    masks = {f"{at}/1.png": np.array([[0, 1, 255]], np.uint8) for at in range(4)}
    files = write(tmp_path, mask_pairs, masks, table, ["train", "val", "odd / split", ""])
    assert files == ["train/images/1.png", "val/images/1.png", "images/odd %2F split/1.png", "images/1.png"]
    for parent in ("train", "val", "."):
        values = json.loads((tmp_path / parent / "dataset_meta.json").read_text())
        assert values["label_map"] == {"0": "road", "1": "traffic light"}
        assert (tmp_path / parent / "masks").is_dir()
    assert (tmp_path / "masks/odd %2F split/1.png").is_file()


@pytest.mark.parametrize(
    ("per", "names"), [(Per.CLASS, ["a%2Fb", "road"]), (Per.PIECE, ["001_road", "002_road", "003_a%2Fb"])]
)
def test_binary_masks_for_each_class_or_piece_are_exported_beside_the_ids(
    tmp_path: Path, per: Per, names: list[str]
) -> None:
    table = ClassTable(("road", "a/b"), ("#804080", "#faaa1e"))
    mask = np.array([[0, 1, 0], [0, 255, 0]], np.uint8)
    item = MaskItem("1.png", "val", tmp_path, 3, 2, lambda: mask)
    draw_all(tmp_path, files := mask_pairs.place([item]))
    mask_pairs.write(tmp_path, [item], table, files, per=per)
    written = sorted((tmp_path / f"{per}_masks/val/1").iterdir())
    assert [path.stem for path in written] == names
    inside = [np.asarray(Image.open(path)) for path in written]
    assert set(np.unique(np.stack(inside))) == {0, 255}
    np.testing.assert_array_equal(sum(one > 0 for one in inside), mask != 255)
    source = Source(tmp_path, mask_pairs)
    assert list(source.samples) == ["val/images/1.png"]
    assert source.kinds == {}
