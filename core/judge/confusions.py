"""Confusion matrix as stored with a round, and its figures after classes were merged.

K classes; a confusion is (K, K) counts, given x predicted. Few classes are stored whole. Of many, the sums and the
largest pairs are stored: 1,000 classes would be a million numbers in one row of the database, nearly all of them 0.

Ids stay, so a merged class keeps its row and column, which are 0 then. Figures of the whole round (accuracy,
calibration, thresholds) stay as they were measured.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.types import ClassState, IntArray

MOST_WHOLE = 100  # classes
MOST_PAIRS = 2_000
_MUCH_BETTER = 0.3  # gain in agreement by another order of the classes
Confusion = Sequence[Sequence[int]] | Mapping[str, Any]  # as `as_json` writes it


def as_json(confusion: IntArray) -> list[list[int]] | dict[str, Any]:
    """Return a confusion as JSON values: its rows, or for many classes its sums and largest pairs.

    `right` is its diagonal, `given` and `predicted` are its sums, all (K,); `pairs` are (given, predicted, count) off
    the diagonal, the largest first; `left_out` is the total of the smaller ones.
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
    """Return the agreement and that of the best order of the predicted classes if it is much better, else None.

    The best order is the assignment of predicted classes to given ones that agrees with most labels.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 a second, which starting the app need not wait for

    count = max(1, int(confusion.sum()))
    rows, columns = linear_sum_assignment(-confusion)
    agree, best = int(confusion.trace()) / count, int(confusion[rows, columns].sum()) / count
    return (agree, best) if best > agree + _MUCH_BETTER else None


def merged_metrics(metrics: Mapping[str, Any], state: ClassState) -> dict[str, Any]:
    """Return the metrics with the confusion and the rows `per_class` of merged classes added to their targets.

    Their `offered` are the ids of the classes to show, in order.
    """
    found = {**metrics, "offered": list(state.offered)}
    if not state.merged or "confusion" not in metrics:
        return found
    found["confusion"] = merged_confusion(metrics["confusion"], state.merged)
    if "per_class" in metrics:
        found["per_class"] = _merged_rows(metrics["per_class"], found["confusion"], state.merged)
    return found


def merged_confusion(confusion: Confusion, merged: Mapping[int, int]) -> list[list[int]] | dict[str, Any]:
    """Return a confusion, whole or as its sums and largest pairs, with merged classes added to their targets."""
    if not isinstance(confusion, Mapping):
        cells: Counter[tuple[int, int]] = Counter()
        for given, row in enumerate(confusion):
            for predicted, count in enumerate(row):
                cells[merged.get(given, given), merged.get(predicted, predicted)] += count
        classes = range(len(confusion))
        return [[cells[given, predicted] for predicted in classes] for given in classes]
    right = _add_merged(confusion["right"], merged)
    pairs: Counter[tuple[int, int]] = Counter()
    for *pair, count in confusion["pairs"]:
        given, predicted = (merged.get(one, one) for one in pair)
        if given == predicted:
            right[given] += count
        else:
            pairs[given, predicted] += count
    return {
        **confusion,
        "right": right,
        "given": _add_merged(confusion["given"], merged),
        "predicted": _add_merged(confusion["predicted"], merged),
        "pairs": [[*pair, count] for pair, count in sorted(pairs.items(), key=lambda one: (-one[1], one[0]))],
    }


def _add_merged(sums: Sequence[int], merged: Mapping[int, int]) -> list[int]:
    total: Counter[int] = Counter()
    for one, count in enumerate(sums):
        total[merged.get(one, one)] += count
    return [total[one] for one in range(len(sums))]


def _merged_rows(
    rows: Sequence[Mapping[str, Any]], confusion: Sequence[Sequence[int]] | Mapping[str, Any], merged: Mapping[int, int]
) -> list[dict[str, Any]]:
    """Return the rows of classes; count and agreement of merge targets are computed anew."""
    if isinstance(confusion, Mapping):
        right, given, predicted = (confusion[name] for name in ("right", "given", "predicted"))
    else:
        right = [row[one] for one, row in enumerate(confusion)]
        given, predicted = [sum(row) for row in confusion], [sum(column) for column in zip(*confusion, strict=True)]
    errors: Counter[int] = Counter()
    for row in rows:
        errors[merged.get(row["class"], row["class"])] += row["estimated_errors"]
    found = []
    for row in rows:
        one, new = row["class"], dict(row)
        pair = row["worst_pair"]
        if one in merged or one in merged.values():
            union = given[one] + predicted[one] - right[one]
            new |= {
                "count": given[one],
                "agreement": right[one] / given[one] if given[one] else None,
                "estimated_errors": errors[one],
                "worst_pair": None,  # counted before the merge
            }
            new |= {"iou": right[one] / union if union else None} if "iou" in row else {}
        elif pair is not None:
            new["worst_pair"] = {**pair, "pseudo": merged.get(pair["pseudo"], pair["pseudo"])}
        found.append(new)
    return found
