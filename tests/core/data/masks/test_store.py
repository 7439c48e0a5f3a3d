"""Masks by content: stored once, read back equal, rewritten when damaged."""

from pathlib import Path

import numpy as np
import pytest

from core.data.masks.store import MaskStore, classes_in, mask_hash
from core.types import IGNORE, WIDE_IGNORE, DatasetError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_reads_back_and_is_stored_once(dtype: type, tmp_path: Path) -> None:
    store = MaskStore(tmp_path)
    mask = np.random.default_rng(0).integers(0, 300, (7, 9)).astype(dtype)
    name = store.put(mask)
    kept = store.path(name).stat().st_mtime_ns
    assert store.put(mask.copy(order="F")) == name
    assert store.path(name).stat().st_mtime_ns == kept
    read = store.get(name)
    assert read.dtype == mask.dtype
    assert (read == mask).all()
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_the_hash_depends_on_size_and_bit_depth() -> None:
    zeros = np.zeros((2, 8), np.uint8)
    assert len({mask_hash(zeros), mask_hash(zeros.reshape(4, 4)), mask_hash(zeros.reshape(2, 8).view(np.uint16))}) == 3


@pytest.mark.parametrize("damage", [b"", b"no image", None])
def test_a_damaged_mask_is_reported_and_repaired_by_storing_it_again(damage: bytes | None, tmp_path: Path) -> None:
    store = MaskStore(tmp_path)
    mask = np.arange(20, dtype=np.uint8).reshape(4, 5)
    name = store.put(mask)
    path = store.path(name)
    path.write_bytes(path.read_bytes()[:45] if damage is None else damage)
    with pytest.raises(DatasetError, match="import the dataset again"):
        store.get(name)
    store.put(mask, durable=False)
    assert (store.get(name) == mask).all()


def test_a_painted_mask_is_also_stored_by_its_content(tmp_path: Path) -> None:
    store = MaskStore(tmp_path)
    mask = np.random.default_rng(2).integers(0, 4, (700, 2000)).astype(np.uint8)
    base = store.put(mask)
    painted = mask.copy()
    painted[5, 6] = 9
    name = store.put_edited(painted, base, (5, 6))
    assert name == mask_hash(painted)
    np.testing.assert_array_equal(store.get(name), painted)
    store.path(name).unlink()
    store.path(base).write_bytes(b"no mask")
    with pytest.raises(DatasetError, match="import the dataset again"):
        store.put_edited(painted, base, (5, 6))


def test_the_file_of_a_mask_is_returned_only_for_the_right_size_and_depth(tmp_path: Path) -> None:
    store = MaskStore(tmp_path)
    name = store.put(np.zeros((4, 5), np.uint8))
    assert store.data(name, (4, 5), 1) == store.path(name).read_bytes()
    assert store.data(name, (5, 4), 1) is None
    assert store.data(name, (4, 5), 2) is None
    store.path(name).write_bytes(b"no mask")
    with pytest.raises(DatasetError, match="import the dataset again"):
        store.data(name, (4, 5), 1)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "0" * 31, "G" * 32])
def test_a_name_that_is_not_a_hash_opens_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a mask"):
        MaskStore(tmp_path).path(name)


def test_the_classes_of_a_mask_do_not_include_ignore() -> None:
    assert classes_in(np.array([[3, 0], [IGNORE, 3]], np.uint8)) == [0, 3]
    assert classes_in(np.array([[300, WIDE_IGNORE]], np.uint16)) == [300]
    assert classes_in(np.full((2, 2), IGNORE, np.uint8)) == []
