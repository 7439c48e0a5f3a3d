"""What a writer of masks is given, and where the images of an export go.

Every mask format's module has the same three functions beside `recognise`:

- `read(root, options) -> SourceListing` lists the samples; masks are read later, by `core.data.masks.reading`.
- `place(items) -> list[str]` says at which path below the export each image goes; the exporter brings it there.
- `write(folder, items, table, files) -> None` writes the masks; `files` are the paths `place` gave.

What is written, with the images at their places, is read back equal by the same module's `read`: the masks pixel for
pixel, the classes and their colours, and the splits where the format has them.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.data.export.names import safe_name
from core.types import IntArray

LONGEST_SUFFIX = 12  # characters


@dataclass(frozen=True, slots=True)
class MaskItem:
    """One image that leaves with its mask.

    `name` is its path within the dataset, `image` where the file lies, `mask` reads the (height, width) mask when it
    is its turn; None: nobody labelled the image.
    """

    name: str
    split: str
    image: Path
    width: int
    height: int
    mask: Callable[[], IntArray] | None


def place_in(items: Sequence[MaskItem], folder_of: Callable[[MaskItem], str]) -> list[str]:
    """Return `folder/name.suffix` for each item, every name safe on any disk and every stem distinct in its folder.

    The stem, because a mask is found by the stem of its image. The first comer keeps its own name.
    """
    taken: set[str] = set()
    placed = []
    for item in items:
        folder, path = folder_of(item), PurePosixPath(item.name)
        suffix = path.suffix if path.suffix[1:].isalnum() and len(path.suffix) <= LONGEST_SUFFIX else ""
        stem = chosen = safe_name(path.name.removesuffix(suffix))
        if not suffix:
            stem = chosen = stem.replace(".", "%2E")  # what follows a dot would be taken for the ending
        attempt = 1
        while (key := _same_file(f"{folder}/{chosen}")) in taken:
            attempt += 1
            chosen = f"{stem}~{attempt}"
        taken.add(key)
        placed.append(f"{folder}/{chosen}{suffix}" if folder else f"{chosen}{suffix}")
    return placed


def _same_file(name: str) -> str:
    """Return what two names share that are one file on a disk that folds case or normalises unicode."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
