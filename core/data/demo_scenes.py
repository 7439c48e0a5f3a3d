"""The demo of masks: painted scenes of scikit-learn's real handwritten digits, some of their masks wrong on purpose.

An `images`/`labels` pair of folders: each mask an 8-bit PNG of class ids, `classes.txt` naming them with their colours.
In a fifth of the scenes one object is labelled wrongly: its class swapped, or the object dropped, shifted, dilated or
merged with a neighbour (`core.data.planting`). Which ones a seed decides. The true masks and `planted.json` lie in a
folder of their own beside the dataset, for tests and benches only: the app never looks at it.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.data.planting import Planting, plant
from core.data.scene_painting import paint_scene
from core.data.storage import atomic_folder
from core.types import ClassTable, IntArray, Region

SCENES = 240
WRONG_SHARE = 0.2
SEED = 30
PLANTED = "planted.json"
TABLE = ClassTable(
    names=("background", "zero", "one", "two", "three", "four"),
    colours=("#20262e", "#e6194b", "#f5a623", "#3cb44b", "#4363d8", "#b14fd0"),
)
_FEWEST, _MOST = 3, 5  # digits in a scene


@dataclass(frozen=True, slots=True)
class PlantedScene:
    """What was made wrong in one mask, and that mask as it should be, (H, W) uint8."""

    name: str  # of the image and the mask: "0007.png"
    kind: Planting
    region: Region  # the pixels that are wrong
    true: IntArray


def truth_folder(folder: Path) -> Path:
    """Return where the truth about the scenes in `folder` lies: beside it, where no import looks."""
    return folder.with_name(f"{folder.name}-truth")


def write_demo_scenes(folder: Path) -> None:
    """Write the scenes once; an existing folder is left as it is, a half-written one cannot exist."""
    if folder.exists():
        return
    truth = truth_folder(folder)
    shutil.rmtree(truth, ignore_errors=True)  # of a try that ended between the two
    with atomic_folder(folder, durable=False) as partial, atomic_folder(truth, durable=False) as hidden:
        for inside in (partial / "images", partial / "labels", hidden / "labels"):
            inside.mkdir()
        planted = _write_scenes(partial, hidden)
        rows = zip(TABLE.names, TABLE.colours, strict=True)
        lines = [f"{name} {' '.join(str(part) for part in bytes.fromhex(colour[1:]))}" for name, colour in rows]
        (partial / "classes.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (hidden / PLANTED).write_text(json.dumps(planted), encoding="utf-8")


def read_planted(folder: Path) -> list[PlantedScene]:
    """Return what is wrong in the masks of the scenes in `folder`, in the order of their names."""
    truth = truth_folder(folder)
    return [
        PlantedScene(
            row["name"],
            Planting(row["kind"]),
            Region(np.array(row["runs"], dtype=np.int32)),
            np.asarray(Image.open(truth / "labels" / row["name"])),
        )
        for row in json.loads((truth / PLANTED).read_text(encoding="utf-8"))
    ]


def _write_scenes(folder: Path, truth: Path) -> list[dict[str, Any]]:
    """Write all images and masks, and the true masks of the wrong ones; return what was made wrong."""
    from sklearn.datasets import load_digits  # noqa: PLC0415  # seconds, which only a new installation should pay

    digits = load_digits()
    known = np.flatnonzero(digits.target < len(TABLE) - 1)
    random = np.random.default_rng(SEED)
    wrong = random.choice(SCENES, round(WRONG_SHARE * SCENES), replace=False).tolist()
    kinds = dict(zip(wrong, list(Planting) * SCENES, strict=False))  # as many of each
    planted = []
    for number in range(SCENES):
        name = f"{number:04}.png"
        shown = random.choice(known, random.integers(_FEWEST, _MOST, endpoint=True), replace=False)
        picture, true = paint_scene(digits.images[shown], digits.target[shown] + 1, random)
        given = true
        if number in kinds:
            given, region = plant(true, kinds[number], random, classes=len(TABLE))
            planted.append({"name": name, "kind": kinds[number].value, "runs": region.runs.tolist()})
            Image.fromarray(true).save(truth / "labels" / name)
        Image.fromarray(picture).save(folder / "images" / name)
        Image.fromarray(given).save(folder / "labels" / name)
    return planted
