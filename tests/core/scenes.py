"""Drawn scenes with masks, right ones and wrong ones: sky above a road, a disc and a box in it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot, SnapshotMasks
from core.types import IGNORE

CLASSES = ["sky", "road", "disc", "box"]
COLOURS = np.array([[120, 160, 220], [90, 90, 90], [210, 60, 60], [60, 190, 80]], np.float32)


@dataclass(frozen=True)
class Scenes:
    """The snapshot of drawn scenes, where their masks are, and each one's true mask."""

    snapshot: Snapshot
    store: Path
    true: list[np.ndarray]
    swapped: list[int]  # rows whose disc is called a box


def drawn(folder: Path, count: int = 40, *, width: int = 64, height: int = 48, seed: int = 0) -> Scenes:
    """Draw scenes, every fifth of them upright, and call the disc of every tenth a box."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    store, paths, names, true = MaskStore(folder / "masks"), [], [], []
    swapped = list(range(3, count, 10))
    for row in range(count):
        size = (height, width) if row % 5 == 0 else (width, height)
        mask = _mask(rng, *size)
        pixels = COLOURS[mask] * rng.uniform(0.8, 1.2) + rng.normal(0, 12, (*mask.shape, 3))
        mask[:2] = IGNORE
        given = np.where(mask == 2, 3, mask).astype(np.uint8) if row in swapped else mask
        paths.append(str(folder / f"{row}.png"))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(paths[-1])
        names.append(store.put(given))
        true.append(mask)
    masks = SnapshotMasks(names, [""] * count, np.array([mask.shape for mask in true], np.int32))
    hashes = [f"{folder.name}-{seed}-{row}" for row in range(count)]
    labels = np.full(count, 2, np.int32)
    snapshot = Snapshot(np.arange(count) + 1, paths, labels, [""] * count, hashes, CLASSES, masks)
    return Scenes(snapshot, folder / "masks", true, swapped)


def _mask(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    image = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, int(rng.integers(height // 3, 2 * height // 3)), width, height), fill=1)
    side = min(width, height) // 3
    x = int(rng.integers(0, width - side))
    draw.rectangle((x, height - side - 2, x + side, height - 2), fill=3)
    x = int(rng.integers(0, width - side))
    draw.ellipse((x, 3, x + side, 3 + side), fill=2)
    return np.array(image)
