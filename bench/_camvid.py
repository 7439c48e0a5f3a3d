"""CamVid as a snapshot for the benchmarks of recipes: some splits, one after another."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from bench.planted_masks import NAMES, VOID
from core.data.images import read_facts
from core.data.masks.store import MaskStore, classes_in
from core.data.snapshot import Snapshot, SnapshotMasks
from core.recipes.data import RecipeData
from core.types import IGNORE, IntArray

LABELLED_SHARE = 1 / 8
DRIVES = ("0006R0", "0016E5", "0001TP")  # of the training images; the test images are of the last and of Seq05VD


def stored_splits(root: Path, folder: Path, wanted: Mapping[str, int]) -> tuple[Snapshot, dict[str, IntArray]]:
    """Return the snapshot of these splits in their order, and the rows of each; masks are put below `folder`.

    `wanted` is the number of images of each split, evenly spread; 0: all.
    """
    store, names, sizes, rarest = MaskStore(folder), [], [], []
    paths: list[Path] = []
    parts: dict[str, IntArray] = {}
    for part, most in wanted.items():
        found = sorted((root / part / "images").glob("*.jpg"))
        found = found[:: max(1, len(found) // most)][:most] if most else found
        parts[part] = np.arange(len(paths), len(paths) + len(found))
        for path in found:
            mask = np.asarray(Image.open(root / part / "labels" / f"{path.stem}.png")).astype(np.uint8)
            mask = np.where(mask == VOID, IGNORE, mask).astype(np.uint8)
            paths.append(path)
            names.append(store.put(mask, durable=False))
            sizes.append(mask.shape)
            rarest.append(classes_in(mask)[-1])
    snapshot = Snapshot(
        sample_ids=np.arange(len(paths)) + 1,
        paths=[str(path) for path in paths],
        labels=np.array(rarest, np.int32),
        groups=[""] * len(paths),
        content_hashes=[read_facts(path, 1_000_000).content_hash for path in paths],
        classes=NAMES,
        masks=SnapshotMasks(names, [""] * len(paths), np.array(sizes, np.int32)),
    )
    return snapshot, parts


def data_of(snapshot: Snapshot, parts: dict[str, IntArray], seed: int) -> RecipeData:
    """Return the parts that the images play: an eighth of those to train on, drawn by a seed, keep their masks."""
    order = np.random.default_rng(seed).permutation(parts["train"])
    few = max(2, round(LABELLED_SHARE * len(order)))
    return RecipeData(
        snapshot=snapshot,
        labelled=np.sort(order[:few]),
        unlabelled=np.sort(order[few:]),
        validation=parts["val"],
        test=parts["test"],
    )


def data_of_drive(snapshot: Snapshot, parts: dict[str, IntArray], seed: int, few: int) -> RecipeData:
    """Return the parts of the images where one drive has masks: `few` of its images; those of the other drives none.

    The seed draws the images, and chooses the drive: each of the three in turn.
    """
    drive = DRIVES[seed % len(DRIVES)]
    of_drive = np.array([Path(snapshot.paths[row]).name.startswith(drive) for row in parts["train"].tolist()])
    rows = np.random.default_rng(seed).permutation(parts["train"][of_drive])[:few]
    return RecipeData(
        snapshot=snapshot,
        labelled=np.sort(rows),
        unlabelled=parts["train"][~of_drive],
        validation=parts["val"],
        test=parts["test"],
    )
