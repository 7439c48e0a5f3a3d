"""Checks of the images themselves, independent of labels: near-duplicates, leaks, outliers, empty images.

N images; all rows refer to their order. Near-duplicates are copies of a file and images that look alike
(`core.data.lookalikes`); a leak is a group of them across splits.

An outlier is an image that does not resemble even its nearest neighbours: the median cosine to its six neighbours is
low against the spread of this median over all images. A mean would be lifted by one or two odd images of the same
kind, which would then hide one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from core.data.reading import Empty
from core.types import FloatArray, IntArray

_FEWEST = 30  # images; the spread of fewer is unreliable
_DEVIATIONS = 3.5  # robust ones, below the median
_TO_DEVIATION = 1.4826  # median absolute deviation -> standard deviation of a normal distribution


class Duplicates(NamedTuple):
    """Group of near-duplicates, by row; stored as a list.

    `same_file`: all have the same bytes; `contradicting`: not all have the same label; `leaking`: not all are in the
    same split.
    """

    rows: tuple[int, ...]
    same_file: bool
    contradicting: bool
    leaking: bool


@dataclass(frozen=True, slots=True)
class CheckResults:
    """Results of the checks.

    `outliers` is None without embeddings. Not `complete`: the images are too plain to compare every pair.
    """

    duplicates: tuple[Duplicates, ...]
    outliers: tuple[int, ...] | None
    empty: tuple[tuple[int, Empty], ...]
    complete: bool = True

    @property
    def leaks(self) -> tuple[Duplicates, ...]:
        """Near-duplicates across splits: a model would be trained on images that judge it."""
        return tuple(group for group in self.duplicates if group.leaking)


def check_images(
    labels: Sequence[str],
    splits: Sequence[str],
    content_hashes: Sequence[str],
    *,
    alike: IntArray,
    empty: Sequence[Empty | None],
    isolated: Sequence[int] | None,
    complete: bool = True,
) -> CheckResults:
    """Return the results of all checks.

    Args:
        labels: of N images, "" for none.
        splits: of the N images.
        content_hashes: of the N images.
        alike: pairs of rows that look alike, (P, 2).
        empty: N kinds, None if an image has content.
        isolated: rows of `outliers`, the most isolated first; None without embeddings.
        complete: true if every pair was compared.
    """
    blank = {row for row, kind in enumerate(empty) if kind is not None}
    pairs = [(one, other) for one, other in alike.tolist() if one not in blank and other not in blank]
    return CheckResults(
        _groups(labels, splits, content_hashes, [*_same_files(content_hashes), *pairs]),
        None if isolated is None else tuple(row for row in isolated if row not in blank),
        tuple((row, kind) for row, kind in enumerate(empty) if kind is not None),
        complete,
    )


def outliers(likeness: FloatArray) -> IntArray:
    """Return the rows of the outliers, the most isolated first.

    Args:
        likeness: cosine to each neighbour, (N, 6), NaN where there is none (`similarity.likeness`).
    """
    if len(likeness) < _FEWEST:
        return np.empty(0, np.int64)
    typical = np.nanmedian(likeness, axis=1)
    median = np.median(typical)
    spread = _TO_DEVIATION * np.median(np.abs(typical - median))
    rows = np.flatnonzero(typical < median - _DEVIATIONS * spread)
    isolated: IntArray = rows[np.argsort(typical[rows], kind="stable")]
    return isolated


def _same_files(content_hashes: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of rows that link all copies of a file."""
    copies: dict[str, list[int]] = {}
    for row, content in enumerate(content_hashes):
        copies.setdefault(content, []).append(row)
    return [pair for rows in copies.values() for pair in pairwise(rows)]


def _groups(
    labels: Sequence[str], splits: Sequence[str], content_hashes: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> tuple[Duplicates, ...]:
    """Return the groups of linked rows, those with contradicting labels first, then the largest."""
    if not pairs:
        return ()
    first, second = np.array(pairs).T
    count = len(labels)
    links = coo_array((np.ones(len(pairs), np.int8), (first, second)), (count, count))
    _, component = connected_components(links, directed=False)
    members: dict[int, list[int]] = {}
    for row in np.unique([first, second]).tolist():
        members.setdefault(int(component[row]), []).append(row)
    groups = [
        Duplicates(
            tuple(rows),
            same_file=len({content_hashes[row] for row in rows}) == 1,
            contradicting=len({labels[row] for row in rows} - {""}) > 1,
            leaking=len({splits[row] for row in rows}) > 1,
        )
        for rows in members.values()
    ]
    return tuple(sorted(groups, key=lambda group: (not group.contradicting, -len(group.rows), group.rows)))
