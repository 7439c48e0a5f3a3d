"""Demo datasets made of scikit-learn's 1,797 real handwritten digits, with known wrong labels.

Class labels: a folder of PNG files, 8 % of them with another class. Masks: painted scenes of several digits, an
`images`/`labels` pair of folders, each mask an 8-bit PNG of class ids, `classes.txt` with their names and colours. In a
fifth of the scenes one object is labelled wrongly: its class swapped, or the object dropped, shifted, dilated or merged
with a neighbour (`core.data.planting`).

A seed decides which labels are wrong. The truth is written for tests and benches only: of class labels into a hidden
file that readers skip, of masks into a folder beside the dataset.

Shapes: H = 96, W = 128 pixels; a digit as scikit-learn has it (8, 8) float in [0, 16]; pictures (H, W, 3) and their
colours (3,) float32 in [0, 1]; cover (H, W) float32 in [0, 1], how much of a pixel the digit takes; mask (H, W) uint8.
"""

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from core.data.planting import Planting, plant
from core.data.storage import atomic_folder
from core.types import ClassTable, FloatArray, IntArray

TRUTH = ".truth.csv"
WRONG_LABELS = 0.08
_DIGITS_SEED = 20

SCENES = 240
WRONG_MASKS = 0.2
_SCENES_SEED = 30
PLANTED = "planted.json"
TABLE = ClassTable(
    names=("background", "zero", "one", "two", "three", "four"),
    colours=("#20262e", "#e6194b", "#f5a623", "#3cb44b", "#4363d8", "#b14fd0"),
)
_FEWEST, _MOST = 3, 5  # digits in a scene
HEIGHT, WIDTH = 96, 128
GROUND = 0  # in a mask

_GROUNDS = (
    "#e9dfca",
    "#c8d6cf",
    "#d8cfe0",
    "#2f4152",
    "#4a3a31",
    "#2c4a41",
    "#c9ac83",
    "#4d4159",
    "#6f8494",
    "#b4c4d2",
)
_TINTS = ("#e4572e", "#17a398", "#f2b705", "#2e6fb7", "#6fa83b", "#a8326e", "#f6f2e4", "#22384a", "#f29fb5", "#8a63c9")
_CLEAR = 0.42  # a tint differs from its ground by this much, of at most sqrt(3)
_APART = 0.72  # of their mean size: how near two digits come
_TRIES = 40
_RIM = 4  # pixels of ground around every picture's digits
_SHADOW = 0.45


def write_demo(folder: Path) -> None:
    """Write the demo of class labels, unless the folder exists."""
    if folder.exists():
        return
    from sklearn.datasets import load_digits  # noqa: PLC0415  # seconds, which only a new installation should pay

    digits = load_digits()
    given = wrong_labels(digits.target, WRONG_LABELS, _DIGITS_SEED)
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
    """Return `labels` with a random share of them replaced by another class, drawn uniformly."""
    random = np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    chosen = random.choice(len(labels), round(share * len(labels)), replace=False)
    changed = labels.copy()
    changed[chosen] = (labels[chosen] + random.integers(1, classes, len(chosen))) % classes
    return changed


def truth_folder(folder: Path) -> Path:
    """Return the folder of the true masks of the scenes in `folder`: beside it, outside of the dataset."""
    return folder.with_name(f"{folder.name}-truth")


def write_demo_scenes(folder: Path) -> None:
    """Write the demo of masks, unless the folder exists."""
    if folder.exists():
        return
    truth = truth_folder(folder)
    shutil.rmtree(truth, ignore_errors=True)  # left by a killed run
    with atomic_folder(folder, durable=False) as partial, atomic_folder(truth, durable=False) as hidden:
        for inside in (partial / "images", partial / "labels", hidden / "labels"):
            inside.mkdir()
        planted = _write_scenes(partial, hidden)
        rows = zip(TABLE.names, TABLE.colours, strict=True)
        lines = [f"{name} {' '.join(str(part) for part in bytes.fromhex(colour[1:]))}" for name, colour in rows]
        (partial / "classes.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (hidden / PLANTED).write_text(json.dumps(planted), encoding="utf-8")


def _write_scenes(folder: Path, truth: Path) -> list[dict[str, Any]]:
    """Write all images and masks, and the true masks of the wrong ones; return the planted errors."""
    from sklearn.datasets import load_digits  # noqa: PLC0415  # seconds, which only a new installation should pay

    digits = load_digits()
    known = np.flatnonzero(digits.target < len(TABLE) - 1)
    random = np.random.default_rng(_SCENES_SEED)
    wrong = random.choice(SCENES, round(WRONG_MASKS * SCENES), replace=False).tolist()
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


def paint_scene(digits: FloatArray, classes: IntArray, random: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return a picture (H, W, 3) uint8 of as many of these digits as find room, and its mask.

    Args:
        digits: (D, 8, 8), in the order of painting.
        classes: (D,), class id of each in the mask; 0 is the ground.
        random: source of everything else.
    """
    ground = _colour(_GROUNDS[random.integers(len(_GROUNDS))])
    picture = _paint_ground(ground, random)
    mask = np.full((HEIGHT, WIDTH), GROUND, dtype=np.uint8)
    tints = [tint for tint in map(_colour, _TINTS) if np.linalg.norm(tint - ground) > _CLEAR]
    tints = [tints[i] for i in random.permutation(len(tints))]
    for i, (x, y, size) in enumerate(_places(len(digits), random)):
        cover = _cover(digits[i], x, y, size, random.uniform(-0.15, 0.15))
        picture = _paint_digit(picture, cover, tints[i % len(tints)])
        mask[cover > 0.5] = classes[i]  # noqa: PLR2004  # a pixel has the class that covers most of it
    picture += random.normal(0, 0.012, picture.shape)  # a camera's grain
    return (picture.clip(0, 1) * 255).round().astype(np.uint8), mask


def _colour(name: str) -> FloatArray:
    return np.array([int(name[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32) / 255


def _places(count: int, random: np.random.Generator) -> list[tuple[float, float, float]]:
    """Return centre and size in pixels of up to `count` digits that overlap a little at most."""
    placed: list[tuple[float, float, float]] = []
    for _ in range(count * _TRIES):
        size = random.uniform(38, 54)
        x = random.uniform(size / 3 + _RIM, WIDTH - size / 3 - _RIM)
        y = random.uniform(size / 2 + _RIM, HEIGHT - size / 2 - _RIM)
        if all(np.hypot(x - u, y - v) > _APART * (size + other) / 2 for u, v, other in placed):
            placed.append((x, y, size))
        if len(placed) == count:
            break
    return placed


def _cover(digit: FloatArray, x: float, y: float, size: float, turn: float) -> FloatArray:
    """Return the cover of a digit centred at (x, y), `size` pixels high and turned by `turn`."""
    framed = np.zeros((12, 12), dtype=np.float32)
    framed[2:10, 2:10] = digit / 16
    step = 8 / size  # of the digit's own pixels, for one of the picture's
    cos, sin = step * np.cos(turn), step * np.sin(turn)
    from_picture = (cos, sin, 6 - cos * x - sin * y, -sin, cos, 6 + sin * x - cos * y)
    warped = Image.fromarray(framed).transform(
        (WIDTH, HEIGHT), Image.Transform.AFFINE, from_picture, Image.Resampling.BICUBIC
    )
    ink = np.asarray(warped)
    cover: FloatArray = ((ink - 0.42) * (0.7 / step) + 0.5).clip(0, 1)  # an edge one or two pixels wide
    return cover


def _paint_digit(picture: FloatArray, cover: FloatArray, tint: FloatArray) -> FloatArray:
    """Return the picture with a digit of this tint painted on it, lit from the upper left."""
    shade = Image.fromarray((cover * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2.2))
    blurred = np.asarray(shade, dtype=np.float32) / 255
    shadow = np.zeros_like(blurred)
    shadow[3:, 2:] = blurred[:-3, :-2]
    light = np.zeros_like(blurred)
    light[1:, 1:] = blurred[1:, 1:] - blurred[:-1, :-1]  # bright where the edge looks to the light
    body = tint + 0.9 * light[..., None]
    ground = picture * (1 - _SHADOW * shadow[..., None])
    return ground + (body - ground) * cover[..., None]


def _paint_ground(ground: FloatArray, random: np.random.Generator) -> FloatArray:
    """Return ground of this colour with one of three textures and a gradient of light."""
    texture = (_clouds, _planks, _weave)[random.integers(3)](random)
    turn = random.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, WIDTH)[None] * np.cos(turn) + np.linspace(-1, 1, HEIGHT)[:, None] * np.sin(turn)
    lit: FloatArray = (ground * (1 + texture + 0.13 * across)[..., None]).astype(np.float32)
    return lit


def _clouds(random: np.random.Generator) -> FloatArray:
    return _noise({3: 0.14, 8: 0.10, 24: 0.10, 64: 0.08}, random)


def _planks(random: np.random.Generator) -> FloatArray:
    """Boards with a grain, noise stretched along x, and a dark seam between two of them."""
    height = int(random.integers(18, 33))
    row = (np.arange(HEIGHT) + random.integers(height)) // height
    board = random.uniform(-0.1, 0.1, row.max() + 1)[row]
    board[1:][np.diff(row) > 0] = -0.35
    wood: FloatArray = _noise({8: 0.10, 24: 0.12, 64: 0.09}, random, stretched=12) + board[:, None]
    return wood


def _weave(random: np.random.Generator) -> FloatArray:
    """Threads over and under one another, unevenly dyed."""
    pitch = random.uniform(5, 8)
    x, y = np.arange(WIDTH)[None] * 2 * np.pi / pitch, np.arange(HEIGHT)[:, None] * 2 * np.pi / pitch
    over, under = np.sin(x) * np.sign(np.sin(y / 2)), np.sin(y) * np.sign(np.sin(x / 2))
    cloth: FloatArray = 0.05 * (over + under) + 0.7 * _clouds(random)
    return cloth


def _noise(shares: Mapping[int, float], random: np.random.Generator, stretched: int = 1) -> FloatArray:
    """Return a sum of smooth noises, (H, W); `shares` has the amplitude for each number of cells along H."""
    total = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    for cells, share in shares.items():
        columns = max(3, cells * WIDTH // (HEIGHT * stretched))
        coarse = random.uniform(-share, share, (cells, columns)).astype(np.float32)
        total += np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    return total
