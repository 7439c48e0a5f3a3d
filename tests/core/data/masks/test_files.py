from pathlib import Path

import numpy as np
from PIL import Image

from core.data.masks.files import survey
from core.types import IntArray


def save(path: Path, pixels: IntArray) -> str:
    Image.fromarray(pixels).save(path)
    return str(path)


def test_pixels_and_files_of_each_value_are_counted(tmp_path: Path) -> None:
    first = save(tmp_path / "1.png", np.array([[0, 0, 7]], np.uint8))
    second = save(tmp_path / "2.png", np.array([[7, 300]], np.uint16))
    third = save(tmp_path / "3.png", np.full((1, 2, 3), 7, np.uint8))  # each value three times
    found = survey([first, second, third])
    assert found.value_pixels == {0: 2, 7: 4, 300: 1}
    assert found.value_files == {0: 1, 7: 3, 300: 1}
    assert (found.files, found.kinds["values"], found.kinds["colours"]) == (3, 3, 0)


def test_colours_are_counted_by_their_codes(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0] = 255, 0, 1
    found = survey([save(tmp_path / "1.png", pixels)])
    assert found.colour_pixels == {0xFF0001: 2, 0: 2}
    assert found.kinds["colours"] == 1
    assert found.values == set()


def test_grey_can_be_a_colour(tmp_path: Path) -> None:
    path = save(tmp_path / "1.png", np.full((1, 2, 3), 7, np.uint8))
    assert survey([path], grey_is_colour=True).colour_pixels == {0x070707: 2}


def test_a_mask_in_the_alpha_channel_is_detected(tmp_path: Path) -> None:
    pixels = np.zeros((1, 2, 4), np.uint8)
    pixels[0, 1, 3] = 255
    path = save(tmp_path / "1.png", pixels)
    assert survey([path]).is_alpha
    assert survey([path], channel="alpha").value_pixels == {0: 1, 255: 1}
    plain = save(tmp_path / "2.png", pixels[..., :3] + np.array([0, 9, 0], np.uint8))
    assert not survey([path, plain]).is_alpha


def test_damaged_files_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no image")
    assert survey([str(tmp_path / "1.png"), str(tmp_path / "gone.png")]).files == 0


def test_floats_and_lossy_files_are_counted(tmp_path: Path) -> None:
    whole, fraction = np.array([[0, 3]], np.float32), np.array([[0, 0.5]], np.float32)
    paths = [save(tmp_path / "1.tif", whole), save(tmp_path / "2.jpg", np.zeros((8, 8), np.uint8))]
    found = survey(paths)
    assert (found.floats, found.lossy, found.whole) == (1, 1, True)
    assert found.values == {0, 3}
    assert not survey([save(tmp_path / "3.tif", fraction)]).whole
