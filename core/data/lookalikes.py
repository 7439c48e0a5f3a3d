"""Look-alike images: candidates by a perceptual hash, confirmed by the correlation of small grey copies.

The hash is dHash: 64 bits, one for each of 9 x 8 grey pixels, set if its right neighbour is brighter. It is robust to
size, compression and brightness. Pairs at most `MOST_BITS` apart are found by multi-index hashing (Norouzi et al.
2012): hashes are cut into one part more than bits may differ, so two such hashes agree in a part. Plain drawings, such
as digits, have similar hashes, so a pair counts only if its images, at 16 x 16, correlate by `LEAST_CORRELATION`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.children import cores
from core.types import FloatArray, IntArray

MOST_BITS = 4
LEAST_CORRELATION = 0.99
_HASH, _LOOK = (9, 8), (16, 16)  # pixels
_BITS = 64
_LARGE, _GAP = 512, 4.0  # pixels from which on an image is first reduced by whole factors, and their target
_AT_ONCE = 1 << 22  # pairs that exist at the same time
_COMPARED_AT_ONCE = 1 << 15
_MOST_COMPARED = 20_000_000  # candidates; with more, images are too plain for the hash
_READ_AT_ONCE = 512

Read = Callable[[str], Image.Image]


def look_hash(image: Image.Image) -> int:
    """Return dHash of an upright image in modes L or RGB, as a signed number of 64 bits."""
    grey = np.frombuffer(_small(image, _HASH), np.uint8).reshape(_HASH[::-1])
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes(), "big", signed=True)


def look_vector(image: Image.Image) -> FloatArray:
    """Return the image as a small grey vector, centred and of length 1, (256,); all zeros for a uniform image."""
    grey = np.frombuffer(_small(image, _LOOK), np.uint8).astype(np.float32)
    centred = grey - grey.mean()
    length = float(np.linalg.norm(centred))
    return centred / length if length > 1 else np.zeros_like(centred)


def near_pairs(first: IntArray, second: IntArray, most: int = MOST_BITS) -> Iterator[IntArray]:
    """Yield every pair of rows, (P, 2), whose hashes differ in at most `most` bits, each once.

    Args:
        first: hashes, (N,) int64.
        second: others, (M,) int64.
        most: bits, fewer than 63.
    """
    bits = [_unpack_bits(hashes) for hashes in (first, second)]
    keys: list[tuple[NDArray[np.uint64], NDArray[np.uint64]]] = []
    for part in range(most + 1):
        columns = slice(part, None, most + 1)  # every n-th bit, so that no part covers only the image's margin
        own, other = _numbers(bits[0][:, columns]), _numbers(bits[1][:, columns])
        order = np.argsort(other, kind="stable")
        ordered = other[order]
        begin, end = np.searchsorted(ordered, own, "left"), np.searchsorted(ordered, own, "right")
        for agreeing, places in _expand(begin, end):
            with_whom = order[places]
            differing = np.bitwise_count(first[agreeing].view(np.uint64) ^ second[with_whom].view(np.uint64))
            near = np.flatnonzero(differing <= most)
            rows, partners = agreeing[near], with_whom[near]
            fresh = np.ones(len(rows), np.bool_)  # found by no earlier part
            for earlier, others in keys:
                fresh &= earlier[rows] != others[partners]
            yield np.stack([rows[fresh], partners[fresh]], axis=1)
        keys.append((own, other))


def find_similar(
    first: IntArray, second: IntArray, paths: Sequence[str], others: Sequence[str], read: Read
) -> tuple[IntArray, bool]:
    """Return the look-alike pairs of rows of `first` and `second`, (P, 2), and whether all candidates were compared.

    Images that `read` cannot open are in no pair.

    Args:
        first: hashes of the images at `paths`, (N,) int64.
        second: hashes of those at `others`, (M,) int64.
        paths: N files.
        others: M files.
        read: opens an image upright, in mode L or RGB; raises OSError or ValueError if it cannot.
    """
    return _correlate(near_pairs(first, second), _Looks(paths, read), _Looks(others, read))


def find_similar_within(hashes: IntArray, paths: Sequence[str], read: Read) -> tuple[IntArray, bool]:
    """Return the same of the pairs among these images, each once, the lower row first; see `find_similar`."""
    looks = _Looks(paths, read)
    once = (pairs[pairs[:, 0] < pairs[:, 1]] for pairs in near_pairs(hashes, hashes))
    return _correlate(once, looks, looks)


def _correlate(nearby: Iterable[IntArray], own: "_Looks", foreign: "_Looks") -> tuple[IntArray, bool]:
    found, compared = [np.empty((0, 2), np.int64)], 0
    for candidates in nearby:
        compared += len(candidates)
        if compared > _MOST_COMPARED:
            return np.concatenate(found), False
        own.load(candidates[:, 0])
        foreign.load(candidates[:, 1])
        for start in range(0, len(candidates), _COMPARED_AT_ONCE):
            some = candidates[start : start + _COMPARED_AT_ONCE]
            alike = np.einsum("pd,pd->p", own.looks[some[:, 0]], foreign.looks[some[:, 1]])
            found.append(some[alike >= LEAST_CORRELATION])
    return np.concatenate(found), True


def _small(image: Image.Image, size: tuple[int, int]) -> bytes:
    """Return the grey pixels of an image scaled to this size; a large one is reduced by a whole factor first."""
    gap = _GAP if max(image.size) > _LARGE else None
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=gap)
    grey = small if small.mode == "L" else small.convert("L")
    return bytes(grey.get_flattened_data())  # type: ignore[arg-type]  # whole numbers; of so few faster than `tobytes`


class _Looks:
    """Cache of look vectors of files, read on first use."""

    def __init__(self, paths: Sequence[str], read: Read) -> None:
        self._paths = paths
        self._read = read
        self._known = np.zeros(len(paths), np.bool_)
        self.looks = np.zeros((len(paths), _LOOK[0] * _LOOK[1]), np.float32)

    def load(self, rows: IntArray) -> None:
        """Read the vectors of these rows that are not cached."""
        missing = np.unique(rows[~self._known[rows]])
        with ThreadPoolExecutor(cores()) as threads:  # decoding needs no lock of the interpreter
            for start in range(0, len(missing), _READ_AT_ONCE):
                some = missing[start : start + _READ_AT_ONCE]
                self.looks[some] = list(threads.map(self._look, some.tolist()))
        self._known[missing] = True

    def _look(self, row: int) -> FloatArray:
        try:
            return look_vector(self._read(self._paths[row]))
        except (OSError, ValueError):
            return np.zeros(self.looks.shape[1], np.float32)


def pixels_of(path: str, load: Callable[[Path], NDArray[np.uint8]]) -> Image.Image:
    """Return a reader for `find_similar` made of a function that loads pixels."""
    return Image.fromarray(load(Path(path)))


def _expand(begin: IntArray, end: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield rows, and each index between their start and end, in batches of limited size."""
    counts = end - begin
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = int(total[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + _AT_ONCE, "right")))
        some = counts[start:stop]
        rows = np.repeat(np.arange(start, stop), some)
        offsets = np.arange(len(rows)) - np.repeat(np.cumsum(some) - some, some)
        yield rows, np.repeat(begin[start:stop], some) + offsets
        start = stop


def _unpack_bits(hashes: IntArray) -> NDArray[np.uint8]:
    """Return the bits of hashes, (N, 64)."""
    data = np.ascontiguousarray(hashes.astype(">i8")).view(np.uint8).reshape(-1, _BITS // 8)
    return np.unpackbits(data, axis=1)


def _numbers(bits: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return rows of bits as numbers, (N,)."""
    weights = np.uint64(1) << np.arange(bits.shape[1], dtype=np.uint64)
    numbers: NDArray[np.uint64] = (bits.astype(np.uint64) * weights).sum(axis=1, dtype=np.uint64)
    return numbers
