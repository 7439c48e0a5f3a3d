"""Run lengths of COCO and Label Studio, checked before a pixel is written.

COCO: lengths of runs down the columns, outside and inside in turn, as numbers or packed into text. Label Studio: a
stream of bits that packs the bytes of an RGBA picture whose alpha is above 0 inside (thi.ng's rle-pack): 32 bits
number of bytes, 5 bits word size - 1, four times 4 bits length size - 1; then tokens of 1 bit (run or literal), 2 bits
index of the length size, the length - 1, and one word, or as many as the length. All functions use (H, W) bool masks.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from core.data.images import MaskError

Inside = NDArray[np.bool_]
_LENGTH_SIZES = (3, 4, 8, 16)  # bits, as Label Studio itself writes
_WORD = 8  # bits
_HEADER = 32 + 5 + 4 * 4  # bits
_CHANNELS = 4
_CURE = "export the annotations again; if that does not help, draw this one anew"


def decode_coco(counts: Any, height: int, width: int) -> Inside:  # noqa: ANN401 whatever the file holds
    """Return the pixels inside, from counts as text or as numbers.

    Raises:
        MaskError: the counts are invalid, or cover another number of pixels.
    """
    lengths = _unpack_counts(_plain(counts)) if isinstance(counts, str) else _numbers(counts)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise MaskError(
            "damaged run lengths", f"they cover {int(lengths.sum())} pixels, the image has {height * width}", _CURE
        )
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return inside.reshape(width, height).T


def encode_coco(inside: Inside) -> dict[str, Any]:
    """Return the run lengths packed into text, with their size, as COCO files hold them."""
    packed = coco.encode(np.asfortranarray(inside, dtype=np.uint8))  # type: ignore[no-untyped-call]
    return {"size": list(inside.shape), "counts": packed["counts"].decode("ascii")}


def decode_brush(packed: Any, height: int, width: int) -> Inside:  # noqa: ANN401 whatever the file holds
    """Return the pixels inside, from Label Studio's list of bytes.

    Raises:
        MaskError: the list is invalid, or holds another number of pixels.
    """
    try:
        data = bytes(packed if isinstance(packed, list) else [packed])
    except (TypeError, ValueError) as error:
        raise MaskError("damaged brush", f"its rle is not a list of bytes ({error})", _CURE) from error
    size = height * width * _CHANNELS
    bits = _Bits(data)
    if bits.take(32) != size:
        raise MaskError("wrong brush size", f"its rle is not of {width} x {height} pixels", _CURE)
    word = bits.take(5) + 1
    sizes = [bits.take(4) + 1 for _ in _LENGTH_SIZES]
    if word != _WORD:
        raise MaskError("damaged brush", f"its rle has words of {word} bits instead of {_WORD}", _CURE)
    values = np.zeros(size, dtype=np.uint8)
    at = 0
    while at < size:
        kind = bits.take(3)
        length = sizes[kind & 3]
        if kind & 4:  # a run: its length and its one word, read at once because there are many
            token = bits.take(length + _WORD)
            end, word = at + 1 + (token >> _WORD), token & 255
        else:
            end = at + 1 + bits.take(length)
        if end > size:
            raise MaskError("damaged brush", "its rle holds more pixels than the image", _CURE)
        values[at:end] = word if kind & 4 else bits.words(end - at)
        at = end
    return values[_CHANNELS - 1 :: _CHANNELS].reshape(height, width) > 0


def encode_brush(inside: Inside) -> list[int]:
    """Return Label Studio's list of bytes."""
    flat = np.ascontiguousarray(inside).ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(np.append(starts, flat.size)) * _CHANNELS
    longest = 1 << _LENGTH_SIZES[-1]
    pieces = (lengths + longest - 1) // longest
    values = np.repeat(np.where(flat[starts], 255, 0), pieces)
    counts = np.full(len(values), longest)
    counts[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * longest
    which = np.searchsorted(1 << np.array(_LENGTH_SIZES), counts)
    size = np.array(_LENGTH_SIZES)[which]
    tokens = ((((4 + which) << size) | (counts - 1)) << _WORD) | values  # 4: the bit that says it is a run
    header = [(flat.size * _CHANNELS, 32), (_WORD - 1, 5), *((bits - 1, 4) for bits in _LENGTH_SIZES)]
    numbers = np.concatenate([[number for number, _ in header], tokens]).astype(np.int64)
    widths = np.concatenate([[bits for _, bits in header], 3 + size + _WORD])
    ends = np.cumsum(widths)
    left = np.repeat(ends, widths) - 1 - np.arange(ends[-1])  # bits of the same number still to come
    packed: list[int] = np.packbits((np.repeat(numbers, widths) >> left) & 1).tolist()
    return packed


class _Bits:
    """Reads numbers from a stream of bits."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> int:
        """Return the next number of this many bits, at most 32."""
        first, end = self.at >> 3, self.at + count
        self._check(end)
        last = (end + 7) >> 3
        number = int.from_bytes(self.data[first:last], "big") >> ((last << 3) - end)
        self.at = end
        return number & ((1 << count) - 1)

    def words(self, count: int) -> NDArray[np.uint8]:
        """Return the next bytes, also if they are not aligned."""
        first, shift, end = self.at >> 3, self.at & 7, self.at + count * _WORD
        self._check(end)
        self.at = end
        raw = np.frombuffer(self.data[first : first + count + 1].ljust(count + 1, b"\0"), dtype=np.uint8)
        wide = (raw[:-1].astype(np.uint16) << 8 | raw[1:]) >> (8 - shift)
        return (wide & 255).astype(np.uint8)

    def _check(self, end: int) -> None:
        if end > len(self.data) << 3:
            raise MaskError("damaged brush", "its rle ends too early", _CURE)


def _numbers(counts: Any) -> NDArray[np.int64]:  # noqa: ANN401 whatever the file holds
    is_list = isinstance(counts, list) and all(
        isinstance(count, int | float) and abs(count) < 1 << 40 and count == int(count) for count in counts
    )
    if not is_list:
        raise MaskError("damaged run lengths", "its counts are neither text nor whole numbers", _CURE)
    return np.array(counts, dtype=np.int64)


def _plain(text: str) -> str:
    """Return the letters of packed lengths, also if written as a Python literal: b'...'."""
    if len(text) > 2 and text[:2] in ("b'", 'b"') and text[-1] == text[1]:  # noqa: PLR2004 the quotes
        return text[2:-1].replace("\\\\", "\\")
    return text


def _unpack_counts(text: str) -> NDArray[np.int64]:
    """Return the lengths packed into text: 5 bits per letter, lowest first; the sixth bit is set if more follow.

    From the fourth on they are stored as the difference to the last but one.
    """
    letters = np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64) - ord("0")
    if ((letters < 0) | (letters > 63)).any():  # noqa: PLR2004 six bits
        raise MaskError("damaged run lengths", "its counts hold letters that run lengths do not", _CURE)
    last = np.flatnonzero(letters & 32 == 0)
    if len(letters) and (not len(last) or last[-1] != len(letters) - 1):
        raise MaskError("damaged run lengths", "its counts end too early", _CURE)
    first = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    place = np.arange(len(letters)) - np.repeat(first, last - first + 1)
    if len(place) and place.max() > 7:  # noqa: PLR2004 40 bits hold any image
        raise MaskError("damaged run lengths", "its counts hold a number that is too large", _CURE)
    values = np.add.reduceat((letters & 31) << (5 * place), first) if len(first) else np.zeros(0, dtype=np.int64)
    negative = letters[last] & 16 != 0
    values = np.where(negative, values - (1 << 5 * (last - first + 1)), values)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
