"""Input of the writers of masks, and the places of the images of an export.

Every mask format's module has the same three functions beside `recognise`:

- `read(root, options) -> SourceListing` lists the samples; masks are read later, by `core.data.masks.reading`.
- `place(items) -> list[str]` returns the path of each image below the export; the exporter puts it there.
- `write(folder, items, table, files) -> None` writes the masks; `files` are the paths from `place`. Formats that can
  write one annotation for each class or each piece also take `per`.

A written export is read back equal by the same module's `read`: the masks pixel by pixel, the classes and their
colours, and the splits if the format has them.
"""

import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, count
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from core.data.export.names import safe_name
from core.data.masks.colours import rgb_of
from core.data.masks.runs import Inside
from core.data.storage import write_atomically
from core.types import ClassTable, IntArray, ignore_of

LONGEST_SUFFIX = 12  # characters
META = "dataset_meta.json"  # datumaro's list of classes


class Per(StrEnum):
    """Unit of an annotation in an export of masks; usual: each format's own."""

    USUAL = "usual"
    CLASS = "class"
    PIECE = "piece"


@dataclass(frozen=True, slots=True)
class MaskItem:
    """One image to export with its mask.

    `name` is its path within the dataset, `image` the path of the file, `mask` reads the (height, width) mask when
    written; None: the image is unlabelled.
    """

    name: str
    split: str
    image: Path
    width: int
    height: int
    mask: Callable[[], IntArray] | None


def place_in(items: Sequence[MaskItem], folder_of: Callable[[MaskItem], str]) -> list[str]:
    """Return `folder/name.suffix` for each item, every name safe on any disk and every stem distinct in its folder.

    Stems are distinct because a mask is found by the stem of its image. The first of equal names is kept.
    """
    taken: set[str] = set()
    placed = []
    for item in items:
        folder, path = folder_of(item), PurePosixPath(item.name)
        suffix = path.suffix if path.suffix[1:].isalnum() and len(path.suffix) <= LONGEST_SUFFIX else ""
        stem = chosen = safe_name(path.name.removesuffix(suffix))
        if not suffix:
            stem = chosen = stem.replace(".", "%2E")  # the part after a dot would be taken for the ending
        attempt = 1
        while (key := _same_file(f"{folder}/{chosen}")) in taken:
            attempt += 1
            chosen = f"{stem}~{attempt}"
        taken.add(key)
        placed.append(f"{folder}/{chosen}{suffix}" if folder else f"{chosen}{suffix}")
    return placed


def annotations(mask: IntArray, per: Per) -> Iterator[tuple[int, Inside]]:
    """Yield the class and the pixels of each annotation of a mask, (H, W): a class, or a connected piece of one.

    Pixels that touch at a corner are connected. IGNORE has no annotation.
    """
    for label in np.flatnonzero(np.bincount(mask.ravel())).tolist():
        if label == ignore_of(mask):
            continue
        inside = mask == label
        if per is Per.CLASS:
            yield label, inside
            continue
        pieces, numbers = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
        for number in range(1, pieces):
            yield label, numbers == number


def unused_name(table: ClassTable, wanted: str) -> str:
    """Return `wanted`, or `wanted2` and so on if a class has that name."""
    names = chain([wanted], (f"{wanted}{number}" for number in count(2)))
    return next(name for name in names if name not in table.names)


def write_meta(folder: Path, table: ClassTable) -> None:
    """Write the classes as datumaro reads them beside folders of masks: ids, names and colours."""
    values = {
        "label_map": {str(number): name for number, name in enumerate(table.names)},
        "segmentation_colors": [list(rgb_of(colour)) for colour in table.colours],
    }
    write_atomically(folder / META, (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode())


def _same_file(name: str) -> str:
    """Return a key that is equal for names of one file on disks that fold case or normalise unicode."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
