"""Drawn scenes of digits whose masks give some objects the class of another, and how suspicious a round finds each one.

The unit is an object: a connected part (8-neighbour) of one digit's class. N scenes, M objects, K classes with the
ground; object classes count from 0, their ids in a mask from 1.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from core.config import ImageSummary, propose_config
from core.data.demo_scenes import TABLE
from core.data.images import read_facts
from core.data.masks.store import MaskStore
from core.data.predictions import read_predictions
from core.data.scene_painting import GROUND, HEIGHT, WIDTH, paint_scene
from core.data.snapshot import Masks, Snapshot
from core.judge.mask_images import RegionFinding
from core.rounds import run_mask_round
from core.types import FloatArray, IntArray, Task

CLASSES = len(TABLE) - 1  # of objects
_SCENES, _FEWEST, _MOST = 240, 3, 5  # digits in a scene, as in the demo
_LEAST_PIXELS = 48
_SHOWN = 0.25  # of an object
_SIDE = 8  # of the grey pixels that the second model sees
_TEMPERATURE = 0.1


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
    summary = ImageSummary(width=WIDTH, height=HEIGHT, grey=False, count=len(masks))
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


def _stored(paths: Sequence[Path], masks: Sequence[IntArray], folder: Path) -> Snapshot:
    """Return the snapshot of the given masks, which are put below `folder`."""
    store = MaskStore(folder)
    names = [store.put(mask, durable=False) for mask in masks]
    return Snapshot(
        sample_ids=np.arange(1, len(paths) + 1),
        paths=[str(path) for path in paths],
        labels=np.array([np.bincount(mask[mask != GROUND]).argmax() for mask in masks], np.int32),
        groups=[""] * len(paths),
        content_hashes=[read_facts(path, 1_000_000).content_hash for path in paths],
        classes=list(TABLE.names),
        masks=Masks(names, [""] * len(names), np.array([mask.shape for mask in masks], np.int32)),
    )
