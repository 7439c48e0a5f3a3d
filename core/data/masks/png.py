"""Masks as grey PNG of 8 or 16 bits, written twice as fast as by an encoder for photographs, and no larger.

A mask's row is nearly equal to the one above, so every row is stored as the difference (PNG's filter "up"), mostly runs
of zeros. The rows are compressed in independent bands, each in a chunk of its own, so that an edited mask reuses the
bands without changes. Any program can read the files.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from core.types import IntArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_AS_IT_IS, _UP = 0, 2  # numbers of filters
_LEVEL, _WINDOW_BITS, _MEMORY = 1, 15, 9  # of zlib
_ZLIB_HEADER, _ZLIB_END = b"\x78\x01", b"\x03\x00"
_BANDS = b"obND"  # our own chunk: the rows of a band, then the checksum of each band
_BAND_BYTES = 1 << 20  # of labels
_ADLER = 65521  # the modulus of Adler-32
_IHDR = ">IIBBBBB"


def to_png(mask: IntArray, base: bytes = b"", rows: tuple[int, int] = (0, 0)) -> bytes:
    """Return a mask, (H, W) uint8 or uint16, as a PNG.

    `base` is the PNG of a mask that differs from it within `rows` (first, end) only: bands outside are copied from it,
    if this function wrote it.

    Raises:
        ValueError: `base` is damaged.
    """
    height, width = mask.shape
    wide = mask.dtype.itemsize
    band = max(1, _BAND_BYTES // (width * wide))
    header = struct.pack(_IHDR, width, height, 8 * wide, 0, 0, 0, 0)
    former = _bands(base, header, band) if base else []
    bands: list[tuple[int, bytes]] = []
    checksum, summary = 1, struct.pack(">I", band)
    for first in range(0, height, band):
        last = min(height, first + band)
        taken = former and (last <= rows[0] or rows[1] <= first)
        adler, data = former[len(bands)] if taken else _band(mask[first:last])
        bands.append((adler, data))
        checksum = _join_checksums(checksum, adler, (last - first) * (1 + width * wide))
        summary += struct.pack(">I", adler)
    chunks = [_chunk(b"IHDR", header), _chunk(_BANDS, summary), _chunk(b"IDAT", _ZLIB_HEADER)]
    chunks += [_chunk(b"IDAT", data) for _, data in bands]
    chunks += [_chunk(b"IDAT", _ZLIB_END + struct.pack(">I", checksum)), _chunk(b"IEND", b"")]
    return _SIGNATURE + b"".join(chunks)


def read_facts(png: bytes) -> tuple[int, int, int]:
    """Return height, width and bytes per label of a mask in a grey PNG; every chunk's checksum is verified.

    Raises:
        ValueError: it is no such PNG, or damaged.
    """
    kind, header = next(chunks := _chunks(png))
    if kind != b"IHDR" or len(header) != struct.calcsize(_IHDR):
        raise ValueError("it does not begin with a header")
    width, height, depth, colour, *_ = struct.unpack(_IHDR, header)
    if depth not in {8, 16} or colour != 0:
        raise ValueError("it is not a grey picture of 8 or 16 bits")
    for _ in chunks:
        pass
    return height, width, depth // 8


def _band(rows: IntArray) -> tuple[int, bytes]:
    """Return the checksum of some filtered rows, and the compressed rows, so that other bands may follow."""
    height, width = rows.shape
    wide = rows.dtype.itemsize
    big = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder(">"))
    plain = big.view(np.uint8).reshape(height, width * wide)
    filtered = np.empty((height, 1 + width * wide), dtype=np.uint8)
    filtered[:, 0] = _UP
    filtered[:1, 0] = _AS_IT_IS
    filtered[:1, 1:] = plain[:1]
    np.subtract(plain[1:], plain[:-1], out=filtered[1:, 1:])
    strategy = zlib.Z_RLE if wide == 1 else zlib.Z_DEFAULT_STRATEGY  # a run of two bytes is none of one
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY, strategy)
    data = deflate.compress(filtered.data) + deflate.flush(zlib.Z_FULL_FLUSH)
    return zlib.adler32(filtered.data), data


def _bands(png: bytes, header: bytes, band: int) -> list[tuple[int, bytes]]:
    """Return the bands of a PNG with this header as made by `_band`, empty if it has none."""
    found = list(_chunks(png))
    summary = next((data for kind, data in found if kind == _BANDS), b"")
    if found[0] != (b"IHDR", header) or summary[:4] != struct.pack(">I", band):
        return []
    adlers = struct.unpack(f">{len(summary) // 4 - 1}I", summary[4:])
    compressed = [data for kind, data in found if kind == b"IDAT"][1:-1]
    return list(zip(adlers, compressed, strict=True))


def _join_checksums(one: int, other: int, length: int) -> int:
    """Return the Adler-32 of two concatenated pieces from that of each and the length of the second."""
    low = ((one & 0xFFFF) + (other & 0xFFFF) - 1) % _ADLER
    high = ((one >> 16) + (other >> 16) + length * ((one & 0xFFFF) - 1)) % _ADLER
    return high << 16 | low


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, data) of every chunk.

    Raises:
        ValueError: it is no PNG, or damaged.
    """
    if not png.startswith(_SIGNATURE):
        raise ValueError("it is no PNG")
    at, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        length = int.from_bytes(png[at : at + 4], "big")
        kind, data, end = png[at + 4 : at + 8], png[at + 8 : at + 8 + length], at + 12 + length
        if len(png) < end or int.from_bytes(png[end - 4 : end], "big") != zlib.crc32(data, zlib.crc32(kind)):
            raise ValueError("a part of it is damaged")
        yield kind, data
        at = end


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
