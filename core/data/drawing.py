"""Random draw of a part of a dataset, by whole groups."""

import numpy as np

from core.types import IntArray


def draw_rows(groups: IntArray, share: float, seed: int, least: int = 0) -> IntArray:
    """Return sorted rows of randomly drawn groups, as near to a share of the rows as whole groups allow; never all.

    Args:
        groups: (N,) number of each row's group.
        share: of all rows, in (0, 1).
        seed: of the random generator.
        least: number of rows to draw at least, if there are more.

    Raises:
        ValueError: there are fewer than two groups.
    """
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < 2:  # noqa: PLR2004 one to draw, one to leave
        raise ValueError("a part can only be drawn of two groups or more")
    order = np.random.default_rng(seed).permutation(len(sizes))
    sums = np.cumsum(sizes[order])[:-1]
    distance = np.abs(sums - share * len(groups)) + len(groups) * (sums < least)
    taken = order[: int(distance.argmin()) + 1]
    return np.flatnonzero(np.isin(index, taken))
