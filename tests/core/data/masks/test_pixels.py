from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.images import MaskError
from core.data.masks.colours import IGNORED
from core.data.masks.pixels import PixelCode, read_pixels
from core.types import IntArray

IDS = PixelCode(coloured=False)


def read(path: Path, pixels: IntArray | Image.Image, code: PixelCode, classes: int, **options: Any) -> list[int]:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **{"format": "PNG", **options})
    mask, _ = read_pixels(code.reference(str(path)), *image.size, classes)
    assert mask.dtype == (np.uint8 if classes <= 255 else np.uint16)
    row: list[int] = mask[0].tolist()
    return row


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_ids_in_greyscale_are_read(tmp_path: Path, form: str) -> None:
    assert read(tmp_path / "a", np.array([[0, 2, 255]], np.uint8), IDS, 3, format=form) == [0, 2, 255]


def test_16_bit_ids_are_read(tmp_path: Path) -> None:
    wide = np.array([[0, 255, 299, 65_535]], dtype=np.uint16)
    assert read(tmp_path / "a", wide, IDS, 300) == [0, 255, 299, 65_535]
    assert read(tmp_path / "a", np.array([[2, 255, 65_535]], np.uint16), IDS, 3) == [2, 255, 255]


def test_255_in_an_8_bit_mask_is_a_class_when_more_classes_are_declared(tmp_path: Path) -> None:
    assert read(tmp_path / "a", np.array([[0, 255]], np.uint8), IDS, 300) == [0, 255]


def test_ids_of_one_bit_or_with_an_alpha_channel_are_read(tmp_path: Path) -> None:
    assert read(tmp_path / "a", Image.fromarray(np.array([[True, False]])), IDS, 2) == [1, 0]
    assert read(tmp_path / "a", Image.fromarray(np.array([[[1, 9], [0, 9]]], np.uint8), "LA"), IDS, 2) == [1, 0]


def test_numbers_outside_the_id_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="3 classes"):
        read(tmp_path / "a", np.array([[-1, 70_000]], np.int32), IDS, 3, format="TIFF")


def test_values_can_be_mapped_to_other_ids(tmp_path: Path) -> None:
    code = PixelCode(coloured=False, values=((0, IGNORED), (1, 0), (2, 1), (300, 1)))
    assert read(tmp_path / "a", np.array([[0, 1, 2]], np.uint8), code, 2) == [255, 0, 1]


def test_palette_indices_are_read_as_ids(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 2, 255]], np.uint8))
    image.putpalette([*range(256)] * 3)
    assert read(tmp_path / "a", image, IDS, 3) == [0, 2, 255]


def test_colours_are_read_with_and_without_alpha_and_from_a_palette(tmp_path: Path) -> None:
    code = PixelCode(coloured=True, colours=((0xFF0000, 1), (0x000001, IGNORED)), others_ignored=False)
    pixels = np.array([[(255, 0, 0), (0, 0, 1)]], dtype=np.uint8)
    assert read(tmp_path / "a", pixels, code, 2) == [1, 255]
    assert read(tmp_path / "a", Image.fromarray(pixels).convert("RGBA"), code, 2) == [1, 255]
    assert read(tmp_path / "a", Image.fromarray(pixels).quantize(), code, 2) == [1, 255]


def test_all_other_colours_can_be_ignored(tmp_path: Path) -> None:
    code = PixelCode(coloured=True, colours=((0xFF0000, 1),), others_ignored=True)
    assert read(tmp_path / "a", np.array([[(255, 0, 0), (7, 7, 7)]], dtype=np.uint8), code, 2) == [1, 255]


def test_a_pixel_code_survives_json() -> None:
    import json

    code = PixelCode(coloured=True, colours=((1, 2), (3, -1)), others_ignored=True, values=((11, -1),))
    assert PixelCode.of(json.loads(json.dumps(code.reference("/a.png")))) == code


def test_other_image_modes_are_refused_as_masks(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="CMYK"):
        read(tmp_path / "a", Image.new("CMYK", (2, 2)), IDS, 3, format="TIFF")
