import io

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from core.data.masks.png import to_png
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
def test_a_mask_that_lies_otherwise_in_memory_is_the_same(dtype: type) -> None:
    mask = np.random.default_rng(0).integers(0, 250, (17, 23)).astype(dtype)
    for other in (np.asfortranarray(mask), mask.astype(mask.dtype.newbyteorder(">")), np.repeat(mask, 2, 1)[:, ::2]):
        assert to_png(other) == to_png(mask)


def test_it_is_no_larger_than_what_others_write() -> None:
    y, x = np.mgrid[:300, :400]
    mask = ((x - 200) ** 2 + (y - 150) ** 2 < 90**2).astype(np.uint8) + (y > 200)
    usual = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(usual, format="PNG", compress_level=1)
    assert len(to_png(mask.astype(np.uint8))) <= usual.tell()
