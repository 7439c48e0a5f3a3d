from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.contents import Empty, empty_kind, empty_kinds

NOISE = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("level", "noise", "kind"),
    [(0, 0, Empty.BLACK), (6, 2, Empty.BLACK), (255, 0, Empty.WHITE), (120, 2, Empty.FLAT), (120, 40, None)],
)
def test_images_of_one_colour_are_told_by_it(level: int, noise: int, kind: Empty | None) -> None:
    grey = np.clip(NOISE.normal(level, noise, (64, 64)), 0, 255).astype(np.uint8)
    assert empty_kind(grey) is kind


def test_a_few_pixels_on_one_colour_are_no_content() -> None:
    grey = np.full((64, 64), 250, np.uint8)
    grey[3:8, 3:8] = 0
    assert empty_kind(grey) is Empty.SPARSE


def test_a_thin_stroke_is_content() -> None:
    grey = np.zeros((28, 28), np.uint8)
    grey[4:24, 13:15] = 255
    assert empty_kind(grey) is None


def test_files_are_judged_and_what_cannot_be_read_is_left_to_the_import(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480), (0, 0, 0)).save(tmp_path / "black.jpg")
    pixels = NOISE.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    (tmp_path / "none.png").write_bytes(b"no image")
    paths = [str(tmp_path / name) for name in ("black.jpg", "noise.png", "none.png")]
    assert empty_kinds(paths) == [Empty.BLACK, None, None]
