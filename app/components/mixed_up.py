"""What of a confusion fits on a chart: all of it for few classes, for many the classes that are mixed up most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Confusion = Sequence[Sequence[int]] | Mapping[str, Any]  # as `core.judge.confusions.as_json` writes it
MOST_WHOLE = 100  # classes
MOST_CHOSEN = 40


@dataclass(frozen=True, slots=True)
class Shown:
    """The classes shown, by their ids; (given, predicted, count) among them; how much was given of each of them."""

    classes: tuple[int, ...]
    cells: tuple[tuple[int, int, int], ...]
    given: Mapping[int, int]


def shown(confusion: Confusion, classes: int) -> Shown:
    """Return what is drawn of a confusion of so many classes."""
    right, given, pairs = _parts(confusion)
    chosen = set(range(classes))
    if classes > MOST_WHOLE:
        chosen = set()
        for one, other, _ in sorted(pairs, key=lambda pair: -pair[2]):
            if len(chosen | {one, other}) > MOST_CHOSEN:
                break
            chosen |= {one, other}
    among = [pair for pair in pairs if pair[0] in chosen and pair[1] in chosen]
    diagonal = [(one, one, right[one]) for one in sorted(chosen) if one < len(right) and right[one]]
    return Shown(tuple(sorted(chosen)), (*diagonal, *among), {one: given[one] for one in chosen if one < len(given)})


def _parts(confusion: Confusion) -> tuple[list[int], list[int], list[tuple[int, int, int]]]:
    """Return the diagonal, the sums of the rows, and what lies off the diagonal as (given, predicted, count)."""
    if isinstance(confusion, Mapping):
        return confusion["right"], confusion["given"], [(one, other, n) for one, other, n in confusion["pairs"]]
    pairs = [(one, other, n) for one, row in enumerate(confusion) for other, n in enumerate(row) if n and one != other]
    return [row[place] for place, row in enumerate(confusion)], [sum(row) for row in confusion], pairs
