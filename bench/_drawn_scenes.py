"""Drawn scenes of digits with masks: with wrong objects, for the detection of these, and with few classes an image.

Wrong objects: the masks give some objects the class of another, and a round says how suspicious it finds each one. The
unit is an object: a connected part (8-neighbour) of one digit's class. N scenes, M objects, K classes with the ground;
object classes count from 0, their ids in a mask from 1.

Few classes: `draw_tagged` paints two to four of ten classes into each scene, so that tags exclude most of them.
"""

import colorsys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from core.config import DatasetSummary, propose_config
from core.data.demo import GROUND, HEIGHT, TABLE, WIDTH, paint_scene
from core.data.images import read_facts
from core.data.masks.store import MaskStore
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot, SnapshotMasks
from core.judge.regions import RegionFinding
from core.rounds import run_mask_round
from core.types import FloatArray, IntArray, Task

CLASSES = len(TABLE) - 1  # of objects
_SCENES, _FEWEST, _MOST = 240, 3, 5  # digits in a scene, as in the demo
_LEAST_PIXELS = 48
_SHOWN = 0.25  # of an object
_SIDE = 8  # of the grey pixels that the second model sees
_TEMPERATURE = 0.1
_OBJECTS = 10  # classes of the scenes for tags, beside the ground
TAGGED = ("ground", *(f"object {number}" for number in range(_OBJECTS)))  # the ground is in every scene
_FEWEST_TAGGED, _MOST_TAGGED = 2, 4  # classes in such a scene, each once
_TAGGED_SIZE = 96, 72  # pixels, width and height
_RADII = 11, 20  # pixels, of an object
_HUE_DEVIATION = 0.03  # of the circle; the classes' hues lie a tenth apart


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """Scenes with their true masks, and their objects: scene, pixels in it, class, (M,), and grey pixels, (M, 64)."""

    paths: list[Path]
    masks: list[IntArray]  # (H, W) each
    rows: IntArray
    inside: list[NDArray[np.bool_]]  # (H, W) each
    true: IntArray
    pixels: FloatArray


def draw(folder: Path, seed: int = 0, count: int = _SCENES) -> Scenes:
    """Paint scenes below `folder` and return them with their objects."""
    folder.mkdir(parents=True)
    digits, rng = load_digits(), np.random.default_rng(seed)
    known = np.flatnonzero(digits.target < CLASSES)
    paths, masks = [], []
    for number in range(count):
        shown = rng.choice(known, rng.integers(_FEWEST, _MOST, endpoint=True), replace=False)
        picture, mask = paint_scene(digits.images[shown], digits.target[shown] + 1, rng)
        paths.append(folder / f"{number:04}.png")
        masks.append(mask)
        Image.fromarray(picture).save(paths[-1])
    objects = [(row, part) for row, mask in enumerate(masks) for part in _parts(mask)]
    return Scenes(
        paths,
        masks,
        np.array([row for row, _ in objects]),
        [part for _, part in objects],
        np.array([int(masks[row][part][0]) - 1 for row, part in objects]),
        np.stack([_small(paths[row], part) for row, part in objects]),
    )


def draw_tagged(folder: Path, counts: Mapping[str, int], seed: int = 0) -> tuple[Snapshot, dict[str, IntArray]]:
    """Paint scenes with two to four of ten classes below `folder`; return their snapshot and the rows of each part.

    `counts` are the scenes of each part. A class is a shape (five, each of two classes) whose hue is normal around a
    tenth of the circle of its own, so hues of neighbours overlap and small parts of a shape do not tell. The ground is
    dull and uneven. Later objects cover earlier ones. The masks lie in `folder / "masks"`.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    paths: list[Path] = []
    masks: list[IntArray] = []
    parts: dict[str, IntArray] = {}
    for part, count in counts.items():
        parts[part] = np.arange(len(paths), len(paths) + count)
        for number in range(count):
            classes = rng.choice(_OBJECTS, rng.integers(_FEWEST_TAGGED, _MOST_TAGGED, endpoint=True), replace=False)
            picture, mask = _shapes(classes + 1, rng)
            paths.append(folder / f"{part}-{number:04}.png")
            masks.append(mask)
            Image.fromarray(picture).save(paths[-1])
    return _stored(paths, masks, folder / "masks", TAGGED), parts


def _shapes(labels: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return a picture (H, W, 3) uint8 of one object of each of these classes, and its mask."""
    width, height = _TAGGED_SIZE
    coarse = rng.uniform(-0.15, 0.15, (4, 5, 3)) + rng.uniform(0.3, 0.8, 3)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((height, width), np.uint8)
    for label in labels.tolist():
        outline = _OUTLINES[(label - 1) % len(_OUTLINES)]
        turn, radius = rng.uniform(0, 2 * np.pi), rng.uniform(*_RADII)
        middle = rng.uniform(radius * 0.8, np.array([width, height]) - radius * 0.8)
        turned = outline @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        inside = np.zeros_like(mask)
        cv2.fillPoly(inside, [(middle + radius * turned).round().astype(np.int32)], 1)
        hue = (rng.normal((label - 1) / _OBJECTS, _HUE_DEVIATION)) % 1
        colour = colorsys.hsv_to_rgb(hue, rng.uniform(0.35, 0.9), rng.uniform(0.4, 1))
        picture[inside == 1] = colour
        mask[inside == 1] = label
    picture = cv2.GaussianBlur(picture, (3, 3), 0) + rng.normal(0, 0.05, picture.shape)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8), mask


def _star(points: int, inner: float) -> FloatArray:
    """Return the corners of a star around 0 with its points at distance 1, (2 * points, 2)."""
    angles = np.arange(2 * points) * np.pi / points
    corners: FloatArray = np.where(np.arange(2 * points) % 2, inner, 1.0)[:, None] * np.stack(
        (np.cos(angles), np.sin(angles)), axis=1
    )
    return corners


_OUTLINES = (_star(24, 1.0), _star(3, 0.5), _star(4, 0.4), _star(2, 0.45), _star(2, 1.0))  # disc ... square


def suspicions(scenes: Scenes, given: IntArray, seed: int, scratch: Path) -> tuple[dict[str, FloatArray], float]:
    """Run the default round on objects of these classes, (M,); return their suspicion by order, and its seconds.

    Orders: the review's, in which an object comes with the first finding that shows a quarter of it, those that none
    shows last; cleanlab's softmin of the given class's probability over the object's pixels; and Flath's rule, by the
    share of the object's pixels that are predicted as one other class and how sure the network is of them.
    """
    masks = [mask.copy() for mask in scenes.masks]
    for row, part, label in zip(scenes.rows, scenes.inside, given, strict=True):
        masks[row][part] = label + 1
    snapshot = _stored(scenes.paths, masks, scratch / "masks")
    summary = DatasetSummary(width=WIDTH, height=HEIGHT, grey=False, count=len(masks))
    config = replace(propose_config(summary, Task.SEGMENTATION), seed=seed)
    started = time.perf_counter()
    judged = run_mask_round(
        snapshot,
        config,
        scratch / "round",
        image_cache=scratch / "images",
        masks=scratch / "masks",
        report=lambda _: None,
    )
    seconds = time.perf_counter() - started
    orders = {"default round": _by_findings(scenes, judged.findings)} | _by_pixels(scenes, given, scratch, snapshot)
    return orders, seconds


def _by_findings(scenes: Scenes, findings: Sequence[RegionFinding]) -> FloatArray:
    suspicion = np.full(len(scenes.true), -np.inf)
    objects: dict[int, list[int]] = {}
    for number, row in enumerate(scenes.rows.tolist()):
        objects.setdefault(row, []).append(number)
    for place, finding in enumerate(findings):
        shown = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
        for y, x, length in finding.region.runs.tolist():
            shown[y, x : x + length] = True
        for number in objects.get(finding.row, []):
            if shown[scenes.inside[number]].mean() >= _SHOWN:
                suspicion[number] = max(suspicion[number], -place)
    return np.where(np.isneginf(suspicion), -len(findings), suspicion)


def _by_pixels(scenes: Scenes, given: IntArray, scratch: Path, snapshot: Snapshot) -> dict[str, FloatArray]:
    from cleanlab.internal.multilabel_scorer import softmin  # noqa: PLC0415 seconds

    assert snapshot.masks is not None
    predictions = read_predictions(scratch / "round", snapshot.masks.sizes)
    cleanlab, flath = np.empty(len(given)), np.empty(len(given))
    for number, (row, part) in enumerate(zip(scenes.rows.tolist(), scenes.inside, strict=True)):
        predicted, confidence, given_probability = (values[part] for values in predictions.of(row))
        cleanlab[number] = -softmin(given_probability[None] / 255, temperature=_TEMPERATURE)[0]
        votes = np.bincount(predicted, weights=confidence / 255, minlength=CLASSES + 1) / len(predicted)
        sure = votes.max()
        flath[number] = sure if votes.argmax() != given[number] + 1 else -sure
    return {"cleanlab": cleanlab, "Flath's rule": flath}


def _parts(mask: IntArray) -> list[NDArray[np.bool_]]:
    """Return the pixels of each object of a mask, (H, W)."""
    found = []
    for label in np.unique(mask[mask != GROUND]):
        _, parts, facts, _ = cv2.connectedComponentsWithStats((mask == label).astype(np.uint8), connectivity=8)
        large = np.flatnonzero(facts[1:, cv2.CC_STAT_AREA] >= _LEAST_PIXELS) + 1
        found += [parts == number for number in large]
    return found


def _small(path: Path, part: NDArray[np.bool_]) -> FloatArray:
    """Return the box around an object as grey pixels in [0, 1], (64,)."""
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    with Image.open(path) as picture:
        grey = np.asarray(picture.convert("L").crop(box).resize((_SIDE, _SIDE)), np.float32)
    small: FloatArray = grey.reshape(-1) / 255
    return small


def _stored(
    paths: Sequence[Path], masks: Sequence[IntArray], folder: Path, classes: Sequence[str] = TABLE.names
) -> Snapshot:
    """Return the snapshot of the given masks, which are put below `folder`."""
    store = MaskStore(folder)
    names = [store.put(mask, durable=False) for mask in masks]
    return Snapshot(
        sample_ids=np.arange(1, len(paths) + 1),
        paths=[str(path) for path in paths],
        labels=np.array([np.bincount(mask[mask != GROUND]).argmax() for mask in masks], np.int32),
        groups=[""] * len(paths),
        content_hashes=[read_facts(path, 1_000_000).content_hash for path in paths],
        classes=list(classes),
        masks=SnapshotMasks(names, [""] * len(names), np.array([mask.shape for mask in masks], np.int32)),
    )
