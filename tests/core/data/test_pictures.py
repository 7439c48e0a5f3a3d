import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as drawn, strategies as st
from PIL import Image

from core.data.pictures import (
    EDGE,
    ORANGE,
    Tile,
    colour_mask,
    crop_around,
    cut_tile,
    fill_region,
    find,
    keep,
    outline,
)
from core.types import IGNORE, WIDE_IGNORE, ByteArray, Region


def noise(colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).point(lambda value: (value + colour) % 256).save(buffer, format="WEBP")
    return buffer.getvalue()


def test_a_kept_picture_is_found_again_and_is_an_ordinary_image_file(tmp_path: Path) -> None:
    path, picture = tmp_path / "a" / "picture.webp", noise(1)
    assert find(path) is None
    keep(path, picture)
    assert find(path) == picture
    with Image.open(path) as opened:
        opened.load()
        assert opened.size == (64, 64)


@pytest.mark.parametrize("left", [0, 3, 4, 5, 600])
def test_a_truncated_file_is_not_found(tmp_path: Path, left: int) -> None:
    path = tmp_path / "picture.webp"
    keep(path, noise(2))
    path.write_bytes(path.read_bytes()[:left])
    assert find(path) is None


def test_a_file_with_zeroed_bytes_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "picture.webp"
    keep(path, noise(3))
    data = path.read_bytes()
    path.write_bytes(bytes(len(data)))
    assert find(path) is None
    path.write_bytes(data[:300] + bytes(len(data) - 300))
    assert find(path) is None


WIDTH, HEIGHT = 2 * EDGE + 37, EDGE + 101


@pytest.fixture(scope="module")
def pixels() -> ByteArray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, np.full_like(x, 40)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_tiles_together_make_up_the_image(pixels: ByteArray, level: int) -> None:
    side = EDGE << level
    rows = [
        np.concatenate([read(pixels, level, column, row) for column in range(-(-WIDTH // side))], axis=1)
        for row in range(-(-HEIGHT // side))
    ]
    whole = np.concatenate(rows, axis=0)
    small = np.asarray(Image.fromarray(pixels).reduce(1 << level))
    assert whole.shape == small.shape
    assert np.abs(whole.astype(int) - small).mean() < 3  # as WebP keeps it


@pytest.mark.parametrize("tile", [(0, 3, 0), (0, 0, 2), (2, 1, 0)])
def test_there_are_no_tiles_beyond_the_image(pixels: ByteArray, tile: Tile) -> None:
    assert cut_tile(pixels, tile) is None


def read(pixels: ByteArray, level: int, column: int, row: int) -> ByteArray:
    found = cut_tile(pixels, (level, column, row))
    assert found is not None
    with Image.open(io.BytesIO(found)) as image:
        return np.asarray(image)


sides = st.integers(1, 3000)


def seen(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA"))


@drawn(sides, sides, st.data())
def test_a_crop_is_within_the_image_and_contains_its_region(width: int, height: int, data: st.DataObject) -> None:
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
def test_a_crop_has_an_aspect_ratio_of_4_to_3_if_the_image_allows_it(box: tuple[int, int, int, int]) -> None:
    _, _, width, height = crop_around(box, 480, 360)
    assert width / height == pytest.approx(4 / 3, abs=0.02)


def test_the_region_is_filled_and_outlined_at_its_place() -> None:
    inside = np.zeros((90, 120), bool)
    inside[30:60, 40:80] = True
    region, crop = Region.of(inside), (20, 15, 80, 60)
    fill, line = seen(fill_region(region, crop, 320)), seen(outline(region, crop, 320))
    assert fill.shape == line.shape == (240, 320, 4)
    np.testing.assert_array_equal(fill[..., 3] > 0, np.kron(inside[15:75, 20:100], np.ones((4, 4))) > 0)
    assert tuple(line[line[..., 3] > 0][0, :3]) == ORANGE
    assert not line[120, 160, 3]
    assert line[60, 120, 3]


def test_a_region_at_the_edge_of_its_crop_is_drawn_whole() -> None:
    region = Region.of(np.ones((3, 4), bool))
    assert (seen(fill_region(region, (0, 0, 4, 3), 192))[..., 3] > 0).all()


@pytest.mark.parametrize(("classes", "dtype", "ignore"), [(3, np.uint8, IGNORE), (255, np.uint8, IGNORE),
                                                          (300, np.uint16, WIDE_IGNORE)])  # fmt: skip
def test_every_class_has_a_colour_and_ignore_has_none(classes: int, dtype: type, ignore: int) -> None:
    colours = [f"#{place:02x}{255 - place % 256:02x}07" if place < 256 else f"#{place:06x}" for place in range(classes)]
    mask = np.append(np.arange(classes), [ignore] * (600 - classes)).astype(dtype).reshape(20, 30)
    picture = seen(colour_mask(mask, colours)).reshape(-1, 4)
    assert [f"#{bytes(pixel[:3]).hex()}" for pixel in picture[:classes]] == colours
    assert (picture[:classes, 3] == 255).all()
    assert not picture[classes:, 3].any()
