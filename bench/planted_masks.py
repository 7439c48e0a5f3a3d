"""Planted errors in CamVid's masks: their share among the first findings, and the share of jitter.

    python bench/planted_masks.py camvid.tar [--json FILE] [--seeds 3] [--cache FOLDER] [--full]

Into a fifth of the 367 training masks one error each is planted, as many of each kind (`core.data.planting`); half of
the others get borders that are off by 1 to 3 pixels. Then a round runs through `core.rounds.run_mask_round`, as the
app's do, and its findings are gone through from the first one on. With k planted errors:

- `found_in_k`, `found_in_2k`: the share of them that the first k (2k) findings show, and `per_kind` at k. An error is
  shown when findings that are wrong pixels for the most part cover a quarter of it.
- `jitter_false_share`: the share of the first k findings that are jitter for the most part.
- `cleanlab_found_in_k`: the share of them in the first k images by cleanlab's softmin, which ranks whole images and
  knows no region; `images_found_in_k` the same by our image scores. k images are far more to look at than k regions,
  so `cleanlab_found_in_k_regions` goes through as many findings, image by image in its order, large ones first.
- `miou`: of the out-of-fold predictions, against the true masks.

CamVid itself has wrong masks, and what one person calls a fence another calls a wall: such findings count as false.
Folds keep the frames of one drive together. Figures are means over the seeds; each seed plants other errors and has
other folds and draws, and all share the images' feature maps. The config is what the app proposes: by default where
there is no GPU, with `--full` where there is one.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._data import data_parser, parse_with_data, unpack
from core.config import DatasetSummary, RoundConfig, propose_config
from core.data.images import read_facts
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.store import MaskStore
from core.data.planting import Planting, plant
from core.data.predictions import PredictionFiles, read_predictions
from core.data.snapshot import Snapshot, SnapshotMasks
from core.judge.mask_judgement import IMAGE_SCORES
from core.judge.mask_scoring import mean_iou, pixel_confusion
from core.judge.regions import RegionFinding
from core.rounds import run_mask_round, versions
from core.types import IGNORE, IntArray, Progress, Task

ARCHIVE = "camvid.tar"
SEED, CLASSES, VOID = 2009, 11, 11
PLANTED_SHARE, JITTERED_SHARE = 1 / 5, 1 / 2
SHOWN = 0.25  # of a planted error
NAMES = ["Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist"]


@dataclass(frozen=True)
class CorruptedMasks:
    """Given and true masks, and the changes between them, by row."""

    paths: list[Path]
    given: Sequence[IntArray]
    true: Sequence[IntArray]
    planted: dict[int, Planting]
    jittered: set[int]

    def wrong(self, row: int) -> NDArray[np.bool_]:
        """Return the pixels of an image that were made wrong, (H, W)."""
        changed: NDArray[np.bool_] = self.given[row] != self.true[row]
        return changed


def main() -> None:
    """Run the experiment and print its table."""
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    started, cpu = time.perf_counter(), time.process_time()

    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        root = unpack(arguments.data, Path(scratch), ARCHIVE)
        runs = [one_round(root, Path(scratch), seed, arguments) for seed in range(arguments.seeds)]
    figures: dict[str, Any] = {"versions": versions(), "runs": runs}
    figures |= {name: float(np.mean([run[name] for run in runs])) for name in runs[0] if numeric(runs[0][name])}
    figures["per_kind"] = {
        kind: float(np.mean([run["per_kind"][kind] for run in runs])) for kind in runs[0]["per_kind"]
    }
    figures |= {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    for name, value in figures.items():
        if numeric(value):
            print(f"{name:<28} {value:>12,.3f}")
    print("per_kind " + ", ".join(f"{kind} {share:.2f}" for kind, share in figures["per_kind"].items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def one_round(root: Path, scratch: Path, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Plant errors, run a round, and return the scores of its findings."""
    started, cpu = time.perf_counter(), time.process_time()
    folder = scratch / str(seed)
    corrupted = spoil(root, SEED + seed)
    snapshot = store(corrupted, folder / "masks")
    config = replace(propose_settings(arguments, len(set(snapshot.groups))), seed=seed)
    print(
        f"{len(corrupted.given)} images, {len(corrupted.planted)} errors, {len(corrupted.jittered)} jittered; {config}"
    )
    judged = run_mask_round(
        snapshot,
        config,
        folder / "round",
        image_cache=arguments.cache or scratch / "images",
        masks=folder / "masks",
        report=EpochPrinter(),
    )
    figures: dict[str, Any] = {"config": config.to_json()}
    figures |= measure(corrupted, judged.findings, folder / "round", snapshot)
    figures |= bulk(corrupted, judged.findings, judged.metrics["proposed_threshold"])
    figures |= {name: judged.metrics[name] for name in ("wobble_regions", "tiny_regions", "estimated_errors")}
    figures |= {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    print(f"  found in k {figures['found_in_k']:.3f}, mIoU {figures['miou']:.3f}, {figures['cpu_seconds']:.0f} CPU s")
    return figures


def numeric(value: object) -> bool:
    """Return whether a figure is a number."""
    return isinstance(value, int | float)


def spoil(root: Path, seed: int) -> CorruptedMasks:
    """Read the training part and make some of its masks wrong, the same ones for each seed."""
    paths = sorted((root / "train" / "images").glob("*.jpg"))
    true = [np.asarray(Image.open(root / "train" / "labels" / f"{path.stem}.png")).astype(np.uint8) for path in paths]
    true = [np.where(mask == VOID, IGNORE, mask).astype(np.uint8) for mask in true]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(true)).tolist()
    count = round(PLANTED_SHARE * len(true))
    given, planted = list(true), {}
    for number, row in enumerate(order[:count]):
        planted[row] = list(Planting)[number % len(Planting)]
        given[row], _ = plant(true[row], planted[row], rng, classes=CLASSES)
    jittered = set(order[count : count + round(JITTERED_SHARE * (len(true) - count))])
    for row in sorted(jittered):
        given[row] = jitter(true[row], rng)
    return CorruptedMasks(paths, given, true, planted, jittered)


def jitter(mask: IntArray, rng: np.random.Generator) -> IntArray:
    """Return the mask with every border moved by up to 1 to 3 pixels, smoothly; IGNORE stays where it is."""
    height, width = mask.shape
    most = int(rng.integers(1, 3, endpoint=True))
    coarse = rng.uniform(-most, most, (height // 20, width // 20, 2)).astype(np.float32)
    moved = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    shaken = cv2.remap(mask, x + moved[..., 0], y + moved[..., 1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.where((mask == IGNORE) | (shaken == IGNORE), mask, shaken).astype(np.uint8)


def store(corrupted: CorruptedMasks, folder: Path) -> Snapshot:
    """Return the snapshot of the given masks, which are put below `folder`."""
    store = MaskStore(folder)
    names = [store.put(mask, durable=False) for mask in corrupted.given]
    present = [np.unique(mask[mask != IGNORE]) for mask in corrupted.given]
    often = np.bincount(np.concatenate(present), minlength=CLASSES)
    return Snapshot(
        sample_ids=np.arange(1, len(names) + 1),
        paths=[str(path) for path in corrupted.paths],
        labels=np.array([classes[often[classes].argmin()] for classes in present], np.int32),
        groups=[sequence_of(path.name) or "" for path in corrupted.paths],
        content_hashes=[read_facts(path, 1_000_000).content_hash for path in corrupted.paths],
        classes=NAMES,
        masks=SnapshotMasks(names, [""] * len(names), np.array([mask.shape for mask in corrupted.given], np.int32)),
    )


def measure(
    corrupted: CorruptedMasks, findings: Sequence[RegionFinding], folder: Path, snapshot: Snapshot
) -> dict[str, Any]:
    """Return the scores of the findings in their order."""
    count = len(corrupted.planted)
    at_k, at_2k = rows_shown(corrupted, findings[:count]), rows_shown(corrupted, findings[: 2 * count])
    kinds = {
        kind.value: float(np.mean([row in at_k for row, own in corrupted.planted.items() if own is kind]))
        for kind in Planting
    }
    jitter_made = [one for one in findings[:count] if one.row in corrupted.jittered and is_wrong(corrupted, one)]
    predictions = read_predictions(folder, snapshot.masks.sizes)  # type: ignore[union-attr]
    images = np.argsort(np.load(folder / IMAGE_SCORES), kind="stable")[:count].tolist()
    scores = cleanlab_scores(predictions, len(corrupted.given))
    theirs = np.argsort(scores, kind="stable")[:count].tolist()
    by_image = sorted(findings, key=lambda one: (scores[one.row], one.row, -one.region.area))
    return {
        "planted": count,
        "findings": len(findings),
        "found_in_k": len(at_k) / count,
        "found_in_2k": len(at_2k) / count,
        "found": len(rows_shown(corrupted, findings)) / count,
        "per_kind": kinds,
        "jitter_false_share": len(jitter_made) / max(1, min(count, len(findings))),
        "images_found_in_k": len(set(images) & set(corrupted.planted)) / count,
        "cleanlab_found_in_k": len(set(theirs) & set(corrupted.planted)) / count,
        "cleanlab_found_in_k_regions": len(rows_shown(corrupted, by_image[:count])) / count,
        "miou": true_miou(corrupted, predictions),
    }


def rows_shown(corrupted: CorruptedMasks, findings: Sequence[RegionFinding]) -> set[int]:
    """Return the rows whose planted error these findings show."""
    covered = dict.fromkeys(corrupted.planted, 0)
    for one in findings:
        if one.row in covered and is_wrong(corrupted, one):
            covered[one.row] += int(pixels(corrupted.wrong(one.row), one).sum())
    return {row for row, seen in covered.items() if seen >= SHOWN * corrupted.wrong(row).sum()}


def is_wrong(corrupted: CorruptedMasks, finding: RegionFinding) -> bool:
    """Return whether most of a finding's pixels were made wrong."""
    return bool(pixels(corrupted.wrong(finding.row), finding).mean() > 1 / 2)


def pixels(values: IntArray | NDArray[np.bool_], finding: RegionFinding) -> IntArray:
    """Return the values, (H, W), of a finding's pixels, (P,)."""
    return np.concatenate([values[y, x : x + length] for y, x, length in finding.region.runs.tolist()])


def cleanlab_scores(predictions: PredictionFiles, count: int) -> list[float]:
    """Return cleanlab's softmin of all images; IGNORE pixels, which it does not know, count as surely right."""
    from cleanlab.internal.multilabel_scorer import softmin  # noqa: PLC0415 seconds

    return [float(softmin(predictions.of(row)[2].reshape(1, -1) / 255, temperature=0.1)[0]) for row in range(count)]


def true_miou(corrupted: CorruptedMasks, predictions: PredictionFiles) -> float | None:
    """Return the mean IoU of the predictions with the true masks."""
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    for row, true in enumerate(corrupted.true):
        predicted = predictions.of(row)[0]
        confusion += pixel_confusion(true, predicted, CLASSES)
    return mean_iou(confusion)


def bulk(corrupted: CorruptedMasks, findings: Sequence[RegionFinding], threshold: float) -> dict[str, float]:
    """Return the change of the pixels by accepting everything from the proposed threshold on."""
    accepted = [one for one in findings if one.confidence >= threshold]
    right = changed = mended = 0
    for one in accepted:
        true = pixels(corrupted.true[one.row], one)
        changed += len(true)
        mended += int((true == one.pseudo).sum())
        right += int((true == one.pseudo).mean() > 1 / 2)
    return {
        "proposed_threshold": threshold,
        "accepted": len(accepted),
        "accepted_right_share": right / max(1, len(accepted)),
        "accepted_right_pixel_share": mended / max(1, changed),
    }


def propose_settings(arguments: argparse.Namespace, drives: int) -> RoundConfig:
    """Return the round's config: the app's own proposal."""
    images = DatasetSummary(width=480, height=360, grey=False, count=367, groups=drives, gpu=arguments.full)
    proposed = propose_config(images, Task.SEGMENTATION)
    return replace(proposed, epochs=arguments.epochs) if arguments.epochs else proposed


class EpochPrinter:
    """Prints one line per epoch; it is given to a round as its `report`."""

    def __init__(self) -> None:
        """Begin before the first epoch."""
        self.line = ""

    def __call__(self, progress: Progress) -> None:
        """Print the progress of the round, once."""
        line = f"  {progress.stage}, fold {progress.fold + 1}, epoch {progress.epoch} of {progress.epochs}"
        if line != self.line:
            print(line if progress.loss is None else f"{line}: loss {progress.loss:.3f}")
        self.line = line


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = data_parser(__doc__)
    parser.add_argument("--full", action="store_true", help="what the app proposes where there is a GPU")
    parser.add_argument("--cache", type=Path, help="keep decoded images and feature maps in this folder")
    parser.add_argument("--seeds", type=int, default=3, help="rounds to run")
    parser.add_argument("--epochs", type=int, default=0, help="of `--full`, instead of the usual number")
    return parse_with_data(parser)


if __name__ == "__main__":
    main()
