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
    folder: Path, iteration: int, snapshot: Snapshot, labels: dict[int, int | str], table: ClassTable | None
) -> None:
    """Write the masks that an iteration learns; nothing where labels are classes. Unknown colours are made up."""
    if snapshot.masks is None:
        return
    store, target = MaskStore(folder / "masks"), pseudo_folder(folder, iteration)
    target.mkdir(parents=True, exist_ok=True)
    colours, ignored = write_classes(folder / "camvid", table or class_table(snapshot.classes))
    items = [
        MaskItem(Path(snapshot.paths[row]).name, "", Path(snapshot.paths[row]), 0, 0, None) for row in sorted(labels)
    ]
    for row, name in zip(sorted(labels), place_in(items, lambda _: ""), strict=True):
        mask = painted(store.get(str(labels[row])), colours.colours, ignored)
        save_mask(target / name, Image.fromarray(mask))
