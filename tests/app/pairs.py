"""Tiny images with masks of ids beside them: `images/` and `masks/`, classes in `classes.txt`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from core.types import IntArray

CLASSES = ("sky", "road", "car")
WIDTH, HEIGHT = 12, 8


def mask_of(*classes: int) -> IntArray:
    """Return a mask of as many upright stripes as there are classes."""
    columns = np.arange(WIDTH) * len(classes) // WIDTH
    return np.broadcast_to(np.array(classes, dtype=np.uint8)[columns], (HEIGHT, WIDTH)).copy()


def draw_pair(root: Path, name: str, mask: IntArray | None, *, seed: int = 0) -> None:
    """Write one image and its mask; None: no mask."""
    size = (HEIGHT, WIDTH) if mask is None else mask.shape
    pixels = np.random.default_rng([seed, *name.encode()]).integers(0, 255, (*size, 3), np.uint8)
    for folder, drawn in (("images", pixels), ("masks", mask)):
        if drawn is not None:
            path = root / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn).save(path)


def draw_pairs(root: Path, masks: Mapping[str, IntArray | None], classes: Sequence[str] = CLASSES) -> Path:
    """Write images with their masks and return their folder."""
    for name, mask in masks.items():
        draw_pair(root, name, mask)
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in classes))
    return root


def draw_stripes(root: Path, count: int = 12) -> Path:
    """Write images of sky and road, every other one with a car, and return their folder."""
    masks = {f"{number:02}": mask_of(0, 1, 2) if number % 2 else mask_of(0, 1) for number in range(count)}
    return draw_pairs(root, masks)
