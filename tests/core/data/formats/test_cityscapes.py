from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.formats import cityscapes
from core.data.formats.detect import detect
from core.data.formats.source import SourceFormat
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source

ROWS = {"labelIds": [7, 26, 0, 3, 33], "labelTrainIds": [0, 13, 255, 255, 18]}


@pytest.mark.parametrize("kind", ROWS)
def test_the_published_cityscapes_layout_is_read(tmp_path: Path, kind: str) -> None:
    for split in ("train", "val"):
        for number in range(2):
            stem = f"aachen_{number:06d}_000019"
            draw_all(tmp_path, [f"leftImg8bit/{split}/aachen/{stem}_leftImg8bit.png"])
            draw_all(
                tmp_path, [f"gtFine/{split}/aachen/{stem}_gtFine_{other}.png" for other in ("color", "instanceIds")]
            )
            mask = np.array([ROWS[kind]] * 4, np.uint8)
            Image.fromarray(mask).save(tmp_path / f"gtFine/{split}/aachen/{stem}_gtFine_{kind}.png")
            (tmp_path / f"gtFine/{split}/aachen/{stem}_gtFine_polygons.json").write_text("{}")
    assert detect(tmp_path).format is SourceFormat.CITYSCAPES
    source = Source(tmp_path, cityscapes)
    assert len(source.table) == 19
    assert (source.table.names[0], source.table.names[13], source.table.names[18]) == ("road", "car", "bicycle")
    assert len(source.masks) == 4
    assert all(mask[0].tolist() == [0, 13, 255, 255, 18] for mask in source.masks.values())
    assert {sample.split for sample in source.samples.values()} == {"train", "val"}
    assert {sample.group for sample in source.samples.values()} == {"aachen_000000", "aachen_000001"}
    assert source.kinds == {}


def test_an_image_without_a_mask_is_unlabelled(tmp_path: Path) -> None:
    draw_all(tmp_path, ["leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png"])
    (tmp_path / "gtFine").mkdir()
    source = Source(tmp_path, cityscapes)
    assert [sample.mask for sample in source.samples.values()] == [None]
    assert list(source.kinds.values()) == ["missing mask"]


def test_ids_have_the_classes_declared_in_a_file_beside_the_folders(tmp_path: Path) -> None:
    """As datumaro writes its own classes, and names that are not a city, sequence and frame."""
    draw_all(tmp_path, ["leftImg8bit/val/a test 3_leftImg8bit.png"])
    (tmp_path / "gtFine/val").mkdir(parents=True)
    Image.fromarray(np.array([[0, 1, 2, 1, 0]] * 4, np.uint8)).save(
        tmp_path / "gtFine/val/a test 3_gtFine_labelIds.png"
    )
    (tmp_path / "label_colors.txt").write_text("0 0 0 background\n128 64 128 road\n250 170 30 traffic light\n")
    source = Source(tmp_path, cityscapes)
    assert source.table.names == ("background", "road", "traffic light")
    (mask,) = source.masks.values()
    assert mask[0].tolist() == [0, 1, 2, 1, 0]
    assert [(sample.split, sample.group) for sample in source.samples.values()] == [("val", "")]
