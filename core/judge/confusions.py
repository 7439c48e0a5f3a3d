"""A confusion as it is kept with a round: whole for few classes, for many its sums and the pairs mixed up most.

K classes; a confusion is (K, K) counts, given x predicted. 1,000 classes would be a million numbers in one row of the
database, nearly all of them 0.
"""

from typing import Any

import numpy as np

from core.types import IntArray

MOST_WHOLE = 100  # classes
MOST_PAIRS = 2_000
_CLOSE = 0.3  # by which more labels agree with classes in another order than with those in the order assumed


def as_json(confusion: IntArray) -> list[list[int]] | dict[str, Any]:
    """Return a confusion as JSON values: its rows, or for many classes what it adds up to and its largest pairs.

    `right` is its diagonal, `given` and `predicted` are its sums, all (K,); `pairs` are (given, predicted, count) off
    the diagonal, the largest first; `left_out` is the count that stands in smaller ones.
    """
    if len(confusion) <= MOST_WHOLE:
        rows: list[list[int]] = confusion.tolist()
        return rows
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    places = np.flatnonzero(wrong)
    counts = wrong.reshape(-1)[places]
    chosen = np.argsort(-counts, kind="stable")[:MOST_PAIRS]
    given, predicted = np.divmod(places[chosen], len(confusion))
    return {
        "right": confusion.diagonal().tolist(),
        "given": confusion.sum(axis=1).tolist(),
        "predicted": confusion.sum(axis=0).tolist(),
        "pairs": np.stack([given, predicted, counts[chosen]], axis=1).tolist(),
        "left_out": int(counts.sum() - counts[chosen].sum()),
    }


def better_order(confusion: IntArray) -> tuple[float, float] | None:
    """Return the agreement, and that of the best order of the predicted classes where it is much better, else None.

    The best order is the assignment of predicted classes to given ones that agrees with most labels.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 a second, which a start must not pay for

    count = max(1, int(confusion.sum()))
    rows, columns = linear_sum_assignment(-confusion)
    agree, best = int(confusion.trace()) / count, int(confusion[rows, columns].sum()) / count
    return (agree, best) if best > agree + _CLOSE else None
