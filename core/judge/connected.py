"""Connected parts (8-neighbour) of some pixels of an image that are of several kinds, from their runs along the rows.

R runs in reading order, C parts. Two runs touch where one lies in the row below the other, side by side or aslant; only
runs of one kind are ever joined. Work and memory are those of the runs, whatever the number of kinds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from core.types import IntArray, Region


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The pixels as runs of one kind along the rows, in reading order; every column is (R,)."""

    y: IntArray
    start: IntArray  # x of the first pixel
    end: IntArray  # x behind the last one
    kind: IntArray


def touching(runs: Runs) -> tuple[IntArray, IntArray]:
    """Return the pairs of runs, (E,) and (E,), that touch from one row to the next and are of one kind."""
    step = int(runs.end.max()) + 2  # wider than any row, so that no run touches one of another row
    at, below = runs.y * step, (runs.y + 1) * step
    low = np.searchsorted(at + runs.end, below + runs.start, "left")
    high = np.searchsorted(at + runs.start, below + runs.end, "right")
    source, target = spread(low, np.maximum(high - low, 0))
    same = runs.kind[source] == runs.kind[target]
    return source[same], target[same]


def spread(first: IntArray, count: IntArray) -> tuple[IntArray, IntArray]:
    """Return, for ranges of `count` numbers from `first` on, which range each number is of, and the number."""
    owner = np.repeat(np.arange(len(first)), count)
    return owner, np.arange(len(owner)) + np.repeat(first - (np.cumsum(count) - count), count)


def parts(count: int, source: IntArray, target: IntArray) -> IntArray:
    """Return which connected part each run belongs to, (R,), numbered from 0 on in reading order."""
    links = coo_array((np.ones(len(source), np.int8), (source, target)), (count, count))
    _, part = connected_components(links, directed=False)
    return part.astype(np.int64)


def regions_of(runs: Runs, part: IntArray, chosen: NDArray[np.bool_]) -> Iterator[tuple[int, Region]]:
    """Yield each chosen part, (C,), and its region; all are views of one table, which takes less room than one each."""
    taken = np.flatnonzero(chosen[part])
    taken = taken[np.argsort(part[taken], kind="stable")]
    start = runs.start[taken]
    table = np.stack([runs.y[taken], start, runs.end[taken] - start], axis=1).astype(np.int32)
    numbers, first = np.unique(part[taken], return_index=True)
    for number, (begin, end) in zip(numbers.tolist(), pairwise([*first.tolist(), len(taken)]), strict=True):
        yield number, Region(table[begin:end])
