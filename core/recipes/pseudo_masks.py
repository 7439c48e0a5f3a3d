"""Pseudo masks as T. Petrac's program keeps them: `camvid/unlabeled/train_pseudoIt{n}/`, in the classes' colours.

A mask has the name of its image. `camvid/classes.csv` says the colours, and which one is IGNORE.
"""

from pathlib import Path

from PIL import Image

from core.data.formats.mask_pairs import save_mask
from core.data.masks.classes import write_classes
from core.data.masks.colours import class_table, painted
from core.data.masks.items import MaskItem, place_in
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.types import ClassTable


def pseudo_folder(folder: Path, iteration: int) -> Path:
    """Return where the masks of an iteration, from 1 on, lie below the recipe's folder."""
    return folder / "camvid" / "unlabeled" / f"train_pseudoIt{iteration}"


def write_pseudo_masks(
    target: Path, snapshot: Snapshot, labels: dict[int, str], store: MaskStore, table: ClassTable | None
) -> None:
    """Write masks, row -> name in `store`, into an iteration's `pseudo_folder`. Unknown colours are made up."""
    target.mkdir(parents=True, exist_ok=True)
    colours, ignored = write_classes(target.parents[1], table or class_table(snapshot.classes))
    rows = sorted(labels)
    items = [MaskItem(Path(snapshot.paths[row]).name, "", Path(snapshot.paths[row]), 0, 0, None) for row in rows]
    for row, name in zip(rows, place_in(items, lambda _: ""), strict=True):
        mask = painted(store.get(labels[row]), colours.colours, ignored)
        save_mask(target / name, Image.fromarray(mask))
