from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import filling
from core.data.canvases import extents, image_canvases, mask_canvases, read_mask
from core.data.masks.store import MaskStore
from core.types import IGNORE, WIDE_IGNORE, DatasetError, RoundError

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


def test_all_shapes_lie_in_the_corner_of_one_canvas(tmp_path: Path) -> None:
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


def test_several_processes_fill_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, names, store = scenes(tmp_path / "scenes")
    alone = images(paths, tmp_path / "one"), masks(store, names, tmp_path / "one")
    monkeypatch.setattr(filling, "_ALONE", 2)
    np.testing.assert_array_equal(images(paths, tmp_path / "many"), alone[0])
    np.testing.assert_array_equal(masks(store, names, tmp_path / "many"), alone[1])


def test_a_sample_without_a_mask_is_ignored_throughout(tmp_path: Path) -> None:
    _, names, store = scenes(tmp_path / "scenes")
    assert (masks(store, ["", *names[1:]], tmp_path / "cache")[0] == IGNORE).all()
    many = masks(store, ["", *names[1:]], tmp_path / "cache", classes=300)
    assert many.dtype == np.uint16
    assert (many[0] == WIDE_IGNORE).all()


def test_other_masks_of_the_same_images_are_another_array(tmp_path: Path) -> None:
    _, names, store = scenes(tmp_path / "scenes")
    before = np.array(masks(store, names, tmp_path / "cache"))
    changed = store.put(np.full((20, 40), 1, np.uint8))
    assert (masks(store, [changed, *names[1:]], tmp_path / "cache")[0, :8] == 1).all()
    np.testing.assert_array_equal(masks(store, names, tmp_path / "cache"), before)


def test_an_image_that_changed_its_size_is_named(tmp_path: Path) -> None:
    paths, _, _ = scenes(tmp_path / "scenes")
    with pytest.raises(RoundError, match=r"0\.png \(the image is 40 x 20, it was 41 x 20\)"):
        images(paths, tmp_path / "cache", np.add(SIZES, [[0, 1], [0, 0], [0, 0]]))


def test_masks_that_cannot_be_learnt_are_named_with_a_cure(tmp_path: Path) -> None:
    _, names, store = scenes(tmp_path / "scenes")
    with pytest.raises(RoundError, match="class 1, there are 1; import the dataset again"):
        masks(store, names, tmp_path / "cache", classes=1)
    small = store.put(np.zeros((5, 5), np.uint8))
    with pytest.raises(RoundError, match="the mask is 5 x 5, the image 40 x 20"):
        masks(store, [small, *names[1:]], tmp_path / "cache")
    store.path(names[0]).unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        read_mask(store, names[0], 20, 40, 2)
