"""Masks as grey PNG of 8 or 16 bits, twice as fast as an encoder for photographs and no larger.

A mask's row is nearly its upper neighbour's, so every row is stored as what differs from that (PNG's filter "up"), and
nearly all of it is runs of zeros. Any program reads it.
"""

import struct
import zlib

import numpy as np

from core.types import IntArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2  # the filter's number
_LEVEL, _WINDOW_BITS, _MEMORY = 1, 15, 9  # of zlib


def to_png(mask: IntArray) -> bytes:
    """Return a mask, (H, W) uint8 or uint16, as a PNG that reads back to the same pixels."""
    height, width = mask.shape
    wide = mask.dtype.itemsize
    big = np.ascontiguousarray(mask, dtype=mask.dtype.newbyteorder(">"))
    rows = big.view(np.uint8).reshape(height, width * wide)
    filtered = np.empty((height, 1 + width * wide), dtype=np.uint8)
    filtered[:, 0] = _UP
    filtered[:1, 1:] = rows[:1]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    strategy = zlib.Z_RLE if wide == 1 else zlib.Z_DEFAULT_STRATEGY  # a run of two bytes is none of one
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY, strategy)
    data = deflate.compress(filtered.data) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, 8 * wide, 0, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
