"""Bodies of masks: what a browser sends is checked to the last byte before anything is made of it."""

import zlib
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given as drawn, strategies as st

from app.services.masks.request import TILE, painted_tiles, whole_mask
from app.services.reviews.store import RefusedError
from core.types import ClassState, IntArray, mask_dtype
from db.queries.masks import MaskedSample


def sample(
    height: int, width: int, classes: int = 5, retired: tuple[int, ...] = (), merged: Mapping[int, int] | None = None
) -> MaskedSample:
    names = [f"class {id_}" for id_ in range(classes)]
    state = ClassState(tuple(names), retired, merged or {})
    return MaskedSample(1, 1, "one", "0" * 32, width, height, None, names, ["#000000"] * classes, state)


def body(mask: IntArray, numbers: list[int]) -> bytes:
    columns = -(-mask.shape[1] // TILE)
    parts = []
    for number in numbers:
        row, column = divmod(number, columns)
        part = mask[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
        parts.append(number.to_bytes(4, "little") + part.astype(part.dtype.newbyteorder("<")).tobytes())
    return zlib.compress(b"".join(parts))


@drawn(st.integers(1, 200), st.integers(1, 200), st.sampled_from([5, 300]), st.data())
def test_applying_the_differing_tiles_gives_the_other_mask(
    height: int, width: int, classes: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    base = random.integers(0, classes, (height, width)).astype(mask_dtype(classes))
    count = -(-height // TILE) * -(-width // TILE)
    numbers = data.draw(st.lists(st.integers(0, count - 1), unique=True))
    edited = base.copy()
    for number in numbers:
        row, column = divmod(number, -(-width // TILE))
        place = edited[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
        place[:] = random.integers(0, classes, place.shape)
    before = base.copy()
    painted = painted_tiles(body(edited, numbers), sample(height, width, classes), base)
    np.testing.assert_array_equal(painted.mask, edited)
    np.testing.assert_array_equal(base, before)
    first, last = painted.rows
    np.testing.assert_array_equal(np.r_[edited[:first], edited[last:]], np.r_[base[:first], base[last:]])
    np.testing.assert_array_equal(whole_mask(zlib.compress(edited.tobytes()), sample(height, width, classes)), edited)


@pytest.mark.parametrize(
    "tiles",
    [
        b"no zlib", zlib.compress(b"\0" * 3), zlib.compress(b"\4\0\0\0" + b"\0" * TILE),
        zlib.compress(b"\0\0\0\0" + b"\0" * (TILE * TILE - 1)), zlib.compress(b"\0\0\0\0" + b"\5" * TILE * TILE),
        zlib.compress(b"\xff\xff\xff\xff"), zlib.compress(b"\0" * (TILE * TILE + 4))[:-2],
        zlib.compress(b"\0" * (TILE * TILE + 4)) + b"more", zlib.compress(bytes(1 << 28)),
    ],
    ids=["other", "a part of a number", "no such tile", "less", "no class", "far", "cut off", "trailing", "bomb"],
)  # fmt: skip
def test_a_body_without_tiles_of_this_mask_is_refused(tiles: bytes) -> None:
    base = np.zeros((TILE + 3, TILE + 3), np.uint8)
    with pytest.raises(RefusedError) as refused:
        painted_tiles(tiles, sample(*base.shape), base)
    assert refused.value.cure
    assert not base.any()


def test_classes_merged_since_are_replaced_and_retired_ones_refused() -> None:
    base, edited = np.zeros((2, 3), np.uint8), np.array([[0, 2, 2], [3, 255, 1]], np.uint8)
    merged = sample(2, 3, merged={2: 1, 3: 0})
    expected = [[0, 1, 1], [0, 255, 1]]
    assert painted_tiles(body(edited, [0]), merged, base).mask.tolist() == expected
    assert whole_mask(zlib.compress(edited.tobytes()), merged).tolist() == expected
    taken, packed = sample(2, 3, retired=(3,)), zlib.compress(edited.tobytes())
    with pytest.raises(RefusedError, match="class 3 was taken back"):
        painted_tiles(body(edited, [0]), taken, base)
    with pytest.raises(RefusedError, match="class 3 was taken back"):
        whole_mask(packed, taken)
