import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.formats import camvid
from core.data.formats.detect import detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.types import ByteArray, ClassTable
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source, write

CHILD, ROAD, SKY, VOID, MARKING = (192, 128, 64), (128, 64, 128), (128, 128, 128), (0, 0, 0), (128, 0, 192)


def paint(path: Path, *colours: tuple[int, int, int]) -> None:
    """A mask for images of 5 x 4 pixels, a column for each colour."""
    pixels: ByteArray = np.array([[*colours, *[VOID] * (5 - len(colours))]] * 4, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    draw_all(
        tmp_path,
        [
            "train/0016E5_00390.png",
            "train/0006R0_f00930.png",
            "val/0016E5_06450.png",
            "test/Seq05VD_f00390.png",
            "unlabeled/train/0001TP_006690.png",
            "unlabeled/train_pseudoIt1/0001TP_006690.png",
        ],
    )
    paint(tmp_path / "train_labels/0016E5_00390_L.png", ROAD, SKY, CHILD, MARKING)
    paint(tmp_path / "train_labels/0006R0_f00930.png", ROAD)
    paint(tmp_path / "val_labels/0016E5_06450.png", SKY)
    paint(tmp_path / "test_labels/Seq05VD_f00390.png", SKY)
    return tmp_path


def test_petracs_folder_layout_is_read(root: Path) -> None:
    assert detect(root).format is SourceFormat.CAMVID
    source = Source(root, camvid)
    assert {name: (sample.split, sample.group) for name, sample in source.samples.items()} == {
        "train/0006R0_f00930.png": ("train", "0006R0"),
        "train/0016E5_00390.png": ("train", "0016E5"),
        "val/0016E5_06450.png": ("val", "0016E5"),
        "test/Seq05VD_f00390.png": ("test", "Seq05VD"),
        "unlabeled/train/0001TP_006690.png": ("train", "0001TP"),
    }
    assert source.samples["unlabeled/train/0001TP_006690.png"].mask is None
    assert len(source.masks) == 4
    assert source.kinds == {}


def test_the_default_map_has_eleven_exact_classes_and_ignores_other_colours(root: Path) -> None:
    source = Source(root, camvid)
    assert [*source.masks["train/0016E5_00390.png"][0]] == [5, 2, 255, 255, 255]
    assert source.table.names[5] == "Road"
    assert source.table.colours[5] == "#804080"


def test_a_mask_without_any_class_colour_is_warned_of(root: Path) -> None:
    paint(root / "val_labels/0016E5_06450.png", CHILD)
    source = Source(root, camvid)
    assert {name: warning.kind for name, warning in source.warnings.items()} == {
        "val/0016E5_06450.png": "no colour of a class"
    }
    assert (source.masks["val/0016E5_06450.png"] == 255).all()


def test_the_merged_map_groups_the_32_colours_into_eleven_classes(root: Path) -> None:
    source = Source(root, camvid, ReadOptions(colour_map="camvid-merged-11"))
    assert [*source.masks["train/0016E5_00390.png"][0]] == [5, 2, 6, 5, 255]


def test_a_declared_map_takes_precedence_and_unknown_colours_are_named(root: Path, tmp_path: Path) -> None:
    declared = tmp_path / "mine.txt"
    declared.write_text("128 64 128 way\n128 128 128 air\n128 0 192 way\n0 0 0 Void\n")
    source = Source(root, camvid, ReadOptions(colour_map=str(declared)))
    assert source.table.names == ("way", "air")
    assert "#c08040 (4 pixels)" in str(source.faults["train/0016E5_00390.png"])
    assert source.masks["train/0006R0_f00930.png"][0].tolist() == [0, 255, 255, 255, 255]
    (root / "label_colors.txt").write_text("192 128 64 Child\n")
    assert Source(root, camvid).table.names == ("Child",)


def test_a_colour_map_outside_the_allowed_folders_is_refused(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "map.txt"
    other.write_text("1 1 1 a\n")
    with pytest.raises(Exception, match="does not read there"):
        camvid.read(root, ReadOptions(colour_map=str(other), allowed_roots=(str(root),)))


def test_a_split_without_masks_is_read_as_unlabelled(root: Path) -> None:
    (root / "test_labels/Seq05VD_f00390.png").unlink()
    (root / "test_labels").rmdir()
    source = Source(root, camvid)
    assert source.samples["test/Seq05VD_f00390.png"].mask is None
    assert source.kinds == {}


def test_masks_of_ids_have_the_eleven_classes(tmp_path: Path) -> None:
    draw_all(tmp_path, ["camvid/train/images/0016E5_00390.jpg", "camvid/val/images/0016E5_08000.jpg"])
    assert camvid.recognise(tmp_path) == ""
    (tmp_path / "camvid/train/labels").mkdir()
    Image.fromarray(np.array([[0, 5, 10, 11, 3]] * 4, np.uint8)).save(tmp_path / "camvid/train/labels/0016E5_00390.png")
    assert detect(tmp_path).format is SourceFormat.CAMVID
    source = Source(tmp_path, camvid)
    assert (source.table.names[0], source.table.names[10], len(source.table)) == ("Sky", "Bicyclist", 11)
    (mask,) = source.masks.values()
    assert mask[0].tolist() == [0, 5, 10, 255, 3]


def camvid_archive() -> Path | None:
    folders = [Path(os.environ["OUTFOLD_DATA"])] if "OUTFOLD_DATA" in os.environ else []
    folders.append(Path(__file__).parents[4] / ".." / "shared" / "data")
    return next((folder / "camvid.tar" for folder in folders if (folder / "camvid.tar").is_file()), None)


@pytest.mark.slow
def test_the_published_camvid_layout_is_read(tmp_path: Path) -> None:
    archive = camvid_archive()
    if archive is None:
        pytest.skip("camvid.tar is neither in $OUTFOLD_DATA nor in ../shared/data")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    assert detect(tmp_path).format is SourceFormat.CAMVID
    source = Source(tmp_path, camvid)
    assert source.problems.kept == []
    assert source.faults == source.warnings == {}
    assert len(source.masks) == 367 + 101 + 233
    assert {sample.group for sample in source.samples.values()} == {"0001TP", "0006R0", "0016E5", "Seq05VD"}
    pixels = sum(np.bincount(mask.ravel(), minlength=256) for mask in source.masks.values())
    assert pixels[11:255].sum() == 0
    assert pixels[source.table.names.index("Road")] == max(pixels)


def test_segnets_folder_layout_is_read(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        draw_all(tmp_path, [f"{split}/{number}.png" for number in range(2)])
        (tmp_path / f"{split}annot").mkdir()
        for number in range(2):
            mask = np.array([[3, 3, 0, 0, 11]] * 4, np.uint8)
            Image.fromarray(mask).save(tmp_path / f"{split}annot" / f"{number}.png")
    assert detect(tmp_path).format is SourceFormat.CAMVID
    source = Source(tmp_path, camvid)
    assert source.table.names[:4] == ("Sky", "Building", "Pole", "Road")
    assert {sample.split for sample in source.samples.values()} == {"train", "val", "test"}
    assert all(mask[0].tolist() == [3, 3, 0, 0, 255] for mask in source.masks.values())
    assert source.kinds == {}


def test_exported_masks_include_colours_and_lists_that_other_programs_read(tmp_path: Path) -> None:
    table = ClassTable(("road", "traffic light"), ("#804080", "#faaa1e"))
    masks = {"a b.png": np.array([[0, 1, 255]], np.uint8), "c.jpg": np.array([[1, 1, 1]], np.uint8), "d.png": None}
    write(tmp_path, camvid, masks, table, ["train", "val", "train"])
    assert (tmp_path / "label_colors.txt").read_text() == "128 64 128 road\n250 170 30 traffic light\n0 0 0 Void\n"
    assert (tmp_path / "train.txt").read_text() == '"/train/a b.png" "train_labels/a b.png"\n'
    assert (tmp_path / "val.txt").read_text() == '"/val/c.jpg" "val_labels/c.png"\n'
    meta = json.loads((tmp_path / "dataset_meta.json").read_text())
    assert meta["label_map"] == {"0": "road", "1": "traffic light", "2": "Void"}
    assert meta["segmentation_colors"] == [[128, 64, 128], [250, 170, 30], [0, 0, 0]]
