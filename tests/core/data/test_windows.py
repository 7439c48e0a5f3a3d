from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from core.data.images import crop, load_image, load_small, read_facts, thumbnail
from core.data.reading import find_window, read_many
from core.data.windows import FULL, apply_window, parse_window, survey_window, window_text
from core.types import DatasetError, IntArray

RANGES = st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)).map(sorted).filter(lambda ends: ends[0] < ends[1])


def deep(path: Path, values: IntArray, suffix: str = ".png") -> Path:
    path = path.with_suffix(suffix)
    Image.fromarray(values.astype(np.uint16)).save(path)
    return path


def counts(values: IntArray) -> IntArray:
    return np.bincount(values.ravel(), minlength=65_536)


@given(ends=RANGES, values=st.lists(st.integers(0, 65_535), min_size=1))
def test_the_ends_of_the_window_become_black_and_white_and_order_is_kept(ends: list[int], values: list[int]) -> None:
    window = (ends[0], ends[1])
    assert apply_window(np.array(ends, np.uint16), window).tolist() == [0, 255]
    ordered = apply_window(np.sort(np.array(values, np.uint16)), window).astype(int)
    assert (np.diff(ordered) >= 0).all()
    exact = (np.clip(np.sort(values), *window) - window[0]) * 255 / (window[1] - window[0])
    assert np.abs(ordered - exact).max() <= 0.5


@given(ends=RANGES)
def test_a_written_window_reads_back(ends: list[int]) -> None:
    assert parse_window(window_text((ends[0], ends[1]))) == (ends[0], ends[1])


@pytest.mark.parametrize("text", ["1", "9-3", "0-65536", "-1-5", "a-b", "0-10-20", "5-5", "٣-٤x"])
def test_an_invalid_range_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(DatasetError, match="as in 0-4095, or full"):
        parse_window(text)
    assert parse_window(FULL) is None


def test_few_stray_pixels_do_not_widen_the_window() -> None:
    values = np.full(200_000, 1_000)
    values[:100_000] = np.linspace(100, 4_000, 100_000)
    values[:3] = 65_535
    window = survey_window([counts(values)])
    assert window is not None
    assert window[0] == 100
    assert 3_990 <= window[1] <= 4_000


def test_full_range_and_constant_data_need_no_window() -> None:
    assert survey_window([counts(np.linspace(0, 65_535, 10_000).astype(int))]) is None
    assert survey_window([counts(np.full(100, 7))]) is None
    assert survey_window([]) is None


def test_the_window_of_a_dataset_is_found_among_8_bit_images(tmp_path: Path) -> None:
    ramp = np.linspace(0, 4_095, 64 * 64).reshape(64, 64)
    paths = [deep(tmp_path / "a", ramp), deep(tmp_path / "b", ramp, ".tif")]
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(b"no image")
    others = [str(tmp_path / "c.png"), str(tmp_path / "d.png"), str(tmp_path / "gone.png")]
    window = find_window([*map(str, paths), *others])
    assert window is not None
    assert window[0] <= 1
    assert 4_090 <= window[1] <= 4_095
    assert find_window(others) is None


def test_every_reader_applies_the_window(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 1_023, 64).round(), (64, 1))
    path = deep(tmp_path / "a", ramp)
    window = (0, 1_023)
    dark, light = load_image(path, grey=True), load_image(path, grey=True, window=window)
    assert int(dark.max()) == 3
    assert (int(light.min()), int(light.max()), len(np.unique(light))) == (0, 255, 64)
    np.testing.assert_array_equal(load_image(path, grey=False, window=window)[..., 1], light)
    assert int(load_small(path, 64, window=window).max()) == 255
    assert thumbnail(path, 64, window) != thumbnail(path, 64)
    assert crop(path, (32, 0, 32, 64), 32, window) != crop(path, (32, 0, 32, 64), 32)
    steps = deep(tmp_path / "b", np.tile([10, 12, 14, 13, 11, 10, 15, 9, 8], (8, 1)))
    assert read_facts(steps, 10**6, (8, 15)).look_hash != read_facts(steps, 10**6).look_hash
    told = list(read_many([str(steps)] * 70, 10**6, processes=2, window=(8, 15)))
    assert {item.look_hash for item in told} == {read_facts(steps, 10**6, (8, 15)).look_hash}  # type: ignore[union-attr]


def test_8_bit_colour_and_float_images_have_no_window(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (5, 6), np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(rng.integers(0, 255, (5, 6, 3), np.uint8)).save(tmp_path / "colour.png")
    Image.fromarray(rng.random((5, 6)).astype(np.float32)).save(tmp_path / "float.tif")
    for name in ("grey.png", "colour.png", "float.tif"):
        path = tmp_path / name
        np.testing.assert_array_equal(
            load_image(path, grey=False, window=(3, 9)), load_image(path, grey=False), err_msg=name
        )
