"""An order that puts like beside like, for going through a queue in one swing.

Embeddings are (N, D). The items are halved along their main direction again and again (a principal axis tree); each
half is turned so that it begins where the one before ended. The same embeddings always give the same order.
"""

import numpy as np

from core.types import FloatArray, IntArray

_LEAF = 24
_ITERATIONS = 8  # of the power method: a rough main direction is enough
_AXIS_ITEMS = 2000
_DIMENSIONS = 64  # more are projected to so many, which keeps near things near (Johnson and Lindenstrauss 1984)
_CHUNK = 50_000


def similarity_ranks(embeddings: FloatArray) -> IntArray:
    """Return each item's place in the order, (N,)."""
    points = _directions(embeddings)
    order: list[IntArray] = []
    waiting = [np.arange(len(points))]
    last = np.zeros(points.shape[1], np.float32)
    while waiting:
        rows = waiting.pop()
        centre = points[rows].mean(axis=0)
        axis = _main_axis(points[rows], centre)
        if axis @ (last - centre) > 0:
            axis = -axis
        rows = rows[np.argsort(points[rows] @ axis, kind="stable")]
        if len(rows) <= _LEAF:
            order.append(rows)
            last = points[rows[-1]] if len(rows) else last
        else:
            waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
    ranks = np.empty(len(points), dtype=np.int64)
    ranks[np.concatenate(order)] = np.arange(len(points))
    return ranks


def _directions(embeddings: FloatArray) -> FloatArray:
    """Return unit vectors, (N, at most 64); read piece by piece, since embeddings may be a large memory map."""
    dimensions = embeddings.shape[1]
    projection = np.eye(dimensions, dtype=np.float32)
    if dimensions > _DIMENSIONS:
        projection = np.random.default_rng(0).normal(size=(dimensions, _DIMENSIONS)).astype(np.float32)
    points = np.empty((len(embeddings), projection.shape[1]), dtype=np.float32)
    for start in range(0, len(points), _CHUNK):
        points[start : start + _CHUNK] = embeddings[start : start + _CHUNK].astype(np.float32) @ projection
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return points


def _main_axis(points: FloatArray, centre: FloatArray) -> FloatArray:
    some = points[:: max(1, len(points) // _AXIS_ITEMS)] - centre
    axis: FloatArray = some[np.abs(some).sum(axis=1).argmax()] if len(some) else centre
    for _ in range(_ITERATIONS):
        axis = some.T @ (some @ axis)
        length = float(np.linalg.norm(axis))
        if length == 0:
            return centre
        axis /= length
    return axis
