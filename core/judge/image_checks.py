"""Checks of the images themselves, without any label being judged: near-duplicates, leaks, outliers, empty images.

N images in one order, to which all rows refer. Near-duplicates are copies of a file and images that look alike
(`core.data.lookalikes`); a leak is a group of them across splits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from core.data.contents import Empty
from core.types import IntArray


@dataclass(frozen=True, slots=True)
class ImageColumns:
    """Columns of N images: label ("" for none), split, content hash."""

    labels: Sequence[str]
    splits: Sequence[str]
    content_hashes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """A group of near-duplicates, by row.

    `same_file`: all have the same bytes; `contradicting`: not all have the same label; `leaking`: not all are in the
    same split.
    """

    rows: tuple[int, ...]
    same_file: bool
    contradicting: bool
    leaking: bool


@dataclass(frozen=True, slots=True)
class ImageChecks:
    """Results of the checks.

    `outliers` is None where there are no embeddings to tell them by. Not `complete`: the images are too plain to
    compare every pair.
    """

    duplicates: tuple[Duplicates, ...]
    outliers: tuple[int, ...] | None
    empty: tuple[tuple[int, Empty], ...]
    complete: bool = True

    @property
    def leaks(self) -> tuple[Duplicates, ...]:
        """Near-duplicates across splits: what is learnt would be what is judged."""
        return tuple(group for group in self.duplicates if group.leaking)


def check_images(
    columns: ImageColumns,
    alike: IntArray,
    empty: Sequence[Empty | None],
    isolated: Sequence[int] | None,
    *,
    complete: bool = True,
) -> ImageChecks:
    """Return what the checks find.

    Args:
        columns: of N images.
        alike: pairs of rows that look alike, (P, 2).
        empty: N kinds, None where an image has content.
        isolated: rows of outliers (`core.judge.outliers`), the most isolated first; None without embeddings.
        complete: whether every pair was compared.
    """
    blank = {row for row, kind in enumerate(empty) if kind is not None}
    pairs = [(one, other) for one, other in alike.tolist() if one not in blank and other not in blank]
    return ImageChecks(
        _groups(columns, [*_same_files(columns.content_hashes), *pairs]),
        None if isolated is None else tuple(row for row in isolated if row not in blank),
        tuple((row, kind) for row, kind in enumerate(empty) if kind is not None),
        complete,
    )


def _same_files(content_hashes: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of rows that link all copies of a file."""
    copies: dict[str, list[int]] = {}
    for row, content in enumerate(content_hashes):
        copies.setdefault(content, []).append(row)
    return [pair for rows in copies.values() for pair in pairwise(rows)]


def _groups(columns: ImageColumns, pairs: Sequence[tuple[int, int]]) -> tuple[Duplicates, ...]:
    """Return the groups that the pairs link, contradicting labels first, then the largest."""
    if not pairs:
        return ()
    first, second = np.array(pairs).T
    count = len(columns.labels)
    links = coo_array((np.ones(len(pairs), np.int8), (first, second)), (count, count))
    _, component = connected_components(links, directed=False)
    members: dict[int, list[int]] = {}
    for row in np.unique([first, second]).tolist():
        members.setdefault(int(component[row]), []).append(row)
    groups = [
        Duplicates(
            tuple(rows),
            same_file=len({columns.content_hashes[row] for row in rows}) == 1,
            contradicting=len({columns.labels[row] for row in rows} - {""}) > 1,
            leaking=len({columns.splits[row] for row in rows}) > 1,
        )
        for rows in members.values()
    ]
    return tuple(sorted(groups, key=lambda group: (not group.contradicting, -len(group.rows), group.rows)))
