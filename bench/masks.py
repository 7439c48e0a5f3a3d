"""Speed of judging masks (scores and regions, without any network), beside cleanlab's segmentation module.

    python bench/masks.py [--json FILE] [--megapixels 200]

The arrays are drawn: street-like scenes of 11 classes with borders that shift by up to 3 pixels and a few regions that
are really wrong, about a tenth of all pixels. `mpx_per_s` is what `judge_masks` does of each image once its arrays are
in memory, on all cores; `judge_mpx_per_s` all of `judge_masks`, from files to findings. cleanlab gets the same scenes
as it wants them, dense (N, K, H, W), and only a few, since each takes K floats a pixel; it finds label issues and
scores the images. Speeds also count CPU seconds (`..._per_cpu_s`), which a busy machine disturbs less.
Peak memory is that of a process of its own that judges 100 and 1000 images.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.config import RoundConfig
from core.data.children import cores
from core.data.masks.store import MaskStore
from core.data.predictions import create_predictions
from core.data.snapshot import Snapshot, SnapshotMasks
from core.judge.differing_pixels import MaskPair
from core.judge.mask_judgement import batches, judge_masks, weigh_images
from core.judge.mask_metrics import Tally
from core.types import FloatArray, IntArray

CLASSES, SCENES, DENSE = 11, 12, 4
SIZES = ((360, 480), (1024, 2048))
CONFIG = RoundConfig(folds=2)


def main() -> None:
    """Measure all and print the table."""
    arguments = parse_arguments()
    if arguments.judge is not None:
        print(json.dumps(judge_folder(arguments.judge)))
        return
    figures: dict[str, Any] = {"cores": cores()}
    for height, width in SIZES:
        scenes = [draw_scene(seed, height, width) for seed in range(SCENES)]
        figures[f"{width}x{height}"] = measure(scenes, arguments.megapixels)
    small, large = (figures[f"{width}x{height}"] for height, width in SIZES)
    figures |= {name: small[name] for name in ("mpx_per_s", "mpx_per_cpu_s", "speedup_over_cleanlab")}
    for count in (100, 1000):
        judged = in_own_process(count)
        figures[f"peak_mb_{count}"] = judged["peak_mb"]
        figures |= {f"judge_{name}": judged[name] for name in ("mpx_per_s", "mpx_per_cpu_s")}
    for name in small:
        print(f"{name:<28} {small[name]:>12,.2f} {large[name]:>12,.2f}")
    for name in ("judge_mpx_per_s", "judge_mpx_per_cpu_s", "peak_mb_100", "peak_mb_1000"):
        print(f"{name:<28} {figures[name]:>12,.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def draw_scene(seed: int, height: int, width: int) -> MaskPair:
    """Return a scene: patches, things on them, a prediction whose borders move and that contradicts a few regions."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(9, 12, CLASSES)).astype(np.float32)
    given = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).argmax(axis=2).astype(np.uint8)
    _discs(given, 12, rng)
    shift = rng.uniform(-3, 3, (height // 12, width // 12, 2)).astype(np.float32)
    x, y = np.moveaxis(cv2.resize(shift, (width, height)), 2, 0) + np.mgrid[:height, :width][::-1].astype(np.float32)
    predicted = cv2.remap(given, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)
    _discs(predicted, 4, rng)
    confidence = rng.beta(9, 1, (height // 4, width // 4)).astype(np.float32)
    confidence = np.clip(cv2.resize(confidence, (width, height)), 1 / CLASSES, 1)
    likely = np.where(given == predicted, confidence, (1 - confidence) / 2)
    sure, likely = (np.round(255 * values).astype(np.uint8) for values in (confidence, likely))
    return MaskPair(given, predicted, sure, likely, fold=0)


def _discs(mask: IntArray, count: int, rng: np.random.Generator) -> None:
    height, width = mask.shape
    for _ in range(count):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(mask, centre, int(rng.integers(height // 60, height // 9)), int(rng.integers(CLASSES)), -1)


def measure(scenes: list[MaskPair], megapixels: float) -> dict[str, float]:
    """Return the speeds on scenes of one size."""
    size = scenes[0].given.size / 1e6
    rounds = max(1, round(megapixels / size / len(scenes)))
    work = scenes * rounds
    together = [[work[row] for row in batch] for batch in batches(range(len(work)), sizes_of(work))]

    def judge() -> list[int]:
        with ThreadPoolExecutor(cores()) as threads:
            return list(threads.map(weigh, together))

    judge()
    seconds, cpu = time_call(judge)
    ours = {"mpx_per_s": len(work) * size / seconds, "mpx_per_cpu_s": len(work) * size / cpu}
    labels = np.stack([scene.given for scene in scenes[:DENSE]]).astype(np.int64)
    probs = np.stack([dense(scene) for scene in scenes[:DENSE]])
    with_cleanlab(labels[:, :64, :64], probs[:, :, :64, :64])  # its import takes seconds
    seconds, cpu = time_call(lambda: with_cleanlab(labels, probs))
    theirs = {"cleanlab_mpx_per_s": DENSE * size / seconds, "cleanlab_mpx_per_cpu_s": DENSE * size / cpu}
    return (
        {"differing_percent": 100 * float(np.mean([(one.given != one.predicted).mean() for one in scenes]))}
        | {"findings_per_image": sum(judge()) / len(work)}
        | ours
        | theirs
        | {
            "speedup_over_cleanlab": ours["mpx_per_s"] / theirs["cleanlab_mpx_per_s"],
            "speedup_over_cleanlab_cpu": ours["mpx_per_cpu_s"] / theirs["cleanlab_mpx_per_cpu_s"],
        }
    )


def sizes_of(scenes: list[MaskPair]) -> IntArray:
    """Return height and width of each, (N, 2)."""
    return np.array([scene.given.shape for scene in scenes])


def weigh(scenes: list[MaskPair]) -> int:
    """Do all that is done of some images and return their number of findings."""
    tally = Tally(CLASSES, CONFIG.folds)
    return sum(len(suspects) for suspects, _ in weigh_images(scenes, CONFIG, tally))


def dense(scene: MaskPair) -> FloatArray:
    """Return probabilities of all classes, (K, H, W), that correspond to the scene's bytes."""
    sure, likely = scene.confidence / np.float32(255), scene.given_probability / np.float32(255)
    rest = np.maximum(0, 1 - sure - np.where(scene.given == scene.predicted, 0, likely)) / (CLASSES - 1)
    probs = np.broadcast_to(rest, (CLASSES, *rest.shape)).astype(np.float32)
    np.put_along_axis(probs, scene.given[None].astype(np.int64), likely[None], axis=0)
    np.put_along_axis(probs, scene.predicted[None].astype(np.int64), sure[None], axis=0)
    normal: FloatArray = probs / probs.sum(axis=0)
    return normal


def with_cleanlab(labels: IntArray, probs: FloatArray) -> None:
    """Let cleanlab find the issues and score the images; labels (N, H, W), probs (N, K, H, W)."""
    from cleanlab.segmentation.filter import find_label_issues  # noqa: PLC0415 seconds
    from cleanlab.segmentation.rank import get_label_quality_scores  # noqa: PLC0415

    find_label_issues(labels, probs, downsample=1, verbose=False)
    get_label_quality_scores(labels, probs, method="softmin", verbose=False)


def time_call(act: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds on the clock and of all CPUs, also those of children that have ended."""
    clock, cpu = time.perf_counter(), sum(os.times()[:4])
    act()
    return time.perf_counter() - clock, sum(os.times()[:4]) - cpu


def in_own_process(count: int) -> dict[str, float]:
    """Write a finished round of this number of images and judge it in its own process."""
    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        write_round(Path(scratch), count)
        command = [sys.executable, str(Path(__file__).resolve()), "--judge", scratch]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        measured: dict[str, float] = json.loads(output.splitlines()[-1])
        return measured


def write_round(folder: Path, count: int) -> None:
    """Write a round whose folds are done."""
    height, width = SIZES[0]
    scenes, store = [draw_scene(seed, height, width) for seed in range(SCENES)], MaskStore(folder / "masks")
    names = [store.put(scene.given, durable=False) for scene in scenes]
    sizes = np.array([(height, width)] * count, np.int32)
    nothing = [""] * count
    masks = SnapshotMasks([names[row % SCENES] for row in range(count)], nothing, sizes)
    paths, classes = [f"{row}.png" for row in range(count)], [str(number) for number in range(CLASSES)]
    Snapshot(np.arange(count), paths, np.zeros(count, np.int32), nothing, paths, classes, masks).save(folder)
    predictions = create_predictions(folder, sizes, CLASSES)
    for row in range(count):
        scene = scenes[row % SCENES]
        for file, values in zip(
            predictions.of(row), (scene.predicted, scene.confidence, scene.given_probability), strict=True
        ):
            file[:] = values
        predictions.fold[row] = row % CONFIG.folds
    predictions.flush()


def judge_folder(folder: Path) -> dict[str, float]:
    """Judge the round that lies there and return the speed and this process's peak memory in MB."""
    seconds, cpu = time_call(lambda: judge_masks(folder, CONFIG, MaskStore(folder / "masks")))
    pixels = int(Snapshot.load(folder).masks.sizes.astype(np.int64).prod(axis=1).sum())  # type: ignore[union-attr]
    return {"mpx_per_s": pixels / 1e6 / seconds, "mpx_per_cpu_s": pixels / 1e6 / cpu, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Return the peak memory of this process, without that of its parent at the start."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--megapixels", type=float, default=200, help="judged for each speed")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
