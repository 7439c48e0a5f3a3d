import io

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from PIL import Image

from core.data.overlays import ORANGE, coloured, crop_around, filled, outline
from core.types import IGNORE, WIDE_IGNORE, Region

sides = st.integers(1, 3000)


def seen(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA"))


@drawn(sides, sides, st.data())
def test_a_crop_lies_in_the_image_and_holds_its_region(width: int, height: int, data: st.DataObject) -> None:
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    wide, high = data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))
    x, y, crop_wide, crop_high = crop_around((left, top, wide, high), width, height)
    assert 0 <= x <= left
    assert 0 <= y <= top
    assert left + wide <= x + crop_wide <= width
    assert top + high <= y + crop_high <= height
    assert crop_wide >= width // 3
    assert crop_high >= height // 3


@pytest.mark.parametrize("box", [(0, 0, 3, 3), (200, 150, 100, 40), (470, 350, 10, 10)])
def test_a_crop_is_four_to_three_where_the_image_allows_it(box: tuple[int, int, int, int]) -> None:
    _, _, width, height = crop_around(box, 480, 360)
    assert width / height == pytest.approx(4 / 3, abs=0.02)


def test_the_region_is_filled_where_it_lies_and_lined_along_its_border() -> None:
    inside = np.zeros((90, 120), bool)
    inside[30:60, 40:80] = True
    region, crop = Region.of(inside), (20, 15, 80, 60)
    fill, line = seen(filled(region, crop, 320)), seen(outline(region, crop, 320))
    assert fill.shape == line.shape == (240, 320, 4)
    np.testing.assert_array_equal(fill[..., 3] > 0, np.kron(inside[15:75, 20:100], np.ones((4, 4))) > 0)
    assert tuple(line[line[..., 3] > 0][0, :3]) == ORANGE
    assert not line[120, 160, 3]
    assert line[60, 120, 3]


def test_a_region_at_the_edge_of_its_crop_is_drawn_whole() -> None:
    region = Region.of(np.ones((3, 4), bool))
    assert (seen(filled(region, (0, 0, 4, 3), 192))[..., 3] > 0).all()


@pytest.mark.parametrize(("classes", "dtype", "ignore"), [(3, np.uint8, IGNORE), (255, np.uint8, IGNORE),
                                                          (300, np.uint16, WIDE_IGNORE)])  # fmt: skip
def test_every_class_has_its_colour_and_ignore_none(classes: int, dtype: type, ignore: int) -> None:
    colours = [f"#{place:02x}{255 - place % 256:02x}07" if place < 256 else f"#{place:06x}" for place in range(classes)]
    mask = np.append(np.arange(classes), [ignore] * (600 - classes)).astype(dtype).reshape(20, 30)
    picture = seen(coloured(mask, colours)).reshape(-1, 4)
    assert [f"#{bytes(pixel[:3]).hex()}" for pixel in picture[:classes]] == colours
    assert (picture[:classes, 3] == 255).all()
    assert not picture[classes:, 3].any()
