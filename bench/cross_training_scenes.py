"""Gain of cross training over few masks alone, on drawn scenes whose tags say much.

    python bench/cross_training_scenes.py [--folder DIR] [--json FILE] [--seeds 5]

Scenes of ten classes of shapes, two to four in each (`bench/_drawn_scenes.py`): of 320 to learn from, 32, drawn anew by
each seed, keep their masks; of the others only which classes they show. 16 further masks choose which network paints.
All of it runs through `core.recipes.cross_training`. Mean IoU on 96 test scenes, as the mean over the seeds with its
interval (Student's t, 95 %):

- `labels_only`: learnt from the 32 masks alone in as many steps as `retrained`, seen without tags.
- `labels_only_tagged`: the same network seen under the tags, which help any network.
- `hybrid`, `pseudo`: the two networks of stage 1 under the tags.
- `retrained`: stage 2, from given and painted masks, seen without tags.
- `ceiling`: learnt from the masks of all 320 in as many steps, without tags and with them.
- `gain`: of `retrained` over `labels_only`; of HybridNet and PseudoNet over `labels_only_tagged`. `least_gain` is the
  least of the three means.

The rule of trust is the paper's; `--trust pixel` is that by the class of the pixel.

With `--folder` a killed run goes on where it was, and only what is newly done is timed.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._drawn_scenes import TAGGED, draw_tagged
from bench._gains import mean_interval, shown_interval
from bench.planted_masks import EpochPrinter
from core.config import IMAGE_TRUST, PIXEL_TRUST, SMALL_MASK_NETWORK, CrossTrainingSettings, RoundConfig
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.learn.crossfold import FoldCallbacks
from core.recipes.cross_training.recipe import CrossTrainingConfig, run_cross_training
from core.recipes.cross_training.roles import find_background, image_tags
from core.recipes.cross_training.stages import RETRAINING, CrossTrainingContext, learn_from_masks
from core.recipes.data import RecipeData
from core.recipes.folder import run_stage
from core.rounds import versions
from core.types import IntArray

COUNTS = {"train": 320, "val": 16, "test": 96}
FEW = 32  # scenes with a mask
GAINS = {"retrained": "labels_only", "hybrid": "labels_only_tagged", "pseudo": "labels_only_tagged"}
ROWS = ("labels_only", "labels_only_tagged", "hybrid", "pseudo", "retrained", "ceiling", "ceiling_tagged")
SETTINGS = CrossTrainingConfig(
    network=RoundConfig(
        model=SMALL_MASK_NETWORK, input_size=64, epochs=12, batch_size=4, scales=(1.0,), flip=False, mirror=False
    ),
    settings=CrossTrainingSettings(steps=640, batch_size=8, block=160, background=TAGGED[0]),
)


def main() -> None:
    """Run the experiment with each seed and print its table."""
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        snapshot, parts = draw_tagged(Path(scratch) / "scenes", COUNTS)
        store = Path(scratch) / "scenes" / "masks"
        settings = replace(SETTINGS, settings=replace(SETTINGS.settings, trust=arguments.trust))
        runs = [one_run(snapshot, parts, store, settings, seed, folder) for seed in range(arguments.seeds)]
    figures: dict[str, Any] = {"versions": versions(), "config": settings.to_json()} | figures_of(runs)
    print_table(runs, figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def one_run(
    snapshot: Snapshot, parts: dict[str, IntArray], store: Path, settings: CrossTrainingConfig, seed: int, folder: Path
) -> dict[str, Any]:
    """Return the figures of one seed; a finished part is only read, and takes no time."""
    config = replace(settings, network=replace(settings.network, seed=seed))
    order = np.random.default_rng(seed).permutation(parts["train"])
    data = RecipeData(
        snapshot=snapshot,
        labelled=np.sort(order[:FEW]),
        unlabelled=np.sort(order[FEW:]),
        validation=parts["val"],
        test=parts["test"],
    )
    print(f"seed {seed}: {len(data.labelled)} masks, {len(data.unlabelled)} images with tags; {config}")
    started, cpu = time.perf_counter(), time.process_time()
    own, cache = folder / f"seed_{seed}", folder / "images"
    found = run_cross_training(data, config, own, image_cache=cache, masks=store, report=EpochPrinter())
    if found.baseline is None or found.baseline_tagged is None:
        raise RuntimeError("the bench was run without its baseline")
    whole = run_stage(own, "ceiling", lambda: learn_ceiling(data, config, store, own, cache))
    scores = {
        "labels_only": found.baseline.mean_iou or 0.0,
        "labels_only_tagged": found.baseline_tagged.mean_iou or 0.0,
        "hybrid": found.hybrid.mean_iou or 0.0,
        "pseudo": found.pseudo.mean_iou or 0.0,
        "retrained": found.retrained.mean_iou or 0.0,
        "ceiling": whole["plain"],
        "ceiling_tagged": whole["tagged"],
    }
    print(f"  {' '.join(f'{name} {value:.3f}' for name, value in scores.items())}")
    return scores | {
        "seed": seed,
        "painter": found.painter,
        "trust": [means[-1] for means in found.history],
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
    }


def learn_ceiling(
    data: RecipeData, config: CrossTrainingConfig, store: Path, folder: Path, cache: Path
) -> dict[str, float]:
    """Return the test scores of a network that learns the masks of all images, without tags and with them."""
    rows, masks = np.concatenate([data.labelled, data.unlabelled]), MaskStore(store)
    background = find_background(data, config.settings.background)
    context = CrossTrainingContext(
        data=data,
        network=config.network,
        joint=config.joint(len(rows)),
        background=background,
        folder=folder,
        image_cache=cache,
        store=masks,
        tags=image_tags(data, masks, None, background),
        exponent=config.settings.exponent(config.network),
        callbacks=FoldCallbacks(EpochPrinter(), lambda: False),
    )
    own = MaskStore(folder / "masks")
    taught = {row: own.put(context.true(row), durable=False) for row in rows.tolist()}
    plain, tagged = learn_from_masks(context, "ceiling", taught, own, stage=RETRAINING, seen=len(rows))
    return {"plain": plain.mean_iou or 0.0, "tagged": tagged.mean_iou or 0.0}


def figures_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means, gains with their intervals, the share of the gap to the ceiling that is closed, and the runs."""
    figures: dict[str, Any] = {name: float(np.mean([run[name] for run in runs])) for name in ROWS}
    for name, baseline in GAINS.items():
        gains = np.array([run[name] - run[baseline] for run in runs])
        figures[f"gain_{name}"], figures[f"gain_{name}_interval"] = float(gains.mean()), mean_interval(gains)
    figures["gain"] = figures["gain_retrained"]
    figures["least_gain"] = min(figures[f"gain_{name}"] for name in GAINS)
    figures["gap_closed"] = figures["gain"] / (figures["ceiling"] - figures["labels_only"])
    figures |= {name: sum(run[name] for run in runs) for name in ("seconds", "cpu_seconds")}
    return figures | {"seeds": runs}


def print_table(runs: list[dict[str, Any]], figures: dict[str, Any]) -> None:
    """Print the mean of each row with the single seeds, then the gains with their intervals."""
    print(f"{'test mIoU':<20} {'mean':>6}   of {len(runs)} seeds")
    for name in ROWS:
        print(f"{name:<20} {figures[name]:6.3f}   {' '.join(f'{run[name]:.3f}' for run in runs)}")
    for name, baseline in GAINS.items():
        bounds = shown_interval(figures[f"gain_{name}_interval"])
        print(f"{name} over {baseline}: {figures[f'gain_{name}']:+.3f} {bounds}")
    print(f"share of the gap closed by retrained: {figures['gap_closed']:.2f}")
    print(f"{figures['seconds']:.0f} s, of them {figures['cpu_seconds']:.0f} s of CPU time")


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keep the runs here, and go on from what is there")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--trust", choices=[IMAGE_TRUST, PIXEL_TRUST], default=IMAGE_TRUST)
    parser.add_argument("--seeds", type=int, default=5, help="how many runs, each with a draw of its own")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error("--seeds must be at least 1")
    return arguments


if __name__ == "__main__":
    main()
