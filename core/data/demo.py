"""The demo dataset: scikit-learn's 1,797 real handwritten digits as a folder of PNG files, 8 % of the labels wrong.

Which ones is decided by a seed and written into a hidden file beside the images, for tests and benches only: the
readers pass over it, the app never looks at it.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.storage import atomic_folder
from core.types import IntArray

TRUTH = ".truth.csv"
WRONG_SHARE = 0.08
SEED = 20


def write_demo(folder: Path) -> None:
    """Write the demo once; an existing folder is left as it is, a half-written one cannot exist."""
    if folder.exists():
        return
    from sklearn.datasets import load_digits  # noqa: PLC0415  # seconds, which only a new installation should pay

    digits = load_digits()
    given = wrong_labels(digits.target, WRONG_SHARE, SEED)
    with atomic_folder(folder, durable=False) as partial:  # it can be written again
        for name in map(str, range(10)):
            (partial / name).mkdir()
        rows = [("path", "given", "true")]
        for number, (pixels, label, true) in enumerate(zip(digits.images, given, digits.target, strict=True)):
            path = f"{label}/{number:04}.png"
            Image.fromarray((pixels * (255 / 16)).round().astype(np.uint8)).save(partial / path)  # (8, 8), 0 to 16
            rows.append((path, str(label), str(true)))
        with (partial / TRUTH).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)


def wrong_labels(labels: IntArray, share: float, seed: int) -> IntArray:
    """Return `labels` with this share of them replaced by another class, drawn uniformly."""
    random = np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    chosen = random.choice(len(labels), round(share * len(labels)), replace=False)
    changed = labels.copy()
    changed[chosen] = (labels[chosen] + random.integers(1, classes, len(chosen))) % classes
    return changed


def read_truth(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the given and the true label of every file of the demo, by its path below `folder`."""
    with (folder / TRUTH).open(encoding="utf-8", newline="") as file:
        return {row["path"]: (int(row["given"]), int(row["true"])) for row in csv.DictReader(file)}
