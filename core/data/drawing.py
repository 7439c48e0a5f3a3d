"""Drawing a part of a dataset by chance, whole groups at a time."""

import numpy as np

from core.types import IntArray


def drawn_rows(groups: IntArray, share: float, seed: int, least: int = 0) -> IntArray:
    """Return sorted rows of groups drawn evenly, as near to a share of the rows as whole groups allow; never all.

    Args:
        groups: (N,) a number for each row; rows of one number stay together.
        share: of all rows, in (0, 1).
        seed: the same seed, the same rows, in whatever order they come.
        least: no fewer rows than these, where there are more of them.

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
