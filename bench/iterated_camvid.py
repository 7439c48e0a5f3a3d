"""Gain of unlabelled drives over the masks of one drive, on CamVid.

    python bench/iterated_camvid.py camvid.tar [--folder DIR] [--json FILE] [--seeds 3] [--full]

Of CamVid's three training drives one has masks, 32 of its images, another drive and another draw in each seed; of the
others' images nothing is known. With `--few eighth` an eighth of all 367 training images has masks, drawn anew by each
seed. All of it runs through `core.recipes.iterated` with an ImageNet encoder and class weights: with `--consistency` a
network that also learns by two strong views with CutMix, then a student of the best one's masks, all pixels weighed by
their confidence. Chosen by are some of the validation images; the 233 test images are looked at once by each
network.
Mean IoU on them, as the mean over the seeds with its interval (Student's t, 95 %):

- `labels_only`: learnt from the few masks alone in as many steps, from the same initial weights, with class weights.
- `labels_only_strong`: the same with strong views.
- `best`: the recipe's best network by the validation images; the network of labels alone where that is it.
- `ceiling`: learnt from the masks of all these images in as many steps.
- `gain`: of `best` over the better one of both labels only in the mean; `gap_closed` is its share of the way to the
  ceiling.
- `curves`: on the validation images, the mean of labels only, consistency, and the student of each iteration.

With `--folder` a killed run goes on where it was, and only what is newly done is timed. The default is small, for two
cores; `--full` wants a GPU and takes minutes for each seed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._camvid import data_of, data_of_drive, stored_splits
from bench._data import data_parser, parse_with_data, unpack
from bench._gains import mean_interval, shown_interval
from bench._iterated import StagePrinter, figures_of_run
from bench.planted_masks import ARCHIVE
from core.config import BACKBONE, DEEPLAB, IteratedSettings, RoundConfig, Weights
from core.learn.crossfold import FoldCallbacks
from core.recipes.data import RecipeData
from core.recipes.folder import run_stage
from core.recipes.iterated.recipe import open_context, run_iterated
from core.recipes.iterated.stages import IteratedContext, TrainingRun, learn, score_network
from core.rounds import versions

FEW = 32  # masks of the drive
CHOSEN_BY = 24  # validation images
ROWS = ("labels_only", "labels_only_strong", "best", "ceiling")


def main() -> None:
    """Run the experiment with each seed and print its table."""
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {"train": 0, "val": CHOSEN_BY, "test": arguments.tests}
        snapshot, parts = stored_splits(unpack(arguments.data, Path(scratch), ARCHIVE), folder / "given", wanted)
        network, settings = propose_settings(arguments)
        runs = []
        for seed in range(arguments.seeds):
            by_drive = arguments.few == "drive"
            data = data_of_drive(snapshot, parts, seed, FEW) if by_drive else data_of(snapshot, parts, seed)
            runs.append(one_run(data, replace(network, seed=seed), settings, folder, seed))
    figures = {"versions": versions(), "config": network.to_json(), "settings": settings.to_json()} | figures_of(runs)
    print_table(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def one_run(
    data: RecipeData, network: RoundConfig, settings: IteratedSettings, folder: Path, seed: int
) -> dict[str, Any]:
    """Return the figures of one seed; a finished part is only read, and takes no time."""
    print(f"seed {seed}: {len(data.labelled)} masks, {len(data.unlabelled)} images without; {network}; {settings}")
    started, cpu = time.perf_counter(), time.process_time()
    own, cache, given = folder / f"seed_{seed}", folder / "images", folder / "given"
    found = run_iterated(data, network, settings, own, image_cache=cache, masks=given, report=StagePrinter())
    callbacks = FoldCallbacks(StagePrinter(), lambda: False)
    context = open_context(data, network, settings, own, image_cache=cache, masks=given, further=0, callbacks=callbacks)
    everything = np.concatenate([data.labelled, data.unlabelled])
    strong = TrainingRun(
        name="strong", stage=0, taught=context.labelling.known(data.labelled), augment=strong_scenes(context)
    )
    ceiling = TrainingRun(name="ceiling", stage=0, taught=context.labelling.known(everything))
    figures = figures_of_run(found)
    own_figures = {
        "labels_only": figures["baseline"],
        "labels_only_strong": tested(context, strong),
        "best": figures["best"],
        "ceiling": tested(context, ceiling),
        "network": figures["network"],
        "curve": [found.baseline.value]
        + ([] if found.teacher is None else [found.teacher.value])
        + [one.student.value for one in found.iterations],
        "iterations": figures["iterations"],
        "seed": seed,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
    }
    print("  " + " ".join(f"{name} {own_figures[name]:.3f}" for name in ROWS) + f", {figures['network']}")
    return own_figures


def tested(context: IteratedContext, run: TrainingRun) -> float:
    """Train a network, once, and return its mean IoU on the test images."""
    folder = context.folder
    run_stage(folder, run.name, lambda: learn(context, run))
    done = run_stage(
        folder,
        f"{run.name}_test",
        lambda: {"mean_iou": score_network(context, run.name, context.data.test, stage=0).mean_iou},
    )
    return float(done["mean_iou"] or 0.0)


def strong_scenes(context: IteratedContext) -> Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]:
    """Return the usual augmentation of scenes with strong views after it."""
    usual, strong = context.task.augment(context.network), context.task.strong_views

    def augment(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        shown, wanted = usual(images, masks, generator)
        return strong(shown, generator), wanted

    return augment


def figures_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means, the gain with its interval, the share of the gap closed, the curves, and the runs as `seeds`."""
    figures: dict[str, Any] = {name: float(np.mean([run[name] for run in runs])) for name in ROWS}
    baseline = max(("labels_only", "labels_only_strong"), key=lambda name: figures[name])
    gains = np.array([run["best"] - run[baseline] for run in runs])
    figures |= {"baseline": baseline, "gain": float(gains.mean()), "gain_interval": mean_interval(gains)}
    figures["gap_closed"] = figures["gain"] / (figures["ceiling"] - figures[baseline])
    figures["curves"] = np.array([run["curve"] for run in runs]).mean(axis=0).tolist()
    figures |= {name: sum(run[name] for run in runs) for name in ("seconds", "cpu_seconds")}
    return figures | {"seeds": runs}


def print_table(figures: dict[str, Any]) -> None:
    """Print the mean of each row with the single seeds, then the gain and the curves."""
    runs = figures["seeds"]
    print(f"{'test mIoU':<20} {'mean':>6}   of {len(runs)} seeds")
    for name in ROWS:
        print(f"{name:<20} {figures[name]:6.3f}   {' '.join(f'{run[name]:.3f}' for run in runs)}")
    bounds = shown_interval(figures["gain_interval"])
    print(f"gain over {figures['baseline']}: {figures['gain']:+.3f} {bounds}")
    print(f"share of the gap closed: {figures['gap_closed']:.2f}")
    print("validation mIoU, by network: " + " ".join(f"{value:.3f}" for value in figures["curves"]))
    print(f"{figures['seconds']:.0f} s, of them {figures['cpu_seconds']:.0f} s of CPU time")


def propose_settings(arguments: argparse.Namespace) -> tuple[RoundConfig, IteratedSettings]:
    """Return 480 pixels and windows with `--full`, else a small size for two cores."""
    network = RoundConfig(
        model=f"{DEEPLAB}{BACKBONE}",
        weights=Weights.PACKAGED,
        input_size=64,
        epochs=4,
        batch_size=8,
        class_weights=True,
    )
    if arguments.full:
        network = replace(network, input_size=480, epochs=200, batch_size=12, crop=320, flip=True)
    network = replace(
        network, epochs=arguments.epochs or network.epochs, input_size=arguments.size or network.input_size
    )
    settings = IteratedSettings(
        iterations=arguments.iterations,
        consistency=arguments.consistency,
        adaptive_masks=arguments.adaptive,
        whole_batch=True,
        mixing=True,
        ratio=arguments.ratio,
    )
    return network, settings


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = data_parser(__doc__)
    parser.add_argument("--folder", type=Path, help="keep the runs here, and go on from what is there")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs, each with a draw of its own")
    parser.add_argument("--full", action="store_true", help="at full size, for a GPU")
    parser.add_argument("--few", choices=["drive", "eighth"], default="drive", help="which images have masks")
    parser.add_argument("--iterations", type=int, default=1)
    parser.add_argument("--consistency", action="store_true", help="weak and strong views also teach")
    parser.add_argument("--adaptive", action="store_true", help="its thresholds follow the network, instead of .95")
    parser.add_argument("--ratio", type=int, default=1, help="of consistency: unlabelled images for each labelled one")
    parser.add_argument("--epochs", type=int, default=0, help="of each network, instead of the usual number")
    parser.add_argument("--size", type=int, default=0, help="of the images' longer side, instead of the usual one")
    parser.add_argument("--tests", type=int, default=0, help="images to test on, evenly spread, instead of all")
    return parse_with_data(parser)


if __name__ == "__main__":
    main()
