"""Classes of a dataset: names by id, their order, and those that are retired or merged.

An id is an index into `names` and never changes: stored labels, masks and rounds refer to it. Lists of classes on
pages and in files hold the `offered` ones, in order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from core.types.labels import IntArray
from core.types.masks import ignore_of, mask_dtype


@dataclass(frozen=True, slots=True)
class ClassState:
    """The classes of a dataset.

    `retired` are ids whose addition was undone, ascending. `merged` maps the id of a merged class to its target, chains
    resolved. `order` has every id with a chosen place; empty: by id.
    """

    names: tuple[str, ...]
    retired: tuple[int, ...] = ()
    merged: Mapping[int, int] = field(default_factory=dict)
    order: tuple[int, ...] = ()

    @property
    def ordered(self) -> tuple[int, ...]:
        """Return every id in order, those without a chosen place last."""
        return (*self.order, *sorted(set(range(len(self.names))) - set(self.order)))

    @property
    def offered(self) -> tuple[int, ...]:
        """Return the ids of the classes that new labels may have, in order."""
        return tuple(one for one in self.ordered if one not in self.retired and one not in self.merged)

    @property
    def offered_names(self) -> tuple[str, ...]:
        """Return the names of the offered classes, in order."""
        return tuple(self.names[one] for one in self.offered)

    def among(self, count: int) -> tuple[int, ...]:
        """Return the offered classes among the first `count` ids, in order; merged ids count as their targets."""
        meant = {self.present(one) for one in range(count)}
        return tuple(one for one in self.offered if one in meant)

    @property
    def places(self) -> dict[int, int]:
        """Return the index in `offered` of every class id of labels; a merged id has that of its target."""
        place = {one: at for at, one in enumerate(self.offered)}
        return place | {one: place[into] for one, into in self.merged.items() if into in place}

    @property
    def is_plain(self) -> bool:
        """Return whether every class is offered, by id."""
        return self.offered == tuple(range(len(self.names)))

    def present(self, label: int | None) -> int | None:
        """Return the current class of a stored label."""
        return None if label is None else self.merged.get(label, label)

    def name_of(self, label: int) -> str:
        """Return the current name of a stored label."""
        return self.names[self.merged.get(label, label)]


def merged_ids(labels: Iterable[int], merged: Mapping[int, int]) -> list[int]:
    """Return the current classes of stored labels, each once, ascending."""
    return sorted({merged.get(one, one) for one in labels})


def renumber_mask(mask: IntArray, places: Mapping[int, int], classes: int) -> IntArray:
    """Return a mask, (H, W), with class ids replaced by `places`, in the dtype of masks of so many classes.

    Raises:
        ValueError: a pixel has a class without a place.
    """
    ignore, dtype = ignore_of(mask), mask_dtype(classes)
    lost = sorted(set(np.unique(mask).tolist()) - {*places, ignore})
    if lost:
        raise ValueError(f"a pixel has the class {lost[0]}, which is offered no more")
    table = np.full(ignore + 1, np.iinfo(dtype).max, dtype)
    for value, place in places.items():
        table[value] = place
    changed: IntArray = table[mask]
    return changed


def exchange_values(mask: IntArray, values: Mapping[int, int]) -> IntArray:
    """Return a mask, (H, W), with some of its values exchanged for others; the same object if there are none."""
    if not values:
        return mask
    table = np.arange(np.iinfo(mask.dtype).max + 1, dtype=mask.dtype)
    for value, other in values.items():
        table[value] = other
    changed: IntArray = table[mask]
    return changed
