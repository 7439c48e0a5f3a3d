from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from core.data.masks.turning import orientation_of, shown_size, stored_size, turn

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def save(path: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_rotated_like_their_images(tmp_path: Path, orientation: int) -> None:
    path = save(tmp_path / "1.png", orientation)
    with Image.open(path) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    assert (turn(PIXELS, orientation) == shown).all()
    assert orientation_of(str(path)) == orientation
    assert stored_size(str(path)) == (4, 3)
    assert shown_size(str(path)) == shown.shape[::-1]


def test_an_unreadable_image_counts_as_upright_without_a_size(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no image")
    for path in (str(tmp_path / "1.png"), str(tmp_path / "gone.png"), ""):
        assert orientation_of(path) == 1
        assert shown_size(path) is None
    assert orientation_of(str(save(tmp_path / "2.png", 77))) == 1
