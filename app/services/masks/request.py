"""Masks as a browser sends them: whole, or only the changed tiles. Both are checked before anything is stored.

Labels travel row by row, little-endian, deflated by zlib. A tile is preceded by its number, 4 bytes, little-endian;
tiles are numbered along the rows from the top left, and those at the right and the lower edge may be smaller.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from app.services.reviews.store import RefusedError
from core.types import IntArray, exchange_values, ignore_of, mask_dtype
from db.queries.masks import MaskedSample

TILE = 64  # pixels of a side
_NUMBER = 4  # bytes


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """A mask after tiles were painted on it, (H, W), and their rows: the first, and the one behind the last."""

    mask: IntArray
    rows: tuple[int, int]


def whole_mask(packed: bytes, sample: MaskedSample) -> IntArray:
    """Return the mask in a request body; nothing larger than the image is ever unpacked.

    Raises:
        RefusedError: it is not a mask of this image.
    """
    size = sample.width * sample.height * mask_dtype(len(sample.classes)).itemsize
    data = _inflated(packed, size)
    if len(data) != size:
        cure = f"send {sample.width} x {sample.height} labels of {mask_dtype(len(sample.classes)).itemsize} bytes"
        raise RefusedError(f"the body holds {'more' if len(data) > size else 'less'} than one mask", cure)
    return _labels(data, sample).reshape(sample.height, sample.width)


def painted_tiles(packed: bytes, sample: MaskedSample, base: IntArray) -> Painted:
    """Return the mask `base`, (H, W), with the tiles of a request body applied.

    Raises:
        RefusedError: it does not hold tiles of this image's mask.
    """
    height, width = base.shape
    columns, lines = -(-width // TILE), -(-height // TILE)
    data = _inflated(packed, base.nbytes + _NUMBER * columns * lines)
    mask = base.copy()
    first, last, at = height, 0, 0
    while at < len(data):
        number = int.from_bytes(data[at : at + _NUMBER], "little")
        line, column = divmod(number, columns)
        if line >= lines or len(data) < at + _NUMBER:
            raise RefusedError("the body holds a tile that this mask does not have", "load the mask again")
        place = mask[line * TILE : (line + 1) * TILE, column * TILE : (column + 1) * TILE]
        at += _NUMBER
        piece = data[at : at + place.nbytes]
        if len(piece) < place.nbytes:
            cure = f"send tiles of {TILE} x {TILE} labels of {base.itemsize} bytes, less at the lower and right edge"
            raise RefusedError("the body ends within a tile", cure)
        place[:] = _labels(piece, sample).reshape(place.shape)
        first, last = min(first, line * TILE), max(last, line * TILE + place.shape[0])
        at += place.nbytes
    return Painted(mask, (min(first, last), last))


def _inflated(packed: bytes, most: int) -> bytes:
    """Return the content of a zlib stream, of `most` + 1 bytes at most; b"" if the stream is incomplete."""
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(packed, most + 1)
    except zlib.error as error:
        raise RefusedError(f"the body cannot be inflated ({error})", "send labels deflated by zlib") from None
    if len(data) > most or inflate.unused_data:
        raise RefusedError("the body holds more than one mask", "send one zlib stream of this image's labels")
    if not inflate.eof:
        raise RefusedError("the body holds less than one mask", "send the whole zlib stream")
    return data


def _labels(data: bytes, sample: MaskedSample) -> IntArray:
    """Return labels as numbers, all of which are classes of the dataset or IGNORE.

    Merged classes, from an editor opened before the merge, are replaced by the target of the merge.
    """
    dtype = mask_dtype(len(sample.classes)).newbyteorder("<")
    labels: IntArray = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    if (labels + labels.dtype.type(1)).max() > len(sample.classes):  # IGNORE, the largest number, is 0 then
        ignore = ignore_of(labels)
        wrong = labels[(labels >= len(sample.classes)) & (labels != ignore)]
        raise RefusedError(f"label {wrong[0]} is not a class", f"use 0 to {len(sample.classes) - 1}, or {ignore}")
    retired = labels[np.isin(labels, sample.state.retired)] if sample.state.retired else labels[:0]
    if retired.size:
        raise RefusedError(f"the class {sample.classes[retired[0]]} was taken back", "paint another class")
    return exchange_values(labels, sample.state.merged)
