from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from pycocotools import mask as coco

from core.data.images import MaskError
from core.data.masks.runs import decode_brush, decode_coco, encode_brush, encode_coco

shapes = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


@given(shapes)
def test_packed_runs_are_unpacked_unchanged(inside: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(decode_coco(encode_coco(inside)["counts"], *inside.shape), inside)
    np.testing.assert_array_equal(decode_brush(encode_brush(inside), *inside.shape), inside)


@given(shapes)
def test_counts_are_decoded_as_by_pycocotools(inside: NDArray[np.bool_]) -> None:
    packed = {"size": list(inside.shape), "counts": encode_coco(inside)["counts"].encode()}
    np.testing.assert_array_equal(coco.decode(packed).astype(bool), inside)
    flat = inside.T.ravel()
    numbers = [len(run) for run in np.split(flat, np.flatnonzero(np.diff(flat)) + 1)]
    np.testing.assert_array_equal(decode_coco([0, *numbers] if flat[0] else numbers, *inside.shape), inside)


@given(shapes)
def test_integral_floats_and_bytes_as_text_are_accepted_as_counts(inside: NDArray[np.bool_]) -> None:
    text = encode_coco(inside)["counts"]
    np.testing.assert_array_equal(decode_coco(str(text.encode()), *inside.shape), inside)
    flat = inside.T.ravel()
    numbers = [float(len(run)) for run in np.split(flat, np.flatnonzero(np.diff(flat)) + 1)]
    np.testing.assert_array_equal(decode_coco([0.0, *numbers] if flat[0] else numbers, *inside.shape), inside)


@pytest.mark.parametrize("counts", [[1.5, 2.5], [float("nan")], [float("inf")], ["4"]])
def test_counts_that_are_not_integers_are_refused(counts: list[object]) -> None:
    with pytest.raises(MaskError, match="neither text nor whole numbers"):
        decode_coco(counts, 2, 2)


@given(shapes)
def test_a_brush_is_decoded_as_by_the_published_decoder(inside: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(unpacked(encode_brush(inside)).reshape(*inside.shape, 4)[..., 3] > 0, inside)


@given(st.integers(0, 1000))
def test_a_brush_with_literals_and_runs_is_read(seed: int) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 2, (11, 7, 4)).astype(np.uint8) * random.integers(1, 255)
    np.testing.assert_array_equal(decode_brush(packed_with_literals(pixels.ravel(), random), 11, 7), pixels[..., 3] > 0)


def test_runs_longer_than_a_token_are_encoded() -> None:
    inside = np.zeros((600, 700), dtype=bool)
    inside[3:590] = True
    np.testing.assert_array_equal(decode_brush(encode_brush(inside), 600, 700), inside)


@given(st.lists(st.integers(0, 255), max_size=60))
def test_any_bytes_give_a_mask_or_a_mask_error(data: list[int]) -> None:
    header = [0, 0, 0, 4 * 6]
    for packed in (data, header + data):
        with suppress(MaskError):
            assert decode_brush(packed, 2, 3).shape == (2, 3)


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=20))
def test_any_text_gives_a_mask_or_a_mask_error(counts: str) -> None:
    with suppress(MaskError):
        assert decode_coco(counts, 2, 3).shape == (2, 3)


def test_words_of_another_size_are_refused() -> None:
    data = encode_brush(np.ones((2, 3), dtype=bool))
    data[4] ^= 0b0000_1000
    with pytest.raises(MaskError, match="words of"):
        decode_brush(data, 2, 3)


def unpacked(packed: list[int]) -> NDArray[np.uint8]:
    """The decoder of thi.ng's rle-pack, bit by bit."""
    bits, at = "".join(f"{byte:08b}" for byte in packed), 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    values = np.zeros(take(32), dtype=np.uint8)
    word = take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    done = 0
    while done < len(values):
        is_run = take(1)
        end = done + 1 + take(sizes[take(2)])
        if is_run:
            values[done:end] = take(word)
            done = end
        while done < end:
            values[done] = take(word)
            done += 1
    return values


def packed_with_literals(values: NDArray[np.uint8], random: np.random.Generator) -> list[int]:
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    at = 0
    while at < len(values):
        count = int(min(random.integers(1, 200), len(values) - at))
        if random.random() < 0.5:
            bits += f"0{3:02b}{count - 1:016b}" + "".join(f"{value:08b}" for value in values[at : at + count])
        else:
            count = 1
            bits += f"1{0:02b}{0:03b}{values[at]:08b}"
        at += count
    bits += "0" * (-len(bits) % 8)
    return [int(bits[first : first + 8], 2) for first in range(0, len(bits), 8)]
