from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import filling
from core.data.arrays import decoded, fitted
from core.types import ByteArray, RoundCancelledError, RoundError


def written(folder: Path, count: int, size: tuple[int, int] = (8, 8)) -> list[str]:
    rng = np.random.default_rng(0)
    folder.mkdir()
    for index in range(count):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return [str(folder / f"{index}.png") for index in range(count)]


def read(
    paths: list[str],
    cache: Path,
    *,
    size: int = 8,
    grey: bool = False,
    stop: bool = False,
    seen: list[tuple[int, int]] | None = None,
) -> ByteArray:
    return decoded(
        paths,
        paths,
        size=size,
        grey=grey,
        cache=cache,
        report=lambda done, count: None if seen is None else seen.append((done, count)),
        should_stop=lambda: stop,
    )


def test_rows_are_the_images_in_their_order(tmp_path: Path) -> None:
    paths = written(tmp_path / "images", 5)
    array = read(paths, tmp_path / "cache")
    assert array.shape == (5, 8, 8, 3)
    for row, path in zip(array, paths, strict=True):
        np.testing.assert_array_equal(row, np.asarray(Image.open(path)))


def test_several_processes_decode_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = written(tmp_path / "images", 30)
    alone = np.array(read(paths, tmp_path / "one"))
    monkeypatch.setattr(filling, "_ALONE", 10)
    seen: list[tuple[int, int]] = []
    np.testing.assert_array_equal(read(paths, tmp_path / "many", seen=seen), alone)
    assert seen[-1] == (30, 30)


def test_a_second_call_decodes_nothing(tmp_path: Path) -> None:
    paths = written(tmp_path / "images", 3)
    first = np.array(read(paths, tmp_path / "cache"))
    for path in paths:
        Path(path).unlink()
    np.testing.assert_array_equal(read(paths, tmp_path / "cache"), first)


def test_each_size_and_channel_count_has_an_array_of_its_own(tmp_path: Path) -> None:
    paths = written(tmp_path / "images", 3)
    assert read(paths, tmp_path / "cache", size=16).shape == (3, 16, 16, 3)
    assert read(paths, tmp_path / "cache", grey=True).shape == (3, 8, 8, 1)


@pytest.mark.parametrize("alone", [4, 400])
def test_vanished_images_are_named_and_nothing_half_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: int
) -> None:
    paths = written(tmp_path / "images", 12)
    Path(paths[7]).unlink()
    monkeypatch.setattr(filling, "_ALONE", alone)
    with pytest.raises(RoundError, match=r"1 images.*7\.png.*import the dataset again"):
        read(paths, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))
    assert not list((tmp_path / "cache").glob("*partial*"))


def test_decoding_stops_when_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = written(tmp_path / "images", 12)
    monkeypatch.setattr(filling, "_ALONE", 4)
    with pytest.raises(RoundCancelledError):
        read(paths, tmp_path / "cache", stop=True)
    assert not list((tmp_path / "cache").glob("*partial*"))


def test_proportions_are_kept_and_the_edge_fills_up() -> None:
    wide = np.zeros((4, 8), np.uint8)
    wide[0], wide[-1] = 10, 20
    square = fitted(wide, 8)
    assert square.shape == (8, 8, 1)
    np.testing.assert_array_equal(square[2:6, :, 0], wide)
    assert (square[:3] == 10).all()
    assert (square[5:] == 20).all()


@pytest.mark.parametrize(("height", "width"), [(1, 300), (300, 1), (5, 5), (31, 64), (224, 100)])
def test_any_shape_fits_into_the_square(height: int, width: int) -> None:
    assert fitted(np.full((height, width, 3), 7, np.uint8), 32).shape == (32, 32, 3)
    assert (fitted(np.full((height, width, 3), 7, np.uint8), 32) == 7).all()
