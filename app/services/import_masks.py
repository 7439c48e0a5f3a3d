"""Masks on their way in: read on all cores, kept by content, the classes in each of them counted."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.data.formats.source import Problems
from core.data.masks.colours import class_table
from core.data.masks.reading import MaskError, read_masks
from core.data.masks.store import MaskStore, class_pixels
from core.types import ClassTable, IntArray

Rows = Callable[[], Iterator[list[Any]]]  # each a sample's values, then its facts; from the start
_NAME, _MASK, _WIDTH, _HEIGHT = 1, 5, 9, 10  # columns of such a row


@dataclass(frozen=True, slots=True)
class Masks:
    """The store of an import's masks, and in how many of its images and pixels each class is.

    None: images without a mask, and pixels that are IGNORE.
    """

    store: MaskStore
    images: Counter[int | None] = field(default_factory=Counter)
    pixels: Counter[int | None] = field(default_factory=Counter)

    def keep(
        self, rows: Rows, table: ClassTable, into: ClassTable, problems: Problems, note: Callable[[int], None]
    ) -> Iterator[tuple[str | None]]:
        """Yield the hash of each row's mask in the ids of `into`; None: it has none that can be used."""
        warnings: dict[int, MaskError] = {}
        references = ((row[_MASK], row[_WIDTH], row[_HEIGHT]) for row in rows() if row[_MASK] is not None)
        masks = enumerate(read_masks(references, table, into=into, warn=warnings.__setitem__))
        for done, row in enumerate(rows(), start=1):
            number, mask = (None, None) if row[_MASK] is None else next(masks)
            if number in warnings:
                warning = warnings.pop(number)
                problems.warn(warning.kind, row[_NAME], str(warning), warning.cure)
            if isinstance(mask, MaskError):
                message = f"{mask}; the image is imported without a mask"
                problems.error(mask.kind, row[_NAME], message, mask.cure)
            yield (self._kept(mask),)
            note(done)
        os.sync()  # once, and not for each of them: from here on rows may name them

    def count(self, name: str | None, times: int = 1) -> None:
        """Count the classes of a stored mask so many times more."""
        if name is None:
            self.images[None] += times
        else:
            self._add(self.store.get(name), times)

    def _kept(self, mask: IntArray | MaskError | None) -> str | None:
        if mask is None or isinstance(mask, MaskError):
            self.images[None] += 1
            return None
        self._add(mask, 1)
        return self.store.put(mask, durable=False)

    def _add(self, mask: IntArray, times: int) -> None:
        counts = class_pixels(mask)
        found = np.flatnonzero(counts).tolist()
        self.images.update(dict.fromkeys(found, times))
        self.pixels.update({number: times * int(counts[number]) for number in found})
        self.pixels[None] += times * (mask.size - int(counts.sum()))


def grown_table(classes: tuple[str, ...], colours: tuple[str, ...], table: ClassTable) -> ClassTable:
    """Return the known classes with those of `table` that are new at their end, each with a colour of its own."""
    new = [(name, colour) for name, colour in zip(table.names, table.colours, strict=True) if name not in set(classes)]
    return class_table([*classes, *(name for name, _ in new)], [*colours, *(colour for _, colour in new)])
