"""Nearest neighbours of images by their embeddings, and an order in which similar images are adjacent.

Embeddings are (N, D), perhaps a memory map. Neighbours have the largest cosine after each dimension is standardised to
mean 0 and variance 1.

Candidates are found in the leading `_LEADING` principal components, then compared in all D dimensions. The search is
exhaustive, N x N, up to `_EXHAUSTIVE` images. Of more, those of nearby cells are compared, in a few random partitions
into cells, and then candidates of candidates (as in NN-descent: Dong, Moses & Li, *Efficient k-nearest neighbor graph
construction for generic similarity measures*, WWW 2011), which join what the partitions have found apart.

Memory stays flat: one block of cosines, (N, _LEADING) floats and (N, _CANDIDATES) candidates exist at once. The order
is a greedy chain: each image is followed by its nearest one without a place. Neighbours and order depend on the
embeddings alone, so they can be kept by their content.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.data.array_cache import array_path, open_array
from core.data.storage import save_array
from core.types import FloatArray, IntArray

NEIGHBOURS = "neighbours.npy"
KIND = "similarity-1"  # version of the search: stored neighbours of another version are searched anew
ORDER = "order.npy"  # of a labelling round: the place of each image in the order
COUNT = 6  # neighbours of an image
NONE = -1  # instead of a neighbour, if there are fewer images
_LEADING = 256  # principal components in which candidates are searched
_CANDIDATES = 24  # of an image; also the edges of the graph that the chain follows
_JUMP = 32  # principal components for the next image of the chain, where all candidates have a place
_BLOCK_BYTES = 96 << 20  # of cosines that exist at once
_EXHAUSTIVE = 200_000  # images that are searched exhaustively
_PARTITIONS, _CELLS = (
    3,
    3,
)  # of more: random partitions into 2 sqrt(N) cells, and cells searched around that of an image
_PASSES, _NEAR = 2, 12  # over candidates of candidates, and how many of an image's
_TOGETHER = 256  # images compared with the candidates of all of them
_WAITING, _REFRESHED = 20_000, 0.2  # images considered for the next place, and the share of them with a place at most
_GROUP = 32  # group of images of which only the nearest is compared first
_LEAST_DEVIATION = 1e-6  # of a dimension that is not constant
_CHUNK = 4096  # rows that are read at once
_COVARIANCE_ITEMS = 20_000
_OVERSAMPLED, _ITERATIONS = 16, 4  # axes beside the leading ones, and steps of the iteration that finds them


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """Place of each image in the order, (N,), and its nearest neighbours, (N, 6) int32, nearest first."""

    ranks: IntArray
    neighbours: NDArray[np.int32]


def similarity(embeddings: FloatArray, *, exhaustive: bool | None = None) -> Similarity:
    """Return the neighbours and the order of images, from their embeddings.

    The search is that of their number, unless it is said whether it is `exhaustive`.
    """
    standard = _standard(embeddings)
    points = _project(embeddings, standard, _principal_axes(embeddings, standard))
    candidates = _candidates(points, exhaustive=is_exhaustive(len(points)) if exhaustive is None else exhaustive)
    neighbours = _nearest_candidates(embeddings, standard, candidates)
    jump = np.ascontiguousarray(points[:, :_JUMP])
    return Similarity(_chain(candidates, jump), neighbours)


def is_exhaustive(count: int) -> bool:
    """Return whether so many images are searched exhaustively."""
    return count <= _EXHAUSTIVE


def is_kept(embeddings: FloatArray, cache: Path) -> bool:
    """Return whether the neighbours of these embeddings are in a cache, so that nothing is searched."""
    return _path_of(embeddings, cache).exists()


def order_by_similarity(folder: Path, embeddings: FloatArray, cache: Path | None = None) -> IntArray:
    """Return the place of each image in the order, (N,), and store the neighbours in the round's folder.

    In `cache`, that of arrays, both are kept by the content of the embeddings, so that other rounds of the same images
    and network search nothing.
    """
    found = similarity(embeddings) if cache is None else _kept_similarity(embeddings, cache)
    save_array(folder / NEIGHBOURS, found.neighbours)
    return found.ranks


def neighbours_of(folder: Path, row: int) -> list[int]:
    """Return the rows of the nearest neighbours of a row, nearest first; none where the round has no neighbours."""
    path = folder / NEIGHBOURS
    if not path.is_file():
        return []
    return [found for found in np.load(path, mmap_mode="r")[row].tolist() if found != NONE]


def rows_around(folder: Path, row: int, steps: int) -> IntArray:
    """Return the rows within `steps` steps of a row, fewest steps first; none where the round has no neighbours.

    A step leads from an image to each of its nearest neighbours, and to each image whose nearest neighbour it is.
    """
    path = folder / NEIGHBOURS
    if not path.is_file():
        return np.empty(0, np.int64)
    neighbours = np.load(path, allow_pickle=False)
    reached = np.zeros(len(neighbours), np.bool_)
    reached[row] = True
    last, found = reached, [np.empty(0, np.int64)]
    for _ in range(steps):
        following = (last[neighbours] & (neighbours != NONE)).any(axis=1)
        own = neighbours[last]
        following[own[own != NONE]] = True
        last = following & ~reached
        reached = reached | last
        found.append(np.flatnonzero(last))
    return np.concatenate(found)


def nearest_neighbours(path: Path, row: int) -> list[int]:
    """Return the rows of the nearest neighbours of a row, nearest first, from the embeddings at `path`.

    All embeddings are read, so this is for single images of rounds without stored neighbours.
    """
    embeddings = np.load(path, mmap_mode="r", allow_pickle=False)
    standard = _standard_of(path, path.stat().st_mtime_ns)
    own = _units(embeddings[row], standard)
    chunks = range(0, len(embeddings), _CHUNK)
    cosines = np.concatenate([_units(embeddings[start : start + _CHUNK], standard) @ own for start in chunks])
    cosines[row] = -np.inf
    most = min(COUNT, len(cosines) - 1)
    found: list[int] = np.argsort(-cosines, kind="stable")[:most].tolist()
    return found


@lru_cache(maxsize=4)
def _standard_of(path: Path, _changed: int) -> "_Standard":
    return _standard(np.load(path, mmap_mode="r", allow_pickle=False))


def likeness(embeddings: FloatArray, neighbours: NDArray[np.int32]) -> FloatArray:
    """Return the cosine of each image and each of its neighbours, (N, 6), NaN without a neighbour.

    Embeddings are not standardised: relative to the mean, odd images resemble each other and would hide one another.
    """
    found = np.empty(neighbours.shape, np.float32)
    plain = _Standard(np.zeros(embeddings.shape[1], np.float32), np.ones(embeddings.shape[1], np.float32))
    for start in range(0, len(found), _CHUNK // 8):
        rows = slice(start, start + _CHUNK // 8)
        found[rows] = _cosines(embeddings, plain, rows, neighbours[rows])
    return np.where(neighbours == NONE, np.nan, found)


def _kept_similarity(embeddings: FloatArray, cache: Path) -> Similarity:
    """Return the neighbours and the order that are kept for these embeddings; searched, and kept, where none are."""
    path = _path_of(embeddings, cache)
    kept = open_array(path)
    if kept is not None:
        return Similarity(kept[:, COUNT].astype(np.int64), np.array(kept[:, :COUNT]))
    found = similarity(embeddings)
    save_array(path, np.column_stack([found.neighbours, found.ranks]).astype(np.int32), durable=False)
    return found


def _path_of(embeddings: FloatArray, cache: Path) -> Path:
    return array_path(cache, [_content(embeddings)], KIND)


def _content(embeddings: FloatArray) -> str:
    digest = blake2b(f"{embeddings.dtype} {embeddings.shape}".encode(), digest_size=16)
    for start in range(0, len(embeddings), _CHUNK):
        digest.update(np.ascontiguousarray(embeddings[start : start + _CHUNK]).data)
    return digest.hexdigest()


class _Standard(NamedTuple):
    """Mean and scale that standardise embeddings, (D,) each."""

    mean: FloatArray
    scale: FloatArray


def _standard(embeddings: FloatArray) -> _Standard:
    total, squares = np.zeros((2, embeddings.shape[1]), np.float64)
    for start in range(0, len(embeddings), _CHUNK):
        part = embeddings[start : start + _CHUNK].astype(np.float64)
        total += part.sum(axis=0)
        squares += np.einsum("nd,nd->d", part, part)
    mean = total / max(1, len(embeddings))
    deviation = np.sqrt(np.maximum(0, squares / max(1, len(embeddings)) - mean**2))
    scale = 1 / np.where(deviation > _LEAST_DEVIATION, deviation, 1)
    return _Standard(mean.astype(np.float32), scale.astype(np.float32))


def _principal_axes(embeddings: FloatArray, standard: _Standard) -> FloatArray:
    """Return the leading principal axes of the unit vectors, (D, at most `_LEADING`)."""
    dimensions = embeddings.shape[1]
    if dimensions <= _LEADING:
        return np.eye(dimensions, dtype=np.float32)
    step = max(1, len(embeddings) // _COVARIANCE_ITEMS)
    covariance = np.zeros((dimensions, dimensions), np.float32)
    for start in range(0, len(embeddings), _CHUNK * step):
        part = _units(embeddings[start : start + _CHUNK * step : step], standard)
        covariance += part.T @ part
    return _leading_axes(covariance)


def _leading_axes(covariance: FloatArray) -> FloatArray:
    """Return the leading principal axes, (D, `_LEADING`), by subspace iteration (Halko et al. 2011, algorithm 4.4)."""
    basis = np.random.default_rng(0).normal(size=(len(covariance), _LEADING + _OVERSAMPLED)).astype(np.float32)
    for _ in range(_ITERATIONS):
        basis, _ = np.linalg.qr(covariance @ basis)
    _, turned = np.linalg.eigh(basis.T @ covariance @ basis)
    axes: FloatArray = np.ascontiguousarray(basis @ turned[:, : -_LEADING - 1 : -1])
    return axes


def _units(rows: FloatArray, standard: _Standard) -> FloatArray:
    """Return standardised rows of length 1, (..., D) float32; zeros where a row is the mean."""
    scaled = (rows.astype(np.float32) - standard.mean) * standard.scale
    length = np.linalg.norm(scaled, axis=-1, keepdims=True)
    units: FloatArray = scaled / np.maximum(length, np.finfo(np.float32).tiny)
    return units


def _project(embeddings: FloatArray, standard: _Standard, axes: FloatArray) -> FloatArray:
    points = np.empty((len(embeddings), axes.shape[1]), np.float32)
    for start in range(0, len(points), _CHUNK):
        points[start : start + _CHUNK] = _units(embeddings[start : start + _CHUNK], standard) @ axes
    return points


def _candidates(points: FloatArray, *, exhaustive: bool) -> NDArray[np.int32]:
    """Return the rows of the points with the largest dot product with each point, (N, at most `_CANDIDATES`)."""
    count = len(points)
    best = _Best(points, max(0, min(_CANDIDATES, count - 1)))
    everyone = np.arange(count)
    if exhaustive:
        for start in range(0, count, _CHUNK):
            best.search(everyone[start : start + _CHUNK], everyone)
        return best.rows
    cells: list[IntArray] = []
    for seed in range(_PARTITIONS):
        cells = []
        for rows, among in _cells(points, seed):
            best.search(rows, among)
            cells.append(rows)
    for _ in range(_PASSES):
        near = best.rows[:, :_NEAR].copy()
        for cell in cells:  # images of a cell share most candidates
            for start in range(0, len(cell), _TOGETHER):
                rows = cell[start : start + _TOGETHER]
                reached = np.unique(near[np.unique(near[rows])])
                best.search(rows, reached[reached != NONE])
    return best.rows


class _Best:
    """Rows of the largest dot products met so far with each point, (N, most), largest first, then lowest first."""

    def __init__(self, points: FloatArray, most: int) -> None:
        self._points = points
        self.rows = np.full((len(points), most), NONE, np.int32)
        self._values = np.full((len(points), most), -np.inf, np.float32)

    def search(self, rows: IntArray, among: IntArray) -> None:
        """Compare these points with those among others, ascending; a point is not its own neighbour."""
        others = self._points if len(among) == len(self._points) else self._points[among]
        most = min(self.rows.shape[1], len(among))
        block = max(1, _BLOCK_BYTES // (4 * len(among)))
        for start in range(0, len(rows), block):
            some = rows[start : start + block]
            values = self._points[some] @ others.T  # (B, A)
            place = np.minimum(np.searchsorted(among, some), len(among) - 1)
            own = np.flatnonzero(among[place] == some)
            values[own, place[own]] = -np.inf
            chosen = _largest(values, most)
            self._merge(some, among[chosen], np.take_along_axis(values, chosen, axis=1))

    def _merge(self, rows: IntArray, met: IntArray, values: FloatArray) -> None:
        """Keep the best of those known and those met, each once; the same two points may differ in the last digit."""
        met = np.concatenate([self.rows[rows], np.where(np.isneginf(values), NONE, met)], axis=1)
        values = np.concatenate([self._values[rows], values], axis=1)
        order = np.argsort(met, axis=1, kind="stable")
        met, values = np.take_along_axis(met, order, axis=1), np.take_along_axis(values, order, axis=1)
        values[:, 1:][met[:, 1:] == met[:, :-1]] = -np.inf
        order = np.lexsort((met, -values), axis=1)[:, : self.rows.shape[1]]
        self.rows[rows] = np.take_along_axis(met, order, axis=1)
        self._values[rows] = np.take_along_axis(values, order, axis=1)


def _cells(points: FloatArray, seed: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield the rows of each cell, and those of the nearest cells, ascending, in which neighbours are searched.

    A cell is the points that are nearest to one of 2 sqrt(N) random points.
    """
    count = len(points)
    pivots = points[np.random.default_rng(seed).choice(count, round(2 * count**0.5), replace=False)]
    cell = np.empty(count, np.int64)
    for start in range(0, count, _CHUNK):
        cell[start : start + _CHUNK] = (points[start : start + _CHUNK] @ pivots.T).argmax(axis=1)
    members = np.split(np.argsort(cell, kind="stable"), np.cumsum(np.bincount(cell, minlength=len(pivots)))[:-1])
    nearest = np.argsort(-(pivots @ pivots.T), axis=1)
    for number, rows in enumerate(members):
        if len(rows):
            searched, size = _CELLS, 0
            while size <= _CANDIDATES:  # until there are enough candidates
                size = sum(len(members[other]) for other in nearest[number, :searched])
                searched += 1
            around = {number, *nearest[number, : searched - 1].tolist()}
            yield rows, np.sort(np.concatenate([members[other] for other in around]))


def _largest(values: FloatArray, most: int) -> IntArray:
    """Return the columns of the `most` largest values of each row, largest first, (B, most).

    The largest values lie in the groups with the largest maxima, so most columns are compared only once.
    """
    rows, columns = np.arange(len(values))[:, None], values.shape[1]
    groups = columns // _GROUP
    if groups > 2 * most > 0:
        grouped = values[:, : groups * _GROUP].reshape(len(values), _GROUP, groups)  # column = member * groups + group
        best = np.argpartition(-grouped.max(axis=1), most - 1, axis=1)[:, :most]  # (B, most)
        members = (best[:, :, None] + groups * np.arange(_GROUP)).reshape(len(values), -1)
        rest = np.broadcast_to(np.arange(groups * _GROUP, columns), (len(values), columns - groups * _GROUP))
        chosen = np.concatenate([members, rest], axis=1)
    else:
        chosen = np.broadcast_to(np.arange(columns), values.shape)
    some = values[rows, chosen]
    if most and most < some.shape[1]:
        kept = np.argpartition(-some, most - 1, axis=1)[:, :most]
        chosen, some = chosen[rows, kept], some[rows, kept]
    order = np.lexsort((chosen, -some), axis=1)[:, :most]
    largest: IntArray = chosen[rows, order]
    return largest


def _nearest_candidates(
    embeddings: FloatArray, standard: _Standard, candidates: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return the nearest candidates of each image by all dimensions, (N, 6), nearest first."""
    found = np.full((len(embeddings), COUNT), NONE, np.int32)
    most = min(COUNT, candidates.shape[1])
    chunk = _CHUNK // 8
    for start in range(0, len(found) if most else 0, chunk):
        rows = slice(start, start + chunk)
        cosines = _cosines(embeddings, standard, rows, candidates[rows])
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :most]
        found[rows, :most] = np.take_along_axis(candidates[rows], order, axis=1)
    return found


def _cosines(embeddings: FloatArray, standard: _Standard, rows: slice, others: NDArray[np.int32]) -> FloatArray:
    """Return the cosines of the slice's rows and their `others`, (B, C)."""
    needed, place = np.unique(others, return_inverse=True)
    units = _units(embeddings[needed], standard)
    own = _units(embeddings[rows], standard)
    cosines: FloatArray = np.einsum("bd,bcd->bc", own, units[place.reshape(others.shape)], optimize=True)
    return cosines


def _chain(candidates: NDArray[np.int32], points: FloatArray) -> IntArray:
    """Return the position of each image, (N,), in a chain that continues with the nearest image not yet in it."""
    count = len(points)
    ranks, placed = np.empty(count, np.int64), np.zeros(count, np.bool_)
    waiting, ahead = np.arange(0), points[:0]  # images without a place, of many an evenly spread sample
    current = 0
    for place in range(count):
        ranks[current], placed[current] = place, True
        following = next((one for one in candidates[current].tolist() if not placed[one]), None)
        if following is None and place + 1 < count:
            taken = placed[waiting]
            if taken.sum() >= _REFRESHED * len(waiting):
                left = np.flatnonzero(~placed)
                waiting = left[:: -(-len(left) // _WAITING)]
                ahead, taken = points[waiting], np.zeros(len(waiting), np.bool_)
            likenesses = np.einsum("nd,d->n", ahead, points[current])  # too small for BLAS's threads
            likenesses[taken] = -np.inf
            following = int(waiting[likenesses.argmax()])
        current = current if following is None else following
    return ranks
