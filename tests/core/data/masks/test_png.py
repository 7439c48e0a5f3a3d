import io
import zlib

import numpy as np
import pytest
from hypothesis import given as drawn, strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from core.data.masks.png import read_facts, to_png
from core.types import IntArray


@drawn(
    st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))
    )
)
def test_every_mask_reads_back_pixel_by_pixel(mask: IntArray) -> None:
    with Image.open(io.BytesIO(to_png(mask))) as image:
        image.verify()
    with Image.open(io.BytesIO(to_png(mask))) as image:
        assert (image.mode.startswith("I"), image.size) == (mask.dtype == np.uint16, mask.shape[::-1])
        np.testing.assert_array_equal(np.asarray(image).astype(mask.dtype), mask)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_memory_layout_of_a_mask_does_not_matter(dtype: type) -> None:
    mask = np.random.default_rng(0).integers(0, 250, (17, 23)).astype(dtype)
    for other in (np.asfortranarray(mask), mask.astype(mask.dtype.newbyteorder(">")), np.repeat(mask, 2, 1)[:, ::2]):
        assert to_png(other) == to_png(mask)


def test_a_png_is_no_larger_than_one_written_by_pillow() -> None:
    y, x = np.mgrid[:300, :400]
    mask = ((x - 200) ** 2 + (y - 150) ** 2 < 90**2).astype(np.uint8) + (y > 200)
    usual = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(usual, format="PNG", compress_level=1)
    assert len(to_png(mask.astype(np.uint8))) <= usual.tell()


def test_unchanged_bands_of_a_painted_mask_are_reused() -> None:
    random = np.random.default_rng(1)
    for dtype, width in ((np.uint8, 5000), (np.uint16, 3000), (np.uint8, 7)):
        mask = random.integers(0, 5, (900, width)).astype(dtype)
        base = to_png(mask)
        painted = mask.copy()
        painted[300:420, :5] = 9
        assert to_png(painted, base, (300, 420)) == to_png(painted)
        assert to_png(mask, base) == base
        assert to_png(painted, to_png(mask[:-1]), (300, 420)) == to_png(painted)  # another size: nothing is taken
        changed = range(300, 421)  # and the row below, which is told by what differs from the last of them
        assert inflated(base, changed) == inflated(to_png(painted, base, (300, 420)), changed)


def inflated(png: bytes, but: range) -> list[bytes]:
    """Return the filtered rows of a PNG, whose zlib stream has the right checksum; some of them left out."""
    at, data = 8, b""
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        data += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    height = int.from_bytes(png[20:24], "big")
    rows = zlib.decompress(data)
    stride = len(rows) // height
    return [rows[row * stride : (row + 1) * stride] for row in range(height) if row not in but]


def test_size_and_depth_are_read_and_any_damage_is_detected() -> None:
    png = to_png(np.zeros((3, 5), np.uint16))
    assert read_facts(png) == (3, 5, 2)
    for at in range(len(png)):
        damaged = bytes([*png[:at], png[at] ^ 1, *png[at + 1 :]])
        with pytest.raises(ValueError, match="it"):
            read_facts(damaged)
    with pytest.raises(ValueError, match="damaged"):
        read_facts(png[:-1])
    coloured = io.BytesIO()
    Image.new("RGB", (2, 2)).save(coloured, "PNG")
    with pytest.raises(ValueError, match="grey"):
        read_facts(coloured.getvalue())
