from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import array_cache
from core.data.arrays import decode_squares, extents, fit_square, image_canvases, mask_canvases, read_mask
from core.data.masks.store import MaskStore
from core.types import IGNORE, WIDE_IGNORE, ByteArray, DatasetError, RoundCancelledError, RoundError


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
    return decode_squares(
        paths,
        paths,
        size=size,
        grey=grey,
        cache=cache,
        report=lambda done, count: None if seen is None else seen.append((done, count)),
        should_stop=lambda: stop,
    )


def test_rows_are_in_the_order_of_the_images(tmp_path: Path) -> None:
    paths = written(tmp_path / "images", 5)
    array = read(paths, tmp_path / "cache")
    assert array.shape == (5, 8, 8, 3)
    for row, path in zip(array, paths, strict=True):
        np.testing.assert_array_equal(row, np.asarray(Image.open(path)))


def test_several_processes_decode_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = written(tmp_path / "images", 30)
    alone = np.array(read(paths, tmp_path / "one"))
    monkeypatch.setattr(array_cache, "_ALONE", 10)
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
def test_vanished_images_are_named_and_no_partial_array_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: int
) -> None:
    paths = written(tmp_path / "images", 12)
    Path(paths[7]).unlink()
    monkeypatch.setattr(array_cache, "_ALONE", alone)
    with pytest.raises(RoundError, match=r"1 images.*7\.png.*import the dataset again"):
        read(paths, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))
    assert not list((tmp_path / "cache").glob("*partial*"))


def test_decoding_stops_on_cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = written(tmp_path / "images", 12)
    monkeypatch.setattr(array_cache, "_ALONE", 4)
    with pytest.raises(RoundCancelledError):
        read(paths, tmp_path / "cache", stop=True)
    assert not list((tmp_path / "cache").glob("*partial*"))


def test_proportions_are_kept_and_the_edge_is_padded() -> None:
    wide = np.zeros((4, 8), np.uint8)
    wide[0], wide[-1] = 10, 20
    square = fit_square(wide, 8)
    assert square.shape == (8, 8, 1)
    np.testing.assert_array_equal(square[2:6, :, 0], wide)
    assert (square[:3] == 10).all()
    assert (square[5:] == 20).all()


@pytest.mark.parametrize(("height", "width"), [(1, 300), (300, 1), (5, 5), (31, 64), (224, 100)])
def test_any_shape_fits_into_the_square(height: int, width: int) -> None:
    assert fit_square(np.full((height, width, 3), 7, np.uint8), 32).shape == (32, 32, 3)
    assert (fit_square(np.full((height, width, 3), 7, np.uint8), 32) == 7).all()


SIZES = np.array([[20, 40], [40, 20], [30, 30]], np.int32)


def scenes(folder: Path) -> tuple[list[str], list[str], MaskStore]:
    """Write three images whose right half is bright, and masks that say so."""
    folder.mkdir()
    store, paths, names = MaskStore(folder / "masks"), [], []
    for index, (height, width) in enumerate(SIZES.tolist()):
        mask = np.zeros((height, width), np.uint8)
        mask[:, width // 2 :] = 1
        paths.append(str(folder / f"{index}.png"))
        Image.fromarray(mask * np.uint8(200)).save(paths[-1])
        names.append(store.put(mask))
    return paths, names, store


def images(paths: list[str], cache: Path, sizes: np.ndarray = SIZES, *, grey: bool = True) -> np.ndarray:
    said = {"report": lambda *_: None, "should_stop": lambda: False}
    return image_canvases(paths, paths, sizes, size=16, grey=grey, cache=cache, **said)


def masks(store: MaskStore, names: list[str], cache: Path, *, classes: int = 2) -> np.ndarray:
    said = {"report": lambda *_: None, "should_stop": lambda: False}
    return mask_canvases(store, names, SIZES, size=16, classes=classes, cache=cache, **said)


def test_all_shapes_are_placed_in_the_corner_of_one_canvas(tmp_path: Path) -> None:
    paths, names, store = scenes(tmp_path / "scenes")
    assert extents(SIZES, 16).tolist() == [[8, 16], [16, 8], [16, 16]]
    pixels, classes = images(paths, tmp_path / "cache"), masks(store, names, tmp_path / "cache")
    assert (pixels.shape, classes.shape) == ((3, 16, 16, 1), (3, 16, 16))
    for row, (height, width) in enumerate(extents(SIZES, 16).tolist()):
        inside = classes[row, :height, :width]
        assert (inside[:, : width // 2] == 0).all()
        assert (inside[:, width // 2 :] == 1).all()
        assert (classes[row, height:] == IGNORE).all()
        assert (classes[row, :, width:] == IGNORE).all()
        assert (pixels[row, :, width - 1 :] == 200).all()  # the edge goes on
        assert ((pixels[row, :height, : width // 2 - 1, 0] > 100) == 0).all()
    assert images(paths, tmp_path / "cache", grey=False).shape == (3, 16, 16, 3)


def test_several_processes_fill_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, names, store = scenes(tmp_path / "scenes")
    alone = images(paths, tmp_path / "one"), masks(store, names, tmp_path / "one")
    monkeypatch.setattr(array_cache, "_ALONE", 2)
    np.testing.assert_array_equal(images(paths, tmp_path / "many"), alone[0])
    np.testing.assert_array_equal(masks(store, names, tmp_path / "many"), alone[1])


def test_a_sample_without_a_mask_has_only_ignored_pixels(tmp_path: Path) -> None:
    _, names, store = scenes(tmp_path / "scenes")
    assert (masks(store, ["", *names[1:]], tmp_path / "cache")[0] == IGNORE).all()
    many = masks(store, ["", *names[1:]], tmp_path / "cache", classes=300)
    assert many.dtype == np.uint16
    assert (many[0] == WIDE_IGNORE).all()


def test_other_masks_of_the_same_images_get_their_own_array(tmp_path: Path) -> None:
    _, names, store = scenes(tmp_path / "scenes")
    before = np.array(masks(store, names, tmp_path / "cache"))
    changed = store.put(np.full((20, 40), 1, np.uint8))
    assert (masks(store, [changed, *names[1:]], tmp_path / "cache")[0, :8] == 1).all()
    np.testing.assert_array_equal(masks(store, names, tmp_path / "cache"), before)


def test_an_image_whose_size_changed_is_named(tmp_path: Path) -> None:
    paths, _, _ = scenes(tmp_path / "scenes")
    with pytest.raises(RoundError, match=r"0\.png \(the image is 40 x 20, it was 41 x 20\)"):
        images(paths, tmp_path / "cache", np.add(SIZES, [[0, 1], [0, 0], [0, 0]]))


def test_unusable_masks_are_named_with_a_cure(tmp_path: Path) -> None:
    _, names, store = scenes(tmp_path / "scenes")
    with pytest.raises(RoundError, match="class 1, there are 1; import the dataset again"):
        masks(store, names, tmp_path / "cache", classes=1)
    small = store.put(np.zeros((5, 5), np.uint8))
    with pytest.raises(RoundError, match="the mask is 5 x 5, the image 40 x 20"):
        masks(store, [small, *names[1:]], tmp_path / "cache")
    store.path(names[0]).unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        read_mask(store, names[0], 20, 40, 2)
